//! Files kept by name: in the bus's own object store, in a folder that several processes share, or, with the feature `clouds`, in
//! S3, GCS and Azure.
//!
//! A location is the store and the name in one text: `nats://AUSPEX_MODELS/NAME` or `file:///srv/models/NAME`.

#[cfg(feature = "clouds")]
mod cloud;

use std::path::PathBuf;

use anyhow::Context as _;
use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectStore};
use tokio::io::AsyncReadExt as _;

use crate::bus::Bus;

/// A store of files.
#[derive(Clone)]
pub struct Objects {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Bus {
        bucket: String,
        store: Box<ObjectStore>,
    },
    Folder(PathBuf),
    #[cfg(feature = "clouds")]
    Cloud(cloud::Cloud),
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Objects").field(&self.root()).finish()
    }
}

const BUS: &str = "nats://";
const FILE: &str = "file://";

impl Objects {
    /// Opens a store by its root: `nats://BUCKET` or `file:///FOLDER`.
    ///
    /// # Errors
    /// When it is neither, or the bus is away.
    pub async fn open(bus: &Bus, root: &str) -> anyhow::Result<Self> {
        let place = if let Some(bucket) = root.strip_prefix(BUS) {
            let store = Box::new(bus.lay_out_objects(bucket).await?);
            let bucket = bucket.to_owned();
            Place::Bus { bucket, store }
        } else if let Some(folder) = root.strip_prefix(FILE) {
            Place::Folder(PathBuf::from(folder))
        } else {
            elsewhere(root)?
        };
        Ok(Self { place })
    }

    /// Opens the store of a location; also answers the name in it.
    ///
    /// # Errors
    /// When it is none, or the bus is away.
    pub async fn at(bus: &Bus, location: &str) -> anyhow::Result<(Self, String)> {
        let (root, name) = location
            .rsplit_once('/')
            .filter(|(_, name)| plain(name))
            .with_context(|| format!("{location}: is not the location of a file"))?;
        Ok((Self::open(bus, root).await?, name.to_owned()))
    }

    /// Its root, as [`Objects::open`] reads it.
    #[must_use]
    pub fn root(&self) -> String {
        match &self.place {
            Place::Bus { bucket, .. } => format!("{BUS}{bucket}"),
            Place::Folder(folder) => format!("{FILE}{}", folder.display()),
            #[cfg(feature = "clouds")]
            Place::Cloud(cloud) => cloud.root.clone(),
        }
    }

    /// Where the file of this name lies.
    #[must_use]
    pub fn location(&self, name: &str) -> String {
        format!("{}/{name}", self.root())
    }

    /// Keeps a file under a name of letters, digits, `.`, `-` and `_`; what was kept under it before is replaced.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        anyhow::ensure!(plain(name), "{name}: is not the name of a kept file");
        match &self.place {
            Place::Bus { store, .. } => {
                let mut bytes = bytes;
                store.put(name, &mut bytes).await?;
            }
            Place::Folder(folder) => {
                tokio::fs::create_dir_all(folder).await?;
                // A reader sees the whole file or none.
                let partly = folder.join(format!(".{name}.{}", nuid::next()));
                tokio::fs::write(&partly, bytes).await?;
                tokio::fs::rename(&partly, folder.join(name)).await?;
            }
            #[cfg(feature = "clouds")]
            Place::Cloud(cloud) => cloud.put(name, bytes).await?,
        }
        Ok(())
    }

    /// A file; `None`: there is none of this name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        anyhow::ensure!(plain(name), "{name}: is not the name of a kept file");
        match &self.place {
            Place::Bus { store, .. } => {
                let mut object = match store.get(name).await {
                    Ok(object) => object,
                    Err(fault) if fault.kind() == GetErrorKind::NotFound => return Ok(None),
                    Err(fault) => return Err(fault.into()),
                };
                let mut bytes = Vec::with_capacity(object.info().size);
                object.read_to_end(&mut bytes).await?;
                Ok(Some(bytes))
            }
            Place::Folder(folder) => match tokio::fs::read(folder.join(name)).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(fault) => Err(fault.into()),
            },
            #[cfg(feature = "clouds")]
            Place::Cloud(cloud) => cloud.get(name).await,
        }
    }

    /// Whether a file is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has(&self, name: &str) -> anyhow::Result<bool> {
        anyhow::ensure!(plain(name), "{name}: is not the name of a kept file");
        match &self.place {
            Place::Bus { store, .. } => match store.info(name).await {
                Ok(found) => Ok(!found.deleted),
                Err(fault) if fault.kind() == InfoErrorKind::NotFound => Ok(false),
                Err(fault) => Err(fault.into()),
            },
            Place::Folder(folder) => Ok(tokio::fs::try_exists(folder.join(name)).await?),
            #[cfg(feature = "clouds")]
            Place::Cloud(cloud) => cloud.has(name).await,
        }
    }
}

/// How a root may begin.
#[must_use]
pub fn roots() -> &'static [&'static str] {
    if cfg!(feature = "clouds") {
        &["nats://", "file:///", "s3://", "gs://", "az://"]
    } else {
        &["nats://", "file:///"]
    }
}

#[cfg(feature = "clouds")]
fn elsewhere(root: &str) -> anyhow::Result<Place> {
    cloud::Cloud::open(root).map(Place::Cloud)
}

#[cfg(not(feature = "clouds"))]
fn elsewhere(root: &str) -> anyhow::Result<Place> {
    anyhow::bail!(
        "{root}: files are kept below {BUS}BUCKET or {FILE}/FOLDER; clouds need a program built with the feature `clouds`"
    )
}

/// A name that is one file in any store, and leads nowhere else.
fn plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestHouse;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_reads_back_from_the_bus_and_from_a_folder() {
        let test = TestHouse::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let roots = [
            "nats://AUSPEX_TEST".to_owned(),
            format!("file://{}", folder.path().display()),
        ];
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        for root in roots {
            let objects = Objects::open(test.house.bus(), &root).await.unwrap();
            assert_eq!(objects.get("a1").await.unwrap(), None);
            assert!(!objects.has("a1").await.unwrap());
            objects.put("a1", &large).await.unwrap();
            objects.put("empty", b"").await.unwrap();
            assert!(objects.has("a1").await.unwrap());
            let (again, name) = Objects::at(test.house.bus(), &objects.location("a1"))
                .await
                .unwrap();
            assert!(again.get(&name).await.unwrap().unwrap() == large);
            assert_eq!(again.get("empty").await.unwrap().unwrap(), b"");
            assert!(objects.get("../a1").await.is_err());
        }
        assert!(Objects::open(test.house.bus(), "/etc").await.is_err());
    }
}
