//! Where an archive can be: a folder, and with the feature `clouds` S3, GCS and Azure.

use auspex_chassis::place::{self, Access};

use super::Archive;
use crate::config::ArchiveConfig;

/// Opens an archive, and makes its folder.
///
/// # Errors
/// When the place cannot be used; it is named.
pub fn open(location: &str, config: &ArchiveConfig) -> anyhow::Result<Archive> {
    let access = Access {
        endpoint: config.endpoint.clone(),
        region: config.region.clone(),
        allow_http: config.allow_http,
        // Whoever writes tries again by itself, for as long as it takes.
        brief: true,
    };
    Ok(Archive::new(place::open(location, &access)?, location))
}

/// Opens an archive that is there.
///
/// # Errors
/// When there is none.
pub fn existing(location: &str, config: &ArchiveConfig) -> anyhow::Result<Archive> {
    if let Some(folder) = place::folder(location) {
        anyhow::ensure!(
            std::path::Path::new(folder).is_dir(),
            "there is no archive at {folder}"
        );
    }
    open(location, config)
}
