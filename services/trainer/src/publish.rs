//! A version on its way to the registry.

use std::path::Path;
use std::time::Duration;

use auspex_proto::wire::model_registry_client::ModelRegistryClient;
use auspex_proto::wire::{
    GetModelVersionRequest, RegisterHead, RegisterRequest, UploadChunk, register_request,
};
use tonic::Code;

use crate::door::{Door, Place};
use crate::job::Files;
use crate::recipe::ci_run::COLD_START;

/// Bytes of one piece: well below gRPC's limit of 4 MB.
const PIECE: usize = 512 << 10;
/// The registry scores the golden rows before it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way to the registry; cheap to clone, connects when it is used.
#[derive(Debug, Clone)]
pub struct Registry(Door);

/// The files of a folder.
///
/// # Errors
/// When one cannot be read.
pub fn files(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}

impl Registry {
    /// The registry of this place.
    ///
    /// # Errors
    /// The address is none, or the token cannot be sent.
    pub fn of(place: &Place) -> anyhow::Result<Self> {
        Door::of(place, PATIENCE).map(Self)
    }

    /// Whether a version of this name scores that was learned from what it scores: a cold start was not.
    ///
    /// # Errors
    /// As the registry says it.
    pub async fn has_own_champion(&self, name: &str) -> anyhow::Result<bool> {
        let asked = GetModelVersionRequest {
            name: name.to_owned(),
            version: "champion".to_owned(),
        };
        let mut client = ModelRegistryClient::new(self.0.channel());
        match client.get_version(self.0.request(asked)).await {
            Ok(version) => {
                let lineage = version.into_inner().lineage.unwrap_or_default();
                Ok(!lineage.parameters.contains_key(COLD_START))
            }
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(anyhow::anyhow!("{}", status.message())),
        }
    }

    /// Registers a version; gives the number it got.
    ///
    /// # Errors
    /// As the registry says it.
    pub async fn register(&self, files: Files, alias: &str, note: &str) -> anyhow::Result<String> {
        let part = |part| RegisterRequest { part: Some(part) };
        let head = RegisterHead {
            actor: "trainer".to_owned(),
            note: note.to_owned(),
            alias: alias.to_owned(),
            ..RegisterHead::default()
        };
        let mut parts = vec![part(register_request::Part::Head(head))];
        for (file, bytes) in files {
            for (number, piece) in bytes.chunks(PIECE).enumerate() {
                let chunk = UploadChunk {
                    file: if number == 0 { file.clone() } else { String::new() },
                    bytes: piece.to_vec(),
                };
                parts.push(part(register_request::Part::Chunk(chunk)));
            }
        }
        let request = self.0.request(tokio_stream::iter(parts));
        let answer = ModelRegistryClient::new(self.0.channel()).register(request).await;
        let version = answer
            .map_err(|status| anyhow::anyhow!("{}", status.message()))?
            .into_inner();
        Ok(version.version.to_string())
    }
}
