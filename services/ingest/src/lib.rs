//! Ingest: what happened outside becomes facts.
//!
//! *Reads*: webhooks of GitHub, CloudEvents and CDEvents over HTTP, events and observations over gRPC, a checkout by git.
//! *Writes*: Event, Observation; dead letters for what it cannot read. *Answers*: `POST /webhooks/github`, `POST /events`,
//! `EventService`. *Remembers*: nothing; a delivery that comes twice has the same id twice.
//!
//! *Invariants*: an answer of success means that the log has the fact on disk. A payload becomes facts, is ignored by name
//! and counted, or is refused naming the field, and then it is a dead letter. A signature is checked over the bytes as they
//! came, before anything reads them. What is held in memory is bounded: bodies by bytes, streams by their window.

pub mod change_stats;
mod cloudevents;
pub mod config;
mod figures;
pub mod git;
pub mod github;
mod grpc;
mod http;
mod intake;
mod limit;
pub mod normalize;
mod refusal;

use auspex_chassis::{Group, House, Part, Section, ServiceSpec, Stop};

use crate::config::Config;
use crate::intake::Intake;
use crate::normalize::Projects;

/// The service.
pub const SERVICE: ServiceSpec = ServiceSpec {
    name: "ingest",
    build: |house| Box::pin(build(house)),
    section: Section::of::<Config>("ingest"),
};

async fn build(house: House) -> anyhow::Result<Part> {
    let config: Config = house.settings("ingest")?;
    open(&house, &config)
}

/// The doors, for these settings.
///
/// # Errors
/// When a project cannot be, which [`Config`]'s own check has told before.
pub fn open(house: &House, config: &Config) -> anyhow::Result<Part> {
    let projects = Projects::new(&config.projects).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let intake = Intake::new(house, config, projects);
    let router = http::router(&intake, config);
    let events = grpc::Events::server(house, config.window, stop(house));
    Ok(Part::http(router).grpc(events))
}

/// The sign by which open streams end when the process stops: they would never by themselves.
fn stop(house: &House) -> Stop {
    let mut sign = Stop::never();
    house.spawn("ingest", Group::Intake, |stop| {
        sign = stop.clone();
        async move {
            stop.requested().await;
            Ok(())
        }
    });
    sign
}
