//! Reading and writing features.

use std::path::PathBuf;

use auspex_proto::wire::{
    FeatureEntity, GetHistoricalFeaturesRequest, GetOnlineFeaturesRequest, ListViewsRequest, PushRequest,
    PushRow, TableChunk, TableFormat, ViewAbout,
};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::parse::{labels, row};
use super::{client, entity, moment, show};
use crate::cli::reach::Reach;
use crate::cli::{Output, print, read};
use crate::fault::Fault;

/// Rows of one request: a larger one is no faster, and takes the server more memory than a few thousand entities.
const AT_ONCE: usize = 250;

/// The features of entities.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Entities, as in service=shop or service=shop,region=eu, or '{"customer": "a,b"}'; a change by change=REVISION
    #[arg(required = true, value_name = "KEY=VALUE[,...]")]
    entities: Vec<String>,
    /// Of which project
    #[arg(long)]
    project: String,
    /// A service
    #[arg(long, default_value = "")]
    service: String,
    /// Or features, as in orders or orders:amount; when neither is told, every view of these keys
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// As known at this time: RFC 3339, a day, or a duration ago as in 2h
    #[arg(long)]
    as_of: Option<String>,
    /// With --as-of: what is known now about then, corrections included
    #[arg(long, requires = "as_of")]
    corrected: bool,
    /// What comes with the request, as in amount=3
    #[arg(long, value_name = "NAME=NUMBER")]
    request: Vec<String>,
    /// As scaled by the views' fitted normalisation
    #[arg(long)]
    scaled: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Rows for a view.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Which view
    view: String,
    /// Of which project
    #[arg(long)]
    project: String,
    /// One JSON object a line: join keys and columns by name, and if wanted event_timestamp, created, id; - is standard input
    #[arg(long, default_value = "-")]
    file: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A point-in-time join.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Of which project
    #[arg(long)]
    project: String,
    /// A service
    #[arg(long, default_value = "")]
    service: String,
    /// Or features, as in orders or orders:amount
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// CSV with a head, or JSON lines: join keys and event_timestamp; - is standard input
    #[arg(long)]
    entities: PathBuf,
    /// Where the table goes
    #[arg(long)]
    out: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// What is known now about then, corrections included; else what was known then
    #[arg(long)]
    corrected: bool,
    /// Answer from this snapshot
    #[arg(long, default_value = "")]
    snapshot: String,
    /// Keep what is answered from as a snapshot
    #[arg(long)]
    keep: bool,
    /// As scaled by the views' fitted normalisation
    #[arg(long)]
    scaled: bool,
    /// How to show what was done
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Parquet
    #[default]
    Parquet,
    /// Arrow's file format
    Arrow,
}

impl Get {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut entities = self
            .entities
            .iter()
            .map(|e| entity(e))
            .collect::<Result<Vec<_>, _>>()?;
        if entities
            .iter()
            .all(|e| e.keys.len() == 1 && e.keys.contains_key("change"))
            && self.as_of.is_none()
        {
            return self.changes(reach, entities).await;
        }
        for pair in &self.request {
            let number = pair
                .split_once('=')
                .and_then(|(name, n)| Some((name, n.parse::<f64>().ok().filter(|n| n.is_finite())?)));
            let (name, number) =
                number.ok_or_else(|| Fault::invalid(format!("--request {pair}: is not NAME=NUMBER")))?;
            entities.iter_mut().for_each(|entity| {
                entity.request.insert(name.to_owned(), number);
            });
        }
        let features = self.wanted(reach, &entities).await?;
        if let Some(as_of) = &self.as_of {
            let at = moment(as_of)?;
            entities.iter_mut().for_each(|entity| entity.time_ms = at);
            let request = GetHistoricalFeaturesRequest {
                project: self.project,
                feature_service: self.service,
                features,
                corrected: self.corrected,
                scaled: self.scaled,
                entities: entities.clone(),
                ..GetHistoricalFeaturesRequest::default()
            };
            let (head, bytes) = table(reach, request).await?;
            return show::past(&head, bytes, &entities, self.output);
        }
        let request = GetOnlineFeaturesRequest {
            project: self.project,
            feature_service: self.service,
            features,
            entities: entities.clone(),
            scaled: self.scaled,
            ..GetOnlineFeaturesRequest::default()
        };
        let found = client(reach)
            .await?
            .get_online_features(request)
            .await?
            .into_inner();
        show::present(&found, &entities, self.output)
    }

    /// What is asked for; by default every view that these keys are enough for.
    async fn wanted(&self, reach: &Reach, entities: &[FeatureEntity]) -> Result<Vec<String>, Fault> {
        if !self.service.is_empty() || !self.features.is_empty() {
            return Ok(self.features.clone());
        }
        let views = views(reach).await?;
        let enough = |view: &&ViewAbout| {
            let keys = join_keys(view, &views);
            let asked = match view.kind.as_str() {
                "FeatureView" => true,
                // What it computes of views, and of nothing that comes with the request.
                "OnDemandFeatureView" => {
                    !keys.is_empty() && !view.features.iter().any(|f| f.formula.contains("request."))
                }
                _ => false,
            };
            asked
                && entities
                    .iter()
                    .all(|e| keys.iter().all(|key| e.keys.contains_key(key)))
        };
        let found: Vec<String> = views
            .iter()
            .filter(enough)
            .map(|view| view.name.clone())
            .collect();
        match found.is_empty() {
            true => Err(Fault::invalid(
                "no view has these keys; auspex features list shows them",
            )),
            false => Ok(found),
        }
    }

    async fn changes(self, reach: &Reach, entities: Vec<FeatureEntity>) -> Result<(), Fault> {
        let revisions = entities
            .into_iter()
            .filter_map(|mut entity| entity.keys.remove("change"));
        let request = GetOnlineFeaturesRequest {
            project: self.project,
            revisions: revisions.collect(),
            ..GetOnlineFeaturesRequest::default()
        };
        let found = client(reach)
            .await?
            .get_online_features(request)
            .await?
            .into_inner();
        show::vectors(&found.vectors, self.output)
    }
}

