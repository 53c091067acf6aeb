//! From what was found to what is answered.

use std::sync::{Arc, Mutex, PoisonError};

use auspex_proto::subject::FACT_KINDS;
use auspex_proto::wire;
use auspex_proto::{Timestamp, Track};
use tonic::Status;

use crate::archive::chain::{Link, Report, name};
use crate::feed;
use crate::series::{Ask, Series, TimeSeries, Window};
use crate::shelf::Filter;
use crate::table::Rows;
use crate::upkeep::Checked;

/// An hour: what a question without a beginning is about.
const HOUR_MS: i64 = 3_600_000;

pub(super) fn ask(asked: wire::RangeRequest, now: Timestamp) -> Result<Ask, Status> {
    let track = match wire::Track::try_from(asked.track) {
        Ok(wire::Track::Unspecified) => None,
        Ok(wire::Track::Stable) => Some(Track::Stable),
        Ok(wire::Track::Candidate) => Some(Track::Candidate),
        Err(_) => {
            return Err(Status::invalid_argument(format!(
                "track: {} is not a track",
                asked.track
            )));
        }
    };
    let to_ms = if asked.to_ms == 0 { now.0 + 1 } else { asked.to_ms };
    let from_ms = match asked.from_ms {
        0 => (to_ms - HOUR_MS).max(0),
        from => from,
    };
    let ask = Ask {
        metric: asked.metric,
        project: asked.project,
        service: asked.service,
        track,
        region: asked.region,
        from_ms,
        to_ms,
        step_ms: asked.step_ms,
    };
    ask.on_grid().map_err(Status::invalid_argument)
}

pub(super) fn range(ask: &Ask, found: Vec<Series>) -> wire::RangeResponse {
    let series = found.into_iter().map(|series| wire::MetricSeries {
        track: match series.track {
            None => wire::Track::Unspecified,
            Some(Track::Stable) => wire::Track::Stable,
            Some(Track::Candidate) => wire::Track::Candidate,
        }
        .into(),
        project: series.project,
        service: series.service,
        region: series.region,
        metric: ask.metric.clone(),
        windows: series.windows.iter().map(window).collect(),
    });
    wire::RangeResponse {
        series: series.collect(),
        step_ms: ask.step_ms,
    }
}

fn window(window: &Window) -> wire::MetricWindow {
    wire::MetricWindow {
        start_ms: window.start_ms,
        points: window.points,
        bad: window.bad,
        total: window.total,
        value: window.value(),
        min: window.min,
        max: window.max,
        p50: window.p50,
        p95: window.p95,
        p99: window.p99,
    }
}

/// A span of time, 0 where an end of it is not told.
pub(super) fn span(from_ms: i64, to_ms: i64) -> Result<(i64, i64), Status> {
    if from_ms < 0 || to_ms < 0 || (to_ms != 0 && to_ms <= from_ms) {
        let told = format!("from_ms: {from_ms} is not before to_ms, {to_ms}");
        return Err(Status::invalid_argument(told));
    }
    Ok((from_ms, to_ms))
}

pub(super) fn export(asked: &wire::ExportRequest, rows: Rows) -> Result<Filter, Status> {
    let known = |kind: &&String| FACT_KINDS.iter().any(|known| known.token() == kind.as_str());
    if let Some(unknown) = asked.facts.iter().find(|kind| !known(kind)) {
        let all: Vec<&str> = FACT_KINDS.iter().map(|kind| kind.token()).collect();
        return Err(Status::invalid_argument(format!(
            "facts: {unknown} is none of {}",
            all.join(", ")
        )));
    }
    let kinds = match rows {
        Rows::Facts => asked.facts.iter().cloned().collect(),
        Rows::Observations => [auspex_proto::FactKind::Observation.token().to_owned()].into(),
    };
    let project = Some(&asked.project).filter(|p| !p.is_empty());
    let (from_ms, to_ms) = span(asked.from_ms, asked.to_ms)?;
    Ok(Filter {
        kinds,
        marks: project.map(|p| [crate::archive::summary::project(p)].into()),
        from_ms,
        to_ms,
    })
}

pub(super) fn metrics(
    series: Option<&Arc<dyn TimeSeries>>,
    state: &Mutex<feed::State>,
) -> wire::MetricsState {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
    wire::MetricsState {
        database: series.map_or("off", |series| series.name()).to_owned(),
        written: state.written,
        refused: state.refused,
        spooled_bytes: state.spooled_bytes,
        away_since_ms: state.away_since_ms,
        last_fault: state.last_fault,
    }
}

pub(super) fn verified(checked: Checked, waiting: u64, metrics: wire::MetricsState) -> wire::VerifyResponse {
    let at = checked.at;
    let report: Report = checked.report;
    let fault = |fault: crate::archive::chain::SegmentFault| wire::SegmentFault {
        segment: fault.segment,
        name: fault.name,
        fault: fault.fault.as_str().to_owned(),
        detail: fault.detail,
    };
    wire::VerifyResponse {
        sound: report.sound,
        checked_ms: at.0,
        segments: report.segments,
        facts: report.facts,
        first_sequence: report.first_sequence,
        last_sequence: report.last_sequence,
        head: report.head,
        faults: report.faults.into_iter().map(fault).collect(),
        gaps: report.gaps,
        waiting,
        metrics: Some(metrics),
        ..wire::VerifyResponse::default()
    }
}

pub(super) fn segment(link: &Link) -> wire::ArchiveSegment {
    let head = &link.head;
    wire::ArchiveSegment {
        number: head.number,
        name: name(head.number),
        sha256: link.sha256.clone(),
        bytes: link.bytes,
        facts: head.facts,
        first_sequence: head.first_sequence,
        last_sequence: head.last_sequence,
        first_time_ms: head.first_time_ms,
        last_time_ms: head.last_time_ms,
        log_created_ms: head.log_created_ms,
    }
}
