//! Files in S3, GCS and Azure. Addresses and keys come from the providers' own environment variables.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

use crate::place::{self, Access};

/// A bucket, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Cloud {
    pub(super) root: String,
    store: Arc<dyn ObjectStore>,
}

impl Cloud {
    /// Opens `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
    pub(super) fn open(root: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(place::folder(root).is_none(), "{root}: has no scheme");
        let store = place::open(root, &Access::default())?;
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
