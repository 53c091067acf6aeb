//! What people and root-cause analysis read beside the model's features: each documented in [`crate::schema::CONTEXT`].

use auspex_proto::vector::{Feature, Status};
use auspex_proto::{ServiceName, Timestamp};
use jiff::tz::TimeZone;

use crate::state::State;
use crate::state::builds::failed;
use crate::state::changes::{Finished, Remembered};
use crate::state::health::Said;

/// When people are there to notice.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkingHours {
    /// Where they are.
    pub zone: TimeZone,
    /// First hour of the day, 0..=23.
    pub from: u8,
    /// First hour after it, 1..=24.
    pub to: u8,
}

/// What a vector is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// As known at this time.
    pub at: Timestamp,
    /// For this service; for all when `None`.
    pub service: Option<&'a ServiceName>,
    /// As it runs in this environment; in all of them when `None`.
    pub environment: Option<&'a str>,
    /// This deployment, which is not part of its own history.
    pub deployment: Option<&'a str>,
}

/// Collects features that are known.
#[derive(Debug, Default)]
struct Told(Vec<Feature>);

impl Told {
    fn add(&mut self, name: &'static str, value: Option<f64>) {
        self.0.extend(value.map(|value| Feature::present(name, value)));
    }

    fn count(&mut self, name: &'static str, value: usize) {
        self.add(name, Some(value as f64));
    }

    fn flag(&mut self, name: &'static str, value: Option<bool>) {
        self.add(name, value.map(|v| if v { 1.0 } else { 0.0 }));
    }
}

/// The context of a question, in the order of the schema.
#[must_use]
pub fn context(
    state: &State,
    remembered: Option<&Remembered>,
    question: Question<'_>,
    hours: &WorkingHours,
) -> Vec<Feature> {
    let mut told = Told::default();
    if let Some(remembered) = remembered {
        paths(&mut told, remembered);
        builds(&mut told, remembered, question.at);
    }
    deployments(&mut told, state, question);
    time(&mut told, question.at, hours);
    health(&mut told, state, question);
    told.0
}

fn paths(told: &mut Told, remembered: &Remembered) {
    let Some(known) = &remembered.change else { return };
    let kinds = known.kinds;
    if !kinds.is_empty() {
        told.add("dependency_files", Some(kinds.dependency.into()));
        told.add("workflow_files", Some(kinds.workflow.into()));
        told.add("schema_files", Some(kinds.schema.into()));
        told.add("infra_files", Some(kinds.infra.into()));
        told.add("config_files", Some(kinds.config.into()));
        let (tests, code) = (f64::from(kinds.test), f64::from(kinds.code));
        told.add("test_ratio", (tests + code > 0.0).then(|| tests / (tests + code)));
    }
    told.add(
        "author_changes",
        known.experience.map(|(before, _)| before.into()),
    );
    told.add(
        "author_gap_days",
        known.experience.and_then(|(_, gap)| gap).map(f64::from),
    );
}

fn builds(told: &mut Told, remembered: &Remembered, at: Timestamp) {
    let runs: Vec<&Finished> = remembered.runs.iter().filter(|run| run.at <= at).collect();
    let most = |of: fn(&Finished) -> Option<f32>| {
        runs.iter()
            .filter_map(|r| of(r))
            .max_by(f32::total_cmp)
            .map(f64::from)
    };
    let verdicts: Vec<bool> = runs.iter().filter_map(|run| failed(run.outcome)).collect();
    told.flag(
        "build_failed",
        (!verdicts.is_empty()).then(|| verdicts.contains(&true)),
    );
    told.add(
        "build_attempts",
        runs.iter().map(|run| run.attempt).max().map(f64::from),
    );
    told.add("build_seconds", most(|run| run.seconds));
    told.add("build_duration_ratio", most(|run| run.ratio));
    told.add("build_queue_seconds", most(|run| run.queued));
    told.add("build_failure_rate", most(|run| run.failure_rate));
}

fn deployments(told: &mut Told, state: &State, question: Question<'_>) {
    let service = question.service.map(ServiceName::as_str);
    let record = state
        .deployments
        .record(service, question.deployment, question.at);
    told.count("deployments", record.concluded);
    told.add("deployment_failure_rate", record.failure_rate);
    told.add("deployment_rollback_rate", record.rollback_rate);
    told.add("hours_since_failure", record.hours_since_failure);
    told.add("hours_since_deployment", record.hours_since_deployment);
    told.count(
        "open_incidents",
        state.deployments.open_incidents(service, question.at),
    );
}

fn time(told: &mut Told, at: Timestamp, hours: &WorkingHours) {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.0) else {
        return;
    };
    let local = instant.to_zoned(hours.zone.clone());
    let (hour, weekday) = (local.hour(), local.weekday().to_monday_one_offset());
    let working = weekday <= 5 && i16::from(hour) >= hours.from.into() && i16::from(hour) < hours.to.into();
    told.add("hour_of_day", Some(hour.into()));
    told.add("weekday", Some(weekday.into()));
    told.flag("off_hours", Some(!working));
}

fn health(told: &mut Told, state: &State, question: Question<'_>) {
    let service = question.service.map(ServiceName::as_str);
    match state.health.said(service, question.environment, question.at) {
        Said::Nothing => {}
        Said::Expired => {
            let names = [
                "system_error_rate",
                "system_latency_p95_ms",
                "requests_per_second",
            ];
            told.0
                .extend(names.map(|name| Feature::absent(name, Status::Expired)));
        }
        Said::Now(reading) => {
            told.add("system_error_rate", reading.error_rate);
            told.add("system_error_deviation", reading.error_deviation);
            told.add("system_latency_p95_ms", reading.latency_ms);
            told.add("system_latency_deviation", reading.latency_deviation);
            told.add("system_gauge_deviation", reading.gauge_deviation);
            told.add("requests_per_second", reading.volume);
            told.add("behaviour_volume_ratio", reading.volume_ratio);
            told.add("behaviour_deviation", reading.behaviour_deviation);
        }
    }
}
