//! Where a service keeps files for good: a folder and, with the feature `clouds`, S3, GCS and Azure.

use std::sync::Arc;

use anyhow::Context as _;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

#[cfg(feature = "clouds")]
mod cloud;

/// What is said of a bucket beside its name. Keys, and everything that is not said here, come from the provider's own
/// environment variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Address of an S3 server that is not Amazon's. Empty: the variable's, else Amazon's.
    pub endpoint: String,
    /// Region of an S3 bucket. Empty: the variable's, else us-east-1.
    pub region: String,
    /// Plain HTTP with `endpoint`.
    pub allow_http: bool,
    /// Whoever asks tries again by itself: at most two attempts more, within 20 s, rather than ten in three minutes.
    pub brief: bool,
}

/// Opens a place: `FOLDER`, `file://FOLDER`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`. A folder is
/// made; what is written into it is on the disk when that is said.
///
/// # Errors
/// When the place cannot be used; it is named.
pub fn open(location: &str, access: &Access) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if let Some((scheme, rest)) = location.split_once("://")
        && scheme != "file"
    {
        return bucket(scheme, rest, access).with_context(|| location.to_owned());
    }
    let folder = folder(location).unwrap_or(location);
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {folder}"))?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .with_context(|| format!("opening the folder {folder}"))?
        .with_fsync(true);
    Ok(Arc::new(store))
}

/// The folder that a location is; `None` of a bucket.
#[must_use]
pub fn folder(location: &str) -> Option<&str> {
    let folder = location.strip_prefix("file://").unwrap_or(location);
    (!folder.contains("://")).then_some(folder)
}

/// What is wrong with a location, before it is opened.
#[must_use]
pub fn problem(location: &str) -> Option<String> {
    let (scheme, rest) = location.split_once("://")?;
    match scheme {
        "file" => None,
        _ if rest.contains('@') => Some("holds a user or password; these go to the environment".to_owned()),
        "s3" | "s3a" | "gs" | "az" | "azure" if rest.trim_matches('/').is_empty() => {
            Some("names no bucket".to_owned())
        }
        "s3" | "s3a" | "gs" | "az" | "azure" if cfg!(feature = "clouds") => None,
        "s3" | "s3a" | "gs" | "az" | "azure" => Some(format!(
            "{scheme}:// needs a program built with the feature `clouds`"
        )),
        other => Some(format!("{other}:// is none of s3://, gs:// and az://")),
    }
}

#[cfg(feature = "clouds")]
use cloud::bucket;

#[cfg(not(feature = "clouds"))]
fn bucket(scheme: &str, _rest: &str, _access: &Access) -> anyhow::Result<Arc<dyn ObjectStore>> {
    anyhow::bail!("{scheme}:// needs a program built with the feature `clouds`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_location_is_told_before_it_is_opened() {
        for fine in ["", "kept", "/srv/job@2/kept", "file:///srv/kept"] {
            assert_eq!(problem(fine), None, "{fine}");
        }
        for wrong in ["ftp://bucket", "s3://", "gs:///", "s3://key:secret@bucket"] {
            assert!(problem(wrong).is_some(), "{wrong}");
        }
        assert_eq!(problem("gs://bucket").is_none(), cfg!(feature = "clouds"));
        assert_eq!(folder("file:///srv/kept"), Some("/srv/kept"));
        assert_eq!(folder("gs://bucket"), None);
    }
}
