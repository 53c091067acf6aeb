//! What a version must show before it may score: its files are what they say, and its golden rows come out as they should.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use auspex_chassis::{House, tools};
use auspex_model::{Files, Manifest, Model, ModelFault, Runtime, Scorer};
use auspex_proto::Timestamp;
use tokio::sync::OnceCell;

use crate::catalog::head::SERVING;
use crate::catalog::safety::refused;
use crate::catalog::{Gift, Head, Kept, Refusal, Version};
use crate::config::Config;
use crate::shelf::{Fault, Shelf, sha256};

/// Who registers what comes with the program.
const OWN: &str = "auspex";

/// The registry's deeds; cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate {
    shelf: Shelf,
    house: House,
    library: String,
    most: u64,
    runtime: Arc<OnceCell<Runtime>>,
}

/// A version on its way in.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// Empty: the manifest's.
    pub name: String,
    /// By name beside the manifest, `manifest.json` among them.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Who brings it.
    pub actor: String,
    /// The run that made it; empty: none.
    pub run_id: String,
    /// Where a client of MLflow said its files are.
    pub source: String,
}

impl Gate {
    /// Over this memory.
    #[must_use]
    pub fn new(shelf: Shelf, house: &House, config: &Config) -> Self {
        Self {
            shelf,
            house: house.clone(),
            library: config.onnxruntime.clone(),
            most: config.max_bytes,
            runtime: Arc::default(),
        }
    }

