//! Where an offline store can be: a folder, and with the feature `clouds` S3, GCS and Azure.

use std::sync::Arc;

use anyhow::Context as _;
use object_store::local::LocalFileSystem;

use super::Offline;

/// Opens a store, and makes its folder. Of a bucket, credentials, region and endpoint are read from the usual variables
/// (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
///
/// # Errors
/// When the place cannot be used; it is named.
pub fn open(location: &str) -> anyhow::Result<Offline> {
    if let Some((scheme, rest)) = location.split_once("://")
        && scheme != "file"
    {
        return cloud(scheme, rest)
            .map(Offline::new)
            .with_context(|| location.to_owned());
    }
    let folder = location.strip_prefix("file://").unwrap_or(location);
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {folder}"))?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .with_context(|| format!("opening the folder {folder}"))?
        .with_fsync(true);
    Ok(Offline::new(Arc::new(store)))
}

#[cfg(not(feature = "clouds"))]
fn cloud(scheme: &str, _rest: &str) -> anyhow::Result<Arc<dyn object_store::ObjectStore>> {
    anyhow::bail!("{scheme}:// needs a program built with the feature `clouds`")
}

#[cfg(feature = "clouds")]
fn cloud(scheme: &str, rest: &str) -> anyhow::Result<Arc<dyn object_store::ObjectStore>> {
    use object_store::ObjectStore;
    use object_store::aws::AmazonS3Builder;
    use object_store::azure::MicrosoftAzureBuilder;
    use object_store::gcp::GoogleCloudStorageBuilder;
    use object_store::path::Path;
    use object_store::prefix::PrefixStore;

    // The clients of the stores take the process's own TLS provider; whoever comes first sets it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    anyhow::ensure!(!bucket.is_empty(), "names no bucket");
    let store: Arc<dyn ObjectStore> = match scheme {
        "s3" | "s3a" => Arc::new(AmazonS3Builder::from_env().with_bucket_name(bucket).build()?),
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .build()?,
        ),
        "az" | "azure" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .build()?,
        ),
        other => anyhow::bail!("{other}:// is none of s3://, gs:// and az://"),
    };
    let prefix = Path::parse(prefix.trim_matches('/'))?;
    Ok(match prefix.as_ref().is_empty() {
        true => store,
        false => Arc::new(PrefixStore::new(store, prefix)),
    })
}