/// The first part's head, and the whole file.
async fn table(reach: &Reach, request: GetHistoricalFeaturesRequest) -> Result<(TableChunk, Vec<u8>), Fault> {
    let mut parts = client(reach)
        .await?
        .get_historical_features(request)
        .await?
        .into_inner();
    let (mut head, mut bytes) = (None, Vec::new());
    while let Some(mut part) = parts.message().await? {
        bytes.append(&mut part.bytes);
        head.get_or_insert(part);
    }
    Ok((
        head.ok_or_else(|| Fault::failed("the server sent no table"))?,
        bytes,
    ))
}

/// Everything that is defined.
async fn views(reach: &Reach) -> Result<Vec<ViewAbout>, Fault> {
    let answer = client(reach).await?.list_views(ListViewsRequest {}).await?;
    Ok(answer.into_inner().views)
}

/// The join keys of a view.
fn join_keys(view: &ViewAbout, all: &[ViewAbout]) -> Vec<String> {
    if view.kind != "FeatureView" {
        return view.entities.clone();
    }
    let key = |entity: &String| {
        let of = all.iter().find(|v| v.kind == "Entity" && v.name == *entity);
        of.and_then(|v| v.entities.first()).unwrap_or(entity).clone()
    };
    view.entities.iter().map(key).collect()
}

impl Push {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let views = views(reach).await?;
        let view = views
            .iter()
            .find(|v| v.kind == "FeatureView" && v.name == self.view);
        let view = view.ok_or_else(|| Fault::failed(format!("view: there is no {}", self.view)))?;
        let keys = join_keys(view, &views);
        let text = read(&self.file)?;
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let named = |(line, number): (&str, u32)| {
            row(line, &keys).map_err(|fault| Fault::invalid(format!("line {number}: {fault}")))
        };
        let numbers: Vec<u32> = lines.clone().map(|(_, number)| number).collect();
        let rows: Vec<PushRow> = lines.map(named).collect::<Result<_, _>>()?;
        if rows.is_empty() {
            return Err(Fault::invalid(format!("{}: holds no row", self.file.display())));
        }
        let mut client = client(reach).await?;
        let (mut accepted, mut sequence, mut visible) = (0, 0, false);
        let requests = rows.chunks(AT_ONCE);
        let last = requests.len();
        for ((chunk, of), number) in requests.zip(numbers.chunks(AT_ONCE)).zip(1..) {
            let request = PushRequest {
                project: self.project.clone(),
                view: self.view.clone(),
                rows: chunk.to_vec(),
                // When the last can be read, those before it can.
                wait: number == last,
            };
            let done = client
                .push(request)
                .await
                .map_err(|status| refused(status, of, accepted))?;
            let done = done.into_inner();
            accepted += done.accepted;
            (sequence, visible) = (done.sequence, done.visible);
        }
        match self.output {
            Output::Json => {
                print::json(&json!({"accepted": accepted, "sequence": sequence, "visible": visible}))
            }
            Output::Text if visible => {
                print::line(&format!("{} in, and can be read", show::rows_are(accepted)))
            }
            Output::Text => print::line(&format!(
                "{} on the log, and can soon be read",
                show::rows_are(accepted)
            )),
        }
    }
}

/// A refusal that names a row by its line, and says what was taken before it.
fn refused(mut status: tonic::Status, lines: &[u32], accepted: u64) -> Fault {
    let row = |text: &str| {
        let (number, rest) = text.strip_prefix("rows[")?.split_once("].")?;
        Some(format!(
            "line {}: {rest}",
            lines.get(number.parse::<usize>().ok()?)?
        ))
    };
    let mut text = row(status.message()).unwrap_or_else(|| status.message().to_owned());
    if accepted > 0 {
        text.push_str(&format!("; before them {} in", show::rows_are(accepted)));
    }
    status = tonic::Status::new(status.code(), text);
    status.into()
}

impl History {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let entities = labels(&read(&self.entities)?)?;
        let request = GetHistoricalFeaturesRequest {
            project: self.project,
            feature_service: self.service,
            features: self.features,
            entities,
            corrected: self.corrected,
            snapshot: self.snapshot,
            keep: self.keep,
            format: match self.format {
                Format::Parquet => TableFormat::Parquet,
                Format::Arrow => TableFormat::Arrow,
            }
            .into(),
            scaled: self.scaled,
        };
        let (head, bytes) = table(reach, request).await?;
        std::fs::write(&self.out, &bytes)
            .map_err(|fault| Fault::failed(format!("{}: {fault}", self.out.display())))?;
        let document = json!({
            "rows": head.rows, "features": head.names, "snapshot": head.snapshot, "schema_hash": head.schema_hash,
            "feature_service": head.feature_service, "bytes": bytes.len(), "out": self.out.display().to_string(),
        });
        match self.output {
            Output::Json => print::json(&document),
            Output::Text => print::line(&format!(
                "{} of {} in {} (snapshot {})",
                print::count(head.rows, "row"),
                print::count(head.names.len() as u64, "feature"),
                self.out.display(),
                head.snapshot
            )),
        }
    }
}
