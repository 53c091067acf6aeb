//! The feature store, asked what was known of examples at their moments.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use auspex_proto::wire::{FeatureEntity, GetHistoricalFeaturesRequest, TableChunk, TableFormat};
use tonic::Code;

use crate::door::{Door, Place};
use crate::table::join;

/// A join over a large store takes its time.
const PATIENCE: Duration = Duration::from_secs(300);

/// The way to it; cheap to clone, connects when it is used.
#[derive(Debug, Clone)]
pub struct Store(Door);

/// It did not answer; soon it may.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Away(String);

/// What it is asked about entities of a project.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Question<'a> {
    pub(crate) project: &'a str,
    /// The feature service.
    pub(crate) service: &'a str,
    /// The snapshot to answer from; empty: what is there now, which is then kept.
    pub(crate) snapshot: &'a str,
    /// What is known now about then, not what was known then.
    pub(crate) corrected: bool,
}

/// What it answered for one project.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    /// The snapshot that was answered from, and that it keeps.
    pub(crate) snapshot: String,
    /// Name and version of the feature service.
    pub(crate) service: String,
    pub(crate) schema: String,
    /// The columns, in order.
    pub(crate) names: Vec<String>,
    /// The values, row after row in the order asked; NaN is missing.
    pub(crate) values: Vec<f32>,
}

impl Store {
    /// As configured.
    ///
    /// # Errors
    /// The address is none, or the token cannot be sent.
    pub fn of(place: &Place) -> anyhow::Result<Self> {
        Door::of(place, PATIENCE).map(Self)
    }

    /// Asks for all of a project, as known then, from a snapshot that is kept.
    ///
    /// # Errors
    /// As the store says it, or when its answer is not what was asked for.
    pub(crate) async fn ask(
        &self,
        question: &Question<'_>,
        entities: Vec<FeatureEntity>,
    ) -> anyhow::Result<Answer> {
        let (rows, project) = (entities.len(), question.project);
        let asked = GetHistoricalFeaturesRequest {
            project: project.to_owned(),
            feature_service: question.service.to_owned(),
            entities,
            snapshot: question.snapshot.to_owned(),
            keep: question.snapshot.is_empty(),
            corrected: question.corrected,
            format: TableFormat::Parquet.into(),
            ..GetHistoricalFeaturesRequest::default()
        };
        let said = |status: tonic::Status| {
            let text = format!("{project}: {}", status.message());
            match status.code() {
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
                    anyhow::Error::new(Away(text))
                }
                _ => anyhow!(text),
            }
        };
        let mut client = FeatureStoreClient::new(self.0.channel());
        let answer = client.get_historical_features(self.0.request(asked)).await;
        let mut parts = answer.map_err(said)?.into_inner();
        let (mut head, mut bytes) = (None::<TableChunk>, Vec::new());
        while let Some(mut part) = parts.message().await.map_err(said)? {
            bytes.append(&mut part.bytes);
            head.get_or_insert(part);
        }
        let head = head.with_context(|| format!("{project}: nothing was answered"))?;
        let table = bytes::Bytes::from(bytes);
        let values = tokio::task::spawn_blocking({
            let names = head.names.clone();
            move || join::values(table, &names)
        });
        let values = values.await?.map_err(|fault| anyhow!("{project}: {fault}"))?;
        if head.names.is_empty() || values.len() != rows * head.names.len() {
            bail!(
                "{project}: {} values of {} columns were answered for {rows} rows",
                values.len(),
                head.names.len()
            );
        }
        Ok(Answer {
            snapshot: head.snapshot,
            service: head.feature_service,
            schema: head.schema_hash,
            names: head.names,
            values,
        })
    }
}
