//! Questions about what passed.

mod answers;
mod pieces;

use std::sync::{Arc, Mutex, PoisonError};

use auspex_chassis::Bus;
use auspex_proto::wire::history_server::{History, HistoryServer};
use auspex_proto::wire::{
    ArchivedFact, AuditRequest, AuditResponse, ExportChunk, ExportKind, ExportRequest, ListSegmentsRequest,
    ListSegmentsResponse, RangeRequest, RangeResponse, RolloutFactsRequest, VerifyRequest, VerifyResponse,
};
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::feed;
use crate::search::{AUDITED, Audit, Rollout};
use crate::series::TimeSeries;
use crate::shelf::{Filter, Shelf};
use crate::table::Rows;
use crate::upkeep::Checked;

/// Entries of the audit when no number is asked for.
const ENTRIES: usize = 1_000;
/// The most entries: below gRPC's own limit of 4 MB.
const MOST_ENTRIES: usize = 5_000;

/// What answers are made from. Absent parts are those that are switched off.
#[derive(Clone)]
pub struct Answers {
    /// The bus.
    pub bus: Bus,
    /// The archive; `None` when nothing is kept.
    pub shelf: Option<Shelf>,
    /// The database of metrics.
    pub series: Option<Arc<dyn TimeSeries>>,
    /// What is known of it.
    pub feed: Arc<Mutex<feed::State>>,
    /// What was found when the archive was last read.
    pub checked: Arc<Mutex<Checked>>,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    /// As a gRPC service.
    #[must_use]
    pub fn server(self) -> HistoryServer<Self> {
        HistoryServer::new(self)
    }

    fn shelf(&self) -> Result<&Shelf, Status> {
        let off = || Status::failed_precondition("nothing is kept: history.folder is empty");
        self.shelf.as_ref().ok_or_else(off)
    }

    /// How many facts of the log are not in a segment yet.
    async fn waiting(&self, shelf: &Shelf) -> Result<u64, Status> {
        let ends = self.bus.log_ends().await.map_err(|f| unavailable(&f))?;
        let index = shelf.archive.index().await.map_err(|f| unavailable(&f))?;
        let last = index
            .last()
            .filter(|link| link.head.log_created_ms == ends.created.0);
        match last {
            Some(link) => Ok(ends.last.saturating_sub(link.head.last_sequence)),
            None => Ok(ends.messages),
        }
    }
}

fn unavailable(fault: &anyhow::Error) -> Status {
    Status::unavailable(format!("{fault:#}"))
}

#[tonic::async_trait]
impl History for Answers {
    type FactsStream = BoxStream<'static, Result<ArchivedFact, Status>>;
    type ExportStream = BoxStream<'static, Result<ExportChunk, Status>>;

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let off = || {
            Status::failed_precondition(
                "metrics are not kept: history.folder is empty, or history.metrics.database is off",
            )
        };
        let series = self.series.as_ref().ok_or_else(off)?;
        let ask = answers::ask(request.into_inner(), auspex_chassis::clock::now())?;
        let found = series.range(&ask).await.map_err(|f| unavailable(&f))?;
        Ok(Response::new(answers::range(&ask, found)))
    }

    async fn facts(
        &self,
        request: Request<RolloutFactsRequest>,
    ) -> Result<Response<Self::FactsStream>, Status> {
        let asked = request.into_inner();
        let shelf = self.shelf()?.clone();
        let mut rollout = Rollout::named(&asked.project, &asked.rollout);
        let mut filter = Filter {
            marks: Some(rollout.marks()),
            ..Filter::default()
        };
        let learn = |fact: ArchivedFact| {
            rollout.learn(&fact, &asked.project);
            Ok(())
        };
        shelf.each(&filter, learn).await.map_err(|f| unavailable(&f))?;
        if !rollout.is_known() {
            return Err(Status::not_found(format!(
                "there is no rollout {} in the history",
                asked.rollout
            )));
        }
        if rollout.projects().len() > 1 {
            let projects: Vec<&str> = rollout.projects().iter().map(String::as_str).collect();
            let text = format!(
                "several projects have a rollout {}: {}",
                asked.rollout,
                projects.join(", ")
            );
            return Err(Status::failed_precondition(text));
        }
        filter.marks = (!asked.observations).then(|| rollout.marks());
        let concerns = move |fact: &ArchivedFact| rollout.concerns(fact, asked.observations);
        Ok(Response::new(pieces::facts(shelf, filter, concerns)))
    }

    async fn export(&self, request: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let asked = request.into_inner();
        let shelf = self.shelf()?.clone();
        let rows = match ExportKind::try_from(asked.kind) {
            Ok(ExportKind::Unspecified | ExportKind::Facts) => Rows::Facts,
            Ok(ExportKind::Observations) => Rows::Observations,
            Err(_) => {
                return Err(Status::invalid_argument(format!(
                    "kind: {} is not known",
                    asked.kind
                )));
            }
        };
        let filter = answers::export(&asked, rows)?;
        Ok(Response::new(pieces::export(shelf, filter, rows, asked.project)))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let shelf = self.shelf()?;
        if request.into_inner().now {
            let report = shelf.archive.verify(None).await.map_err(|f| unavailable(&f))?;
            self.known().found(report);
        }
        let (oldest, read, mut away) = {
            let tail = shelf.tail.read().await;
            (tail.oldest_ms(), tail.facts.len() as u64, tail.away.clone())
        };
        let waiting = self.waiting(shelf).await.unwrap_or_else(|fault| {
            // How the archive is doing must be told above all when it is away.
            if away.is_empty() {
                fault.message().clone_into(&mut away);
            }
            read
        });
        let metrics = answers::metrics(self.series.as_ref(), &self.feed);
        let checked = self.known().clone();
        Ok(Response::new(VerifyResponse {
            oldest_waiting_ms: oldest,
            archive_fault: away,
            ..answers::verified(checked, waiting, metrics)
        }))
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        let asked = request.into_inner();
        let limit = match usize::try_from(asked.limit).unwrap_or(MOST_ENTRIES) {
            0 => ENTRIES,
            limit => limit.min(MOST_ENTRIES),
        };
        let audit = Audit {
            project: asked.project,
            rollout: asked.rollout,
            actor: asked.actor,
        };
        let (from_ms, to_ms) = answers::span(asked.from_ms, asked.to_ms)?;
        let filter = Filter {
            kinds: AUDITED.map(str::to_owned).into(),
            marks: audit.marks(),
            from_ms,
            to_ms,
        };
        // The newest are what a person looks for.
        let mut entries = std::collections::VecDeque::new();
        let collect = |fact: ArchivedFact| {
            if let Some(entry) = audit.entry(&fact) {
                if entries.len() == limit {
                    entries.pop_front();
                }
                entries.push_back(entry);
            }
            Ok(())
        };
        let shelf = self.shelf()?;
        shelf.each(&filter, collect).await.map_err(|f| unavailable(&f))?;
        Ok(Response::new(AuditResponse {
            entries: entries.into(),
        }))
    }

    async fn list(&self, _: Request<ListSegmentsRequest>) -> Result<Response<ListSegmentsResponse>, Status> {
        let shelf = self.shelf()?;
        let index = shelf.archive.index().await.map_err(|f| unavailable(&f))?;
        Ok(Response::new(ListSegmentsResponse {
            location: shelf.archive.location().to_owned(),
            waiting: self.waiting(shelf).await?,
            segments: index.iter().map(answers::segment).collect(),
        }))
    }
}

impl Answers {
    fn known(&self) -> std::sync::MutexGuard<'_, Checked> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
