//! The files of a version, from where a fact says they lie.

use std::path::Path;

use auspex_chassis::{Bus, Objects};
use serde::Deserialize;

use crate::folder;
use crate::model::{Files, ModelFault};

/// As much of a manifest as names the other files.
#[derive(Deserialize)]
struct Names {
    artifact: Digest,
    golden: Digest,
}

#[derive(Deserialize)]
struct Digest {
    sha256: String,
}

/// The files of a version: a folder with `manifest.json`, or the manifest in a store whose files are named by what they hold.
///
/// # Errors
/// [`ModelFault::Unreadable`] naming what is missing.
pub async fn files(bus: &Bus, location: &str) -> Result<Files, ModelFault> {
    if let Some(path) = location.strip_prefix("file://")
        && Path::new(path).join("manifest.json").is_file()
    {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || folder::files(&path)).await;
        return read.map_err(|fault| unreadable(location, &fault))?;
    }
    let (store, name) = Objects::at(bus, location)
        .await
        .map_err(|fault| unreadable(location, &fault))?;
    let manifest = get(&store, &name).await?;
    let names: Names = serde_json::from_slice(&manifest).map_err(|fault| unreadable(location, &fault))?;
    Ok(Files {
        artifact: get(&store, &names.artifact.sha256).await?,
        golden: get(&store, &names.golden.sha256).await?,
        manifest,
    })
}

async fn get(store: &Objects, name: &str) -> Result<Vec<u8>, ModelFault> {
    let location = store.location(name);
    match store.get(name).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(unreadable(&location, &"there is no such file")),
        Err(fault) => Err(unreadable(&location, &fault)),
    }
}

fn unreadable(file: &str, fault: &dyn std::fmt::Display) -> ModelFault {
    ModelFault::Unreadable {
        file: file.to_owned(),
        reason: fault.to_string(),
    }
}
