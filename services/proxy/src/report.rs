//! One second's counts as facts. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::observation::{Applied, Value};
use auspex_proto::{
    FactId, Meta, Observation, ObservationBatch, Project, RouterReport, ServiceName, Timestamp, Track,
};

use crate::plan::Readiness;
use crate::tally::{BOUNDS_US, Counts, Interval};

/// Services in one batch: a batch then stays below a third of a megabyte.
const SERVICES_PER_BATCH: usize = 200;

/// Which interval, seen by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The proxy's name.
    pub instance: String,
    /// Its region; empty when there is one only.
    pub region: String,
    /// Its environment; empty: nobody told.
    pub environment: String,
    /// Start of the interval.
    pub start: Timestamp,
    /// Its length: a second, or more when the process was held up.
    pub length: Duration,
}

/// One service in that interval.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Line {
    pub project: Project,
    pub service: ServiceName,
    pub counts: Interval,
    /// Whether it was on trial at any time of the interval.
    pub on_trial: bool,
    /// Whether latency is judged.
    pub judges_latency: bool,
    pub stable: Readiness,
    /// `None`: there is no candidate.
    pub candidate: Option<Readiness>,
    /// By which decision; `None`: none yet.
    pub decision: Option<FactId>,
    /// The candidate's share as it is carried out, 0..=100.
    pub weight: u8,
    pub suspended: bool,
}

/// One batch per project (more where it has very many services); none for a project with nothing to say.
#[must_use]
pub fn batches(frame: &Frame, lines: &[Line]) -> Vec<ObservationBatch> {
    let mut projects: BTreeMap<&Project, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        projects.entry(&line.project).or_default().push(line);
    }
    let mut out = Vec::new();
    for (project, lines) in projects {
        for (index, lines) in lines.chunks(SERVICES_PER_BATCH).enumerate() {
            let observations: Vec<Observation> =
                lines.iter().flat_map(|line| observations(frame, line)).collect();
            let applied: Vec<Applied> = lines.iter().filter_map(|line| applied(frame, line)).collect();
            if !observations.is_empty() || !applied.is_empty() {
                out.push(ObservationBatch {
                    meta: meta(frame, project, index),
                    observations,
                    applied,
                    environment: frame.environment.clone(),
                });
            }
        }
    }
    out
}

fn meta(frame: &Frame, project: &Project, index: usize) -> Meta {
    let source = format!("proxy/{}", frame.instance);
    Meta {
        id: FactId::outside(&source, &format!("{}/{index}", frame.start.0)),
        project: project.clone(),
        time: frame.start + frame.length,
        cause: 0,
        source,
    }
}

fn applied(frame: &Frame, line: &Line) -> Option<Applied> {
    let decision = line.decision.clone()?;
    Some(Applied {
        service: line.service.clone(),
        decision: Some(decision),
        weight: line.weight,
        suspended: line.suspended,
        instance: frame.instance.clone(),
        report: RouterReport {
            region: frame.region.clone(),
            ..RouterReport::default()
        },
    })
}

/// While on trial both tracks are reported even when nothing came: silence must be seen. Otherwise only what was counted.
fn observations(frame: &Frame, line: &Line) -> Vec<Observation> {
    let mut out = Vec::new();
    let stable = line.on_trial.then_some(Track::Stable);
    track(frame, line, (stable, &line.counts.stable, line.stable), &mut out);
    if line.on_trial && line.candidate.is_some() || line.counts.candidate != Counts::default() {
        let ready = line.candidate.unwrap_or_default();
        track(
            frame,
            line,
            (Some(Track::Candidate), &line.counts.candidate, ready),
            &mut out,
        );
    }
    out
}

