//! Where an archive can be: a folder, and with the feature `clouds` S3, GCS and Azure.

use std::sync::Arc;

use anyhow::Context as _;
use object_store::local::LocalFileSystem;

use super::Archive;
use crate::config::ArchiveConfig;

/// Opens an archive, and makes its folder.
///
/// # Errors
/// When the place cannot be used; it is named.
pub fn open(location: &str, config: &ArchiveConfig) -> anyhow::Result<Archive> {
    if let Some((scheme, rest)) = location.split_once("://")
        && scheme != "file"
    {
        let store = cloud(scheme, rest, config).with_context(|| location.to_owned())?;
        return Ok(Archive::new(store, location));
    }
    let folder = location.strip_prefix("file://").unwrap_or(location);
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {folder}"))?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .with_context(|| format!("opening the folder {folder}"))?
        // A stored segment is on the disk: the log may forget its facts.
        .with_fsync(true);
    Ok(Archive::new(Arc::new(store), location))
}

/// Opens an archive that is there.
///
/// # Errors
/// When there is none.
pub fn existing(location: &str, config: &ArchiveConfig) -> anyhow::Result<Archive> {
    let folder = location.strip_prefix("file://").unwrap_or(location);
    if !folder.contains("://") {
        anyhow::ensure!(
            std::path::Path::new(folder).is_dir(),
            "there is no archive at {folder}"
        );
    }
    open(location, config)
}

#[cfg(not(feature = "clouds"))]
fn cloud(
    scheme: &str,
    _rest: &str,
    _config: &ArchiveConfig,
) -> anyhow::Result<Arc<dyn object_store::ObjectStore>> {
    anyhow::bail!("{scheme}:// needs a program built with the feature `clouds`")
}

#[cfg(feature = "clouds")]
fn cloud(
    scheme: &str,
    rest: &str,
    config: &ArchiveConfig,
) -> anyhow::Result<Arc<dyn object_store::ObjectStore>> {
    use object_store::aws::AmazonS3Builder;
    use object_store::azure::MicrosoftAzureBuilder;
    use object_store::gcp::GoogleCloudStorageBuilder;
    use object_store::path::Path;
    use object_store::prefix::PrefixStore;
    use object_store::{ObjectStore, RetryConfig};

    // The clients of the stores take the process's own TLS provider; whoever comes first sets it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    anyhow::ensure!(!bucket.is_empty(), "names no bucket");
    // Whoever writes tries again by itself, for as long as it takes.
    let retry = RetryConfig {
        max_retries: 2,
        retry_timeout: std::time::Duration::from_secs(20),
        ..RetryConfig::default()
    };
    let prefix = Path::parse(prefix.trim_matches('/'))?;
    let prefixed = |store: Arc<dyn ObjectStore>| -> Arc<dyn ObjectStore> {
        match prefix.as_ref().is_empty() {
            true => store,
            false => Arc::new(PrefixStore::new(store, prefix.clone())),
        }
    };
    match scheme {
        "s3" | "s3a" => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry);
            if !config.region.is_empty() {
                builder = builder.with_region(&config.region);
            }
            if !config.endpoint.is_empty() {
                builder = builder.with_endpoint(&config.endpoint);
            }
            let store = builder.with_allow_http(config.allow_http).build()?;
            Ok(prefixed(Arc::new(store)))
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            Ok(prefixed(Arc::new(builder.with_retry(retry).build()?)))
        }
        "az" | "azure" => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            Ok(prefixed(Arc::new(builder.with_retry(retry).build()?)))
        }
        other => anyhow::bail!("{other}:// is none of s3://, gs:// and az://"),
    }
}
