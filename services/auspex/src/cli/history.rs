//! `auspex history`: what passed, whether the archive of it is whole, and putting it back.

mod local;
mod retire;
mod show;

use std::path::PathBuf;

use auspex_proto::wire::history_client::HistoryClient;
use auspex_proto::wire::{
    AuditRequest, ExportKind, ExportRequest, ListSegmentsRequest, RangeRequest, RolloutFactsRequest, Track,
    VerifyRequest,
};
use clap::{Args, Subcommand};
use tokio::io::AsyncWriteExt as _;

pub(crate) use self::local::{Place, Restore, offer};
use super::reach::{Line, Reach};
use super::{Output, print};
use crate::fault::Fault;

/// A message of an answer: a piece of a file, a fact, or the list of segments.
const LARGEST: usize = 32 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// The segments of the archive
    List {
        /// How to show them
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Everything that bears on a rollout, oldest first
    Facts(Facts),
    /// A metric over time
    Range(Range),
    /// Facts or measurements as a Parquet file
    Export(Export),
    /// Who asked for what, and what decided
    Audit(Audit),
    /// How the archive and the metrics are doing, as the service sees it
    Status {
        /// Read the whole archive again first
        #[arg(long)]
        now: bool,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Read an archive and say whether it is what was written; exit code 1 when it is not
    Verify(local::Verify),
    /// Put what was kept back into a log that was lost; of a damaged archive what can be saved
    Restore(local::Restore),
    /// Say that no archive is kept any more, so that intake does not wait for one
    Retire(retire::Retire),
}

#[derive(Debug, Args)]
pub(crate) struct Facts {
    /// Name of the rollout
    rollout: String,
    /// Its project; needed when several have a rollout of that name
    #[arg(long, default_value = "")]
    project: String,
    /// Also what was observed of its service meanwhile
    #[arg(long)]
    observations: bool,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A span of time.
#[derive(Debug, Clone, Args)]
struct Span {
    /// Since when: RFC 3339, or so long ago as in 15m, 6h, 7d
    #[arg(long, value_name = "TIME", value_parser = local::instant)]
    from: Option<i64>,
    /// Until when, exclusive
    #[arg(long, value_name = "TIME", value_parser = local::instant)]
    until: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Range {
    /// Name of the metric, as in requests, latency_ms, cpu
    metric: String,
    /// Only of this project
    #[arg(long, default_value = "")]
    project: String,
    /// Only of this service
    #[arg(long, default_value = "")]
    service: String,
    /// Only of this track: stable or candidate
    #[arg(long, value_parser = ["stable", "candidate"])]
    track: Option<String>,
    /// Only of this region
    #[arg(long, default_value = "")]
    region: String,
    #[command(flatten)]
    span: Span,
    /// Width of a window, as in 10s, 5m; by itself, at most 500 windows
    #[arg(long, value_name = "DURATION", value_parser = local::step)]
    step: Option<i64>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file to write
    #[arg(long, value_name = "FILE.parquet")]
    to: PathBuf,
    /// One row per measurement instead of one per fact
    #[arg(long)]
    observations: bool,
    /// Only of this project
    #[arg(long, default_value = "")]
    project: String,
    /// Only facts of this kind (event, decision, ...); may be repeated
    #[arg(long = "fact", value_name = "KIND")]
    facts: Vec<String>,
    #[command(flatten)]
    span: Span,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only of this project
    #[arg(long, default_value = "")]
    project: String,
    /// Only of this rollout
    #[arg(long, default_value = "")]
    rollout: String,
    /// Only what this person or tool asked for; `auspex` for decisions
    #[arg(long, default_value = "")]
    actor: String,
    #[command(flatten)]
    span: Span,
    /// The newest so many, at most 5,000
    #[arg(long, default_value_t = 1_000)]
    limit: u32,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

async fn client(reach: &Reach) -> Result<HistoryClient<Line>, Fault> {
    Ok(HistoryClient::new(reach.open().await?).max_decoding_message_size(LARGEST))
}

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        match self {
            Self::List { output } => {
                let answer = client(reach)
                    .await?
                    .list(ListSegmentsRequest {})
                    .await?
                    .into_inner();
                match output {
                    Output::Text => print::text(&show::segments(&answer)),
                    Output::Json => print::json(&show::segments_document(&answer)),
                }
            }
            Self::Status { now, output } => {
                let answer = client(reach)
                    .await?
                    .verify(VerifyRequest { now })
                    .await?
                    .into_inner();
                match output {
                    Output::Text => print::text(&show::status(&answer)),
                    Output::Json => print::json(&show::status_document(&answer)),
                }
            }
            Self::Facts(facts) => facts.carry_out(reach).await,
            Self::Range(range) => range.carry_out(reach).await,
            Self::Export(export) => export.carry_out(reach).await,
            Self::Audit(audit) => audit.carry_out(reach).await,
            Self::Verify(verify) => verify.carry_out().await,
            Self::Restore(restore) => Box::pin(restore.carry_out()).await,
            Self::Retire(retire) => retire.carry_out().await,
        }
    }
}

impl Facts {
    async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let request = RolloutFactsRequest {
            project: self.project,
            rollout: self.rollout,
            observations: self.observations,
        };
        let mut answers = client(reach).await?.facts(request).await?.into_inner();
        let mut documents = Vec::new();
        while let Some(fact) = answers.message().await? {
            match self.output {
                Output::Text => print::line(&show::fact(&fact))?,
                Output::Json => documents.push(show::fact_document(&fact)),
            }
        }
        match self.output {
            Output::Text => Ok(()),
            Output::Json => print::json(&documents.into()),
        }
    }
}

impl Range {
    async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let track = match self.track.as_deref() {
            Some("stable") => Track::Stable,
            Some("candidate") => Track::Candidate,
            _ => Track::Unspecified,
        };
        let request = RangeRequest {
            metric: self.metric,
            project: self.project,
            service: self.service,
            track: track.into(),
            region: self.region,
            from_ms: self.span.from.unwrap_or_default(),
            to_ms: self.span.until.unwrap_or_default(),
            step_ms: self.step.unwrap_or_default(),
        };
        let answer = client(reach).await?.range(request).await?.into_inner();
        match self.output {
            Output::Text => print::text(&show::range(&answer)),
            Output::Json => print::json(&show::range_document(&answer)),
        }
    }
}

