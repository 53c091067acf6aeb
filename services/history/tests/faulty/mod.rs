//! An object store that fails on most uploads: before anything is stored, after everything is, or with half of it there.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

#[derive(Debug)]
pub struct Faulty {
    files: LocalFileSystem,
    folder: PathBuf,
    uploads: AtomicU64,
    failures: AtomicU64,
}

impl Faulty {
    pub fn new(files: LocalFileSystem, folder: PathBuf) -> Self {
        Self {
            files,
            folder,
            uploads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub fn failed(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    fn fail(&self, what: &str) -> Error {
        self.failures.fetch_add(1, Ordering::SeqCst);
        Error::Generic {
            store: "faulty",
            source: what.to_owned().into(),
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.uploads.fetch_add(1, Ordering::SeqCst) % 5 {
            0 => Err(self.fail("cut off before anything was stored")),
            1 => {
                self.files.put_opts(at, payload, options).await?;
                Err(self.fail("stored, and the answer was lost"))
            }
            // A store that is not atomic: half of it lies there under its name, until it is given up.
            2 if at.as_ref().starts_with("segments") => {
                let beside = self.folder.join(format!("{at}#half"));
                std::fs::create_dir_all(beside.parent().unwrap()).unwrap();
                let bytes: bytes::Bytes = payload.into();
                std::fs::write(&beside, &bytes[..bytes.len() / 2]).unwrap();
                Err(self.fail("cut off in the middle"))
            }
            _ => self.files.put_opts(at, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(at, options).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}
