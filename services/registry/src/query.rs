//! `ModelRegistry`: register, ask, alias, roll back, download.

use std::collections::BTreeMap;

use auspex_proto::wire::model_registry_server::{ModelRegistry, ModelRegistryServer};
use auspex_proto::wire::{
    self, DownloadChunk, DownloadRequest, GetModelRequest, GetModelVersionRequest, ListModelVersionsRequest,
    ListModelVersionsResponse, ListModelsRequest, ListModelsResponse, ModelVersion, RegisterRequest,
    RegisteredModel, RollbackModelRequest, SetAliasRequest, register_request,
};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming};

use crate::catalog::{Cause, Gift, Head, Refusal, Version};
use crate::gate::{Gate, Parcel};
use crate::shelf::Fault;
use crate::shown;

/// Bytes of one piece of a download.
const PIECE: usize = 512 << 10;

/// Answers for the registry.
#[derive(Debug, Clone)]
pub struct Answers {
    gate: Gate,
}

impl Answers {
    /// The door.
    #[must_use]
    pub fn server(gate: Gate) -> ModelRegistryServer<Self> {
        ModelRegistryServer::new(Self { gate })
    }

    async fn shown(&self, version: Version) -> Result<ModelVersion, Status> {
        let head = self.gate.shelf().head(&version.name).await.map_err(status)?;
        self.with(&head, version).await
    }

    /// The model of this name.
    async fn head(&self, name: &str) -> Result<Head, Status> {
        given("name", name)?;
        self.gate.shelf().head(name).await.map_err(by("name"))
    }

    async fn with(&self, head: &Head, version: Version) -> Result<ModelVersion, Status> {
        let tags = self.gate.shelf().tags(&version.name, version.version).await;
        let tags = tags.map_err(|fault| status(fault.into()))?;
        Ok(shown::version(version, head, tags))
    }
}

/// A refusal in gRPC's words.
pub(crate) fn status(fault: Fault) -> Status {
    match fault {
        Fault::Refused(Refusal::NotFound(text)) => Status::not_found(text),
        Fault::Refused(Refusal::Invalid(text)) => Status::invalid_argument(text),
        Fault::Refused(Refusal::Unmet(text)) => Status::failed_precondition(text),
        Fault::Unavailable(fault) => Status::unavailable(format!("{fault:#}")),
    }
}

/// The same, naming the field of the request by which nothing was found.
pub(crate) fn by(field: &'static str) -> impl Fn(Fault) -> Status {
    move |fault| match fault {
        Fault::Refused(Refusal::NotFound(text)) => Status::not_found(format!("{field}: {text}")),
        other => status(other),
    }
}

/// Refuses a request whose field says nothing.
pub(crate) fn given(field: &str, text: &str) -> Result<(), Status> {
    if text.is_empty() {
        return Err(Status::invalid_argument(format!("{field}: is empty")));
    }
    Ok(())
}

/// A share of units, 0..=100.
pub(crate) fn share(percent: u32) -> Result<u8, Refusal> {
    let fits = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
    fits.ok_or_else(|| Refusal::Invalid(format!("percent: {percent} is not within 0..=100")))
}

/// What was sent, put together.
async fn received(
    mut parts: Streaming<RegisterRequest>,
    most: u64,
) -> Result<(wire::RegisterHead, BTreeMap<String, Vec<u8>>), Status> {
    let (mut head, mut files) = (None, BTreeMap::<String, Vec<u8>>::new());
    let (mut open, mut bytes) = (String::new(), 0);
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(register_request::Part::Head(found)) => head = Some(found),
            Some(register_request::Part::Chunk(chunk)) => {
                if !chunk.file.is_empty() {
                    open = chunk.file;
                }
                if open.is_empty() || open.contains(['/', '\\']) || open.starts_with('.') {
                    return Err(Status::invalid_argument(format!(
                        "chunk.file: {open:?} is no name of a file"
                    )));
                }
                bytes += chunk.bytes.len() as u64;
                if bytes > most {
                    return Err(Status::invalid_argument(format!(
                        "the files have more than {most} bytes"
                    )));
                }
                files.entry(open.clone()).or_default().extend(chunk.bytes);
            }
            None => return Err(Status::invalid_argument("part: is missing")),
        }
    }
    let head = head.ok_or_else(|| Status::invalid_argument("head: is missing"))?;
    Ok((head, files))
}