impl Export {
    async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let kind = if self.observations {
            ExportKind::Observations
        } else {
            ExportKind::Facts
        };
        let request = ExportRequest {
            kind: kind.into(),
            project: self.project,
            facts: self.facts,
            from_ms: self.span.from.unwrap_or_default(),
            to_ms: self.span.until.unwrap_or_default(),
        };
        let mut answers = client(reach).await?.export(request).await?.into_inner();
        let at = |fault: std::io::Error| Fault::failed(format!("{}: {fault}", self.to.display()));
        // Beside it first: a file of that name is whole.
        let beside = self.to.with_extension("part");
        let mut file = tokio::fs::File::create(&beside).await.map_err(at)?;
        let mut bytes = 0;
        while let Some(piece) = answers.message().await? {
            file.write_all(&piece.bytes).await.map_err(at)?;
            bytes += piece.bytes.len();
        }
        file.sync_all().await.map_err(at)?;
        tokio::fs::rename(&beside, &self.to).await.map_err(at)?;
        print::line(&format!("{}: {bytes} bytes", self.to.display()))
    }
}

impl Audit {
    async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let request = AuditRequest {
            project: self.project,
            rollout: self.rollout,
            actor: self.actor,
            from_ms: self.span.from.unwrap_or_default(),
            to_ms: self.span.until.unwrap_or_default(),
            limit: self.limit,
        };
        let entries = client(reach).await?.audit(request).await?.into_inner().entries;
        match self.output {
            Output::Text => print::text(&show::audit(&entries)),
            Output::Json => print::json(&show::audit_document(&entries)),
        }
    }
}