fn track(
    frame: &Frame,
    line: &Line,
    (track, counts, ready): (Option<Track>, &Counts, Readiness),
    out: &mut Vec<Observation>,
) {
    let mut push = |metric: &str, value: Value| {
        out.push(Observation {
            service: line.service.clone(),
            track,
            region: frame.region.clone(),
            metric: metric.to_owned(),
            instance: frame.instance.clone(),
            start: frame.start,
            length: frame.length,
            value,
        });
    };
    if line.on_trial || counts.total() > 0 {
        push(
            "requests",
            Value::Counts {
                bad: counts.bad,
                total: counts.total(),
            },
        );
    }
    let judged = counts.fast + counts.slow;
    if line.judges_latency && line.on_trial || judged > 0 {
        push(
            "slow",
            Value::Counts {
                bad: counts.slow,
                total: judged,
            },
        );
    }
    if counts.total() > 0 {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1_000.0).collect();
        let sum = counts.sum_us as f64 / 1_000.0;
        push(
            "latency_ms",
            Value::Histogram {
                bounds,
                counts: counts.latency.to_vec(),
                sum,
            },
        );
    }
    if line.on_trial {
        match ready {
            Readiness::Up => push("ready", Value::Gauge(1.0)),
            Readiness::Down => push("ready", Value::Gauge(0.0)),
            // No data is not a zero.
            Readiness::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use auspex_proto::{Fact, FactKind};

    use super::*;

    fn frame() -> Frame {
        Frame {
            instance: "proxy-1".to_owned(),
            region: "eu".to_owned(),
            environment: "production".to_owned(),
            start: Timestamp(5_000),
            length: Duration::from_secs(1),
        }
    }

    fn line(project: &str, on_trial: bool) -> Line {
        Line {
            project: Project::new(project).unwrap(),
            service: ServiceName::new("shop").unwrap(),
            counts: Interval::default(),
            on_trial,
            judges_latency: true,
            stable: Readiness::Up,
            candidate: Some(Readiness::Unknown),
            decision: on_trial.then(|| FactId::new("d").unwrap()),
            weight: 5,
            suspended: false,
        }
    }

    fn metrics(batch: &ObservationBatch) -> Vec<(Option<Track>, &str)> {
        batch
            .observations
            .iter()
            .map(|o| (o.track, o.metric.as_str()))
            .collect()
    }

    #[test]
    fn silence_is_reported_while_on_trial_and_only_then() {
        let found = batches(&frame(), &[line("a", true), line("b", false)]);
        assert_eq!(found.len(), 1, "nothing happened in b, which is not on trial");
        let (stable, candidate) = (Some(Track::Stable), Some(Track::Candidate));
        let expected = [
            (stable, "requests"),
            (stable, "slow"),
            (stable, "ready"),
            (candidate, "requests"),
            (candidate, "slow"),
        ];
        assert_eq!(metrics(&found[0]), expected);
        assert_eq!(found[0].observations[3].value, Value::Counts { bad: 0, total: 0 });
        assert_eq!(found[0].applied[0].weight, 5);
    }

    #[test]
    fn what_was_counted_is_reported_and_survives_the_wire() {
        let mut busy = line("b", false);
        busy.counts.stable = Counts {
            good: 3,
            bad: 1,
            ..Counts::default()
        };
        busy.counts.stable.latency[2] = 4;
        busy.counts.candidate.bad = 1;
        let found = batches(&frame(), &[busy]);
        let tracks = [
            (None, "requests"),
            (None, "latency_ms"),
            (Some(Track::Candidate), "requests"),
        ];
        assert_eq!(metrics(&found[0])[..3], tracks);
        let fact = Fact::Observations(found[0].clone());
        assert_eq!(Fact::decode(FactKind::Observation, &fact.encode()).unwrap(), fact);
    }

    #[test]
    fn ids_are_of_the_instance_and_the_interval() {
        let id = |frame: &Frame| batches(frame, &[line("a", true)])[0].meta.id.clone();
        let (mut other, mut later) = (frame(), frame());
        other.instance = "proxy-2".to_owned();
        later.start = Timestamp(6_000);
        assert_eq!(id(&frame()), id(&frame()));
        assert!(id(&frame()) != id(&other) && id(&frame()) != id(&later));
    }
}
