//! Files in S3, GCS and Azure. Addresses and keys come from the providers' own environment variables.

use std::sync::Arc;

use anyhow::Context as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

/// A bucket, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Cloud {
    pub(super) root: String,
    store: Arc<dyn ObjectStore>,
}

impl Cloud {
    /// Opens `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
    pub(super) fn open(root: &str) -> anyhow::Result<Self> {
        // The clients of the stores take the process's own TLS provider; whoever comes first sets it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let (scheme, rest) = root.split_once("://").context("has no scheme")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        anyhow::ensure!(!bucket.is_empty(), "{root}: names no bucket");
        let store: Arc<dyn ObjectStore> = match scheme {
            "s3" => Arc::new(AmazonS3Builder::from_env().with_bucket_name(bucket).build()?),
            "gs" => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(bucket)
                    .build()?,
            ),
            "az" => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_container_name(bucket)
                    .build()?,
            ),
            other => anyhow::bail!("{other}:// is none of s3://, gs:// and az://"),
        };
        let prefix = Path::parse(prefix.trim_matches('/'))?;
        let store = if prefix.as_ref().is_empty() {
            store
        } else {
            Arc::new(PrefixStore::new(store, prefix))
        };
        Ok(Self {
            root: root.trim_end_matches('/').to_owned(),
            store,
        })
    }

    pub(super) async fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.store.put(&Path::from(name), bytes.to_vec().into()).await?;
        Ok(())
    }

    pub(super) async fn get(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.store.get(&Path::from(name)).await {
            Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    pub(super) async fn has(&self, name: &str) -> anyhow::Result<bool> {
        match self.store.head(&Path::from(name)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }
}