#[tonic::async_trait]
impl ModelRegistry for Answers {
    async fn register(
        &self,
        request: Request<Streaming<RegisterRequest>>,
    ) -> Result<Response<ModelVersion>, Status> {
        let (head, files) = received(request.into_inner(), self.gate.most()).await?;
        let parcel = Parcel {
            name: head.name,
            files,
            actor: head.actor.clone(),
            run_id: head.run_id,
            source: String::new(),
        };
        let version = self.gate.register(parcel).await.map_err(status)?;
        if !head.tags.is_empty() {
            let tags: Vec<_> = head
                .tags
                .into_iter()
                .map(|(tag, value)| (tag, Some(value)))
                .collect();
            let tagged = self.gate.shelf().tag(&version.name, version.version, &tags).await;
            tagged.map_err(status)?;
        }
        if !head.alias.is_empty() {
            let gift = Gift {
                alias: head.alias,
                version: version.version,
                percent: 0,
                experiment: String::new(),
                actor: head.actor,
                note: head.note,
                cause: Cause::Register,
            };
            self.gate.give(&version.name, &gift).await.map_err(status)?;
        }
        self.shown(version).await.map(Response::new)
    }

    async fn list_models(
        &self,
        _request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let heads = self
            .gate
            .shelf()
            .heads()
            .await
            .map_err(|fault| status(fault.into()))?;
        let models = heads.into_iter().map(shown::model).collect();
        Ok(Response::new(ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<RegisteredModel>, Status> {
        let head = self.head(&request.into_inner().name).await?;
        Ok(Response::new(shown::model(head)))
    }

    async fn list_versions(
        &self,
        request: Request<ListModelVersionsRequest>,
    ) -> Result<Response<ListModelVersionsResponse>, Status> {
        let name = request.into_inner().name;
        let head = self.head(&name).await?;
        let found = self
            .gate
            .shelf()
            .versions(&name)
            .await
            .map_err(|fault| status(fault.into()))?;
        let mut versions = Vec::with_capacity(found.len());
        for version in found {
            versions.push(self.with(&head, version).await?);
        }
        Ok(Response::new(ListModelVersionsResponse { versions }))
    }

    async fn get_version(
        &self,
        request: Request<GetModelVersionRequest>,
    ) -> Result<Response<ModelVersion>, Status> {
        let asked = request.into_inner();
        let head = self.head(&asked.name).await?;
        let number = head
            .resolve(&asked.version)
            .map_err(|refusal| by("version")(refusal.into()))?;
        let version = self
            .gate
            .shelf()
            .version(&asked.name, number)
            .await
            .map_err(by("version"))?;
        self.with(&head, version).await.map(Response::new)
    }

    async fn set_alias(
        &self,
        request: Request<SetAliasRequest>,
    ) -> Result<Response<RegisteredModel>, Status> {
        let asked = request.into_inner();
        let head = self.head(&asked.name).await?;
        given("alias", &asked.alias)?;
        if asked.version.is_empty() {
            let now = self.gate.now();
            let taken = self.gate.shelf().change(&asked.name, now, |head| {
                if head.take(&asked.alias, (&asked.actor, &asked.note), Cause::Remove, now) {
                    return Ok(());
                }
                Err(Refusal::NotFound(format!("{} has no alias {}", asked.name, asked.alias)).into())
            });
            return Ok(Response::new(shown::model(taken.await.map_err(by("alias"))?)));
        }
        let version = head
            .resolve(&asked.version)
            .map_err(|refusal| by("version")(refusal.into()))?;
        let percent = share(asked.percent).map_err(|refusal| status(refusal.into()))?;
        let cause = if asked.alias == "champion" {
            Cause::Promote
        } else {
            Cause::Alias
        };
        let gift = Gift {
            alias: asked.alias,
            version,
            percent,
            experiment: asked.experiment,
            actor: asked.actor,
            note: asked.note,
            cause,
        };
        let head = self.gate.give(&asked.name, &gift).await.map_err(status)?;
        Ok(Response::new(shown::model(head)))
    }

    async fn rollback(
        &self,
        request: Request<RollbackModelRequest>,
    ) -> Result<Response<RegisteredModel>, Status> {
        let asked = request.into_inner();
        let head = self.head(&asked.name).await?;
        let former = head.former().map_err(|refusal| status(refusal.into()))?;
        let gift = Gift {
            alias: "champion".to_owned(),
            version: former,
            percent: 0,
            experiment: String::new(),
            actor: asked.actor,
            note: asked.note,
            cause: Cause::Rollback,
        };
        let head = self.gate.give(&asked.name, &gift).await.map_err(status)?;
        Ok(Response::new(shown::model(head)))
    }

    type DownloadStream = BoxStream<'static, Result<DownloadChunk, Status>>;

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let digest = request.into_inner().sha256;
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Status::invalid_argument("sha256: is not 64 hexadecimal digits"));
        }
        let found = self
            .gate
            .shelf()
            .file(&digest)
            .await
            .map_err(|fault| status(fault.into()))?;
        let bytes = found.ok_or_else(|| Status::not_found(format!("sha256: there is no file {digest}")))?;
        let pieces: Vec<_> = bytes
            .chunks(PIECE)
            .map(|piece| {
                Ok(DownloadChunk {
                    bytes: piece.to_vec(),
                })
            })
            .collect();
        Ok(Response::new(stream::iter(pieces).boxed()))
    }
}
