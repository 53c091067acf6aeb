//! A model version in a folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::embedded;
use crate::model::{Files, ModelFault};

const MANIFEST: &str = "manifest.json";

/// As much of a manifest as tells which files belong to it.
#[derive(Deserialize)]
struct Names {
    artifact: Name,
    golden: Name,
}

#[derive(Deserialize)]
struct Name {
    file: String,
}

/// The files of the configured model; those inside the program when none is configured.
///
/// # Errors
/// [`ModelFault::Unreadable`] naming the file.
pub fn files(configured: &str) -> Result<Files, ModelFault> {
    if configured.is_empty() {
        return Ok(embedded::files());
    }
    read(&find(Path::new(configured)))
}

/// The folder itself when it is there, else the one beside the program.
fn find(folder: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.parent().map(|parent| parent.join(folder));
    match beside {
        Some(beside) if !folder.join(MANIFEST).is_file() && beside.join(MANIFEST).is_file() => beside,
        _ => folder.to_owned(),
    }
}

fn read(folder: &Path) -> Result<Files, ModelFault> {
    let bytes = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|fault| unreadable(&path, &fault))
    };
    let manifest = bytes(MANIFEST)?;
    let names: Names =
        serde_json::from_slice(&manifest).map_err(|fault| unreadable(&folder.join(MANIFEST), &fault))?;
    let beside = |name: &str| match Path::new(name).file_name() {
        Some(plain) if plain == name => bytes(name),
        _ => Err(unreadable(
            Path::new(name),
            &"is not the name of a file beside the manifest",
        )),
    };
    Ok(Files {
        artifact: beside(&names.artifact.file)?,
        golden: beside(&names.golden.file)?,
        manifest,
    })
}

fn unreadable(path: &Path, fault: &dyn std::fmt::Display) -> ModelFault {
    ModelFault::Unreadable {
        file: path.display().to_string(),
        reason: fault.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_in_the_tree_is_the_model_inside_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../models/change-risk");
        assert_eq!(files(folder).unwrap(), files("").unwrap());
    }

    #[test]
    fn a_missing_folder_and_a_file_elsewhere_are_named() {
        let fault = files("no/such/model").unwrap_err().to_string();
        assert!(fault.contains("no/such/model/manifest.json"), "{fault}");
        let folder = tempfile::tempdir().unwrap();
        let manifest = r#"{"artifact": {"file": "../secret"}, "golden": {"file": "golden.json"}}"#;
        std::fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let fault = files(folder.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(fault.contains("../secret"), "{fault}");
    }
}