    /// The memory.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The clock, for those who ask at a door.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.house.now()
    }

    /// The most bytes of one version.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    async fn runtime(&self) -> anyhow::Result<Runtime> {
        let load = || async {
            let path = match self.library.as_str() {
                "" => tools::onnxruntime().await?,
                path => PathBuf::from(path),
            };
            let loaded = tokio::task::spawn_blocking(move || Runtime::load(&path)).await?;
            anyhow::Ok(loaded?)
        };
        self.runtime.get_or_try_init(load).await.cloned()
    }

    /// Runs every check there is, the golden rows last.
    async fn check(&self, files: Files) -> Result<(), Fault> {
        let runtime = self.runtime().await?;
        let run = move || -> Result<(), ModelFault> {
            let model = Arc::new(Model::check(files)?);
            Scorer::open(&runtime, model, 1).map(drop)
        };
        let checked = tokio::task::spawn_blocking(run)
            .await
            .map_err(anyhow::Error::from)?;
        checked.map_err(|fault| Refusal::Invalid(fault.to_string()).into())
    }

    /// Registers what was brought.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when a file runs code, the files are too large, or the version is not what it says.
    pub async fn register(&self, parcel: Parcel) -> Result<Version, Fault> {
        let version = self.checked(parcel).await?;
        self.shelf.add(version, self.now()).await
    }

    /// What was brought, checked and with its files kept; it has no number yet.
    async fn checked(&self, parcel: Parcel) -> Result<Version, Fault> {
        let bytes: u64 = parcel.files.values().map(|bytes| bytes.len() as u64).sum();
        if bytes > self.most {
            return Err(Refusal::Invalid(format!(
                "the files have {bytes} bytes, at most {} are kept",
                self.most
            ))
            .into());
        }
        if let Some(why) = parcel.files.iter().find_map(|(name, bytes)| refused(name, bytes)) {
            return Err(Refusal::Invalid(why).into());
        }
        let missing = |name: &str| Refusal::Invalid(format!("{name}: is missing"));
        let manifest = parcel
            .files
            .get("manifest.json")
            .ok_or_else(|| missing("manifest.json"))?;
        let read = Manifest::parse(manifest).map_err(|fault| Refusal::Invalid(fault.to_string()))?;
        let file = |name: &str| parcel.files.get(name).cloned().ok_or_else(|| missing(name));
        let files = Files {
            manifest: manifest.clone(),
            artifact: file(&read.artifact.file)?,
            golden: file(&read.golden.file)?,
        };
        self.check(files).await?;
        let document =
            serde_json::from_slice(manifest).map_err(|fault| Refusal::Invalid(fault.to_string()))?;
        let mut version = Version::of_manifest(&document);
        version.name = if parcel.name.is_empty() {
            read.name.clone()
        } else {
            parcel.name.clone()
        };
        if version.name != read.name {
            let text = format!("name: is {}, the manifest's {}", version.name, read.name);
            return Err(Refusal::Invalid(text).into());
        }
        for (name, bytes) in &parcel.files {
            let kept = self.shelf.keep(name, bytes).await?;
            match name.as_str() {
                "manifest.json" => version.manifest = kept,
                name if name == read.artifact.file => version.artifact = kept,
                name if name == read.golden.file => version.golden = kept,
                _ => version.others.push(kept),
            }
        }
        version.location = self.shelf.location(&version.manifest.sha256);
        version.actor = parcel.actor;
        version.lineage.run_id = parcel.run_id;
        version.source = parcel.source;
        Ok(version)
    }

    /// Keeps a version that nothing here can score with: found and downloaded, never served.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn keep_only(
        &self,
        parcel: Parcel,
        files: Vec<Kept>,
        why_not: String,
    ) -> Result<Version, Fault> {
        let version = Version {
            name: parcel.name,
            actor: parcel.actor,
            others: files,
            source: parcel.source,
            why_not,
            lineage: crate::catalog::version::Lineage {
                run_id: parcel.run_id,
                ..Default::default()
            },
            ..Version::default()
        };
        self.shelf.add(version, self.now()).await
    }

    /// Gives an alias. For one that scores, the version's files are fetched and its golden rows scored again first.
    ///
    /// # Errors
    /// [`Refusal`] when it fails them.
    pub async fn give(&self, name: &str, gift: &Gift) -> Result<Head, Fault> {
        if SERVING.contains(&gift.alias.as_str()) {
            self.fit(name, gift).await?;
        }
        let now = self.now();
        self.shelf
            .change(name, now, |head| Ok(head.give(gift, now)?))
            .await
    }

    async fn fit(&self, name: &str, gift: &Gift) -> Result<(), Fault> {
        let version = self.shelf.version(name, gift.version).await?;
        let title = version.title();
        if !version.why_not.is_empty() {
            let text = format!("{title} cannot be {}: {}", gift.alias, version.why_not);
            return Err(Refusal::Unmet(text).into());
        }
        let head = self.shelf.head(name).await?;
        let champion = head.aliases.get("champion").map(|alias| alias.version);
        if let Some(champion) = champion.filter(|_| gift.alias != "champion") {
            let champion = self.shelf.version(name, champion).await?;
            if champion.schema_hash != version.schema_hash {
                let text = format!(
                    "{title} cannot be {}: its schema is {}, the champion's {}: the two cannot be asked about the same vectors",
                    gift.alias, version.schema_hash, champion.schema_hash
                );
                return Err(Refusal::Unmet(text).into());
            }
        }
        let files = self.files(&version).await?;
        self.check(files).await.map_err(|fault| match fault {
            Fault::Refused(refusal) => {
                Refusal::Unmet(format!("{title} cannot be {}: {refusal}", gift.alias)).into()
            }
            other => other,
        })
    }

    async fn files(&self, version: &Version) -> Result<Files, Fault> {
        let file = |kept: &Kept| {
            let kept = kept.clone();
            async move {
                let found = self.shelf.file(&kept.sha256).await;
                let gone =
                    |why: String| Refusal::Unmet(format!("{} of {}: {why}", kept.file, version.title()));
                let found = found.map_err(|fault| gone(fault.to_string()))?;
                Ok::<_, Fault>(found.ok_or_else(|| gone("is no longer there".to_owned()))?)
            }
        };
        Ok(Files {
            manifest: file(&version.manifest).await?,
            artifact: file(&version.artifact).await?,
            golden: file(&version.golden).await?,
        })
    }

    /// Registers the model that comes with the program, as champion, unless somebody has registered its name. Of several
    /// replicas on an empty store one does: the others find number 1 taken. One that was stopped between the two is completed.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn seed(&self) -> Result<(), Fault> {
        let files = auspex_model::embedded::files();
        let manifest =
            Manifest::parse(&files.manifest).map_err(|fault| Refusal::Invalid(fault.to_string()))?;
        let name = manifest.name.clone();
        let digest = sha256(&files.manifest);
        if self.shelf.latest(&name).await? == 0 {
            let parcel = Parcel {
                name: name.clone(),
                actor: OWN.to_owned(),
                files: [
                    ("manifest.json".to_owned(), files.manifest),
                    (manifest.artifact.file, files.artifact),
                    (manifest.golden.file, files.golden),
                ]
                .into(),
                ..Parcel::default()
            };
            let version = self.checked(parcel).await?;
            if let Some(version) = self.shelf.add_first(version, self.now()).await? {
                tracing::info!(
                    model = version.title(),
                    sha256 = digest,
                    "the model that comes with the program is registered"
                );
            }
        }
        self.crown(&name, &digest).await
    }

    /// Makes number 1 champion when it is what comes with the program and nobody has ever given an alias.
    async fn crown(&self, name: &str, digest: &str) -> Result<(), Fault> {
        let untouched = |head: &Head| head.changes == 0 && head.aliases.is_empty();
        let first = self.shelf.version(name, 1).await?;
        if first.actor != OWN || first.manifest.sha256 != digest || !untouched(&self.shelf.head(name).await?)
        {
            return Ok(());
        }
        let gift = Gift {
            alias: "champion".to_owned(),
            version: first.version,
            percent: 0,
            experiment: String::new(),
            actor: OWN.to_owned(),
            note: "it came with the program".to_owned(),
            cause: crate::catalog::Cause::Register,
        };
        self.fit(name, &gift).await?;
        let now = self.now();
        let give = |head: &mut Head| {
            if untouched(head) {
                head.give(&gift, now)?;
            }
            Ok(())
        };
        self.shelf.change(name, now, give).await.map(drop)
    }
}
