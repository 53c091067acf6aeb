//! `workflow_job`: where the parts of a run ran, how long they stood in line there, and how they ended.

use auspex_proto::Invalid;
use auspex_proto::event::{Body, Run, RunPhase};

use super::super::field::{Node, between};
use super::super::{Normalized, short};
use super::Payload;
use super::change::{as_attempt, outcome};

/// A job that ended is a run of its own, named `WORKFLOW / JOB`, that is of no revision: what CI made of a revision says the
/// workflow, and a failure would count twice.
pub(super) fn job(payload: &Payload<'_>) -> Result<Normalized, Invalid> {
    let job = payload.root.at("workflow_job");
    if !job.is_object() {
        return Err(job.fault("is missing"));
    }
    if payload.root.at("action").text()? != "completed" {
        return Ok(Normalized::ignored("workflow_job.unfinished"));
    }
    let (created, started) = (job.at("created_at").time()?, job.at("started_at").time()?);
    let ended = job.at("completed_at").time()?;
    let name = job.at("name").text()?;
    let body = Run {
        run_id: job.at("id").id()?,
        name: short(&match job.at("workflow_name").some_text() {
            Some(workflow) => format!("{workflow} / {name}"),
            None => name.to_owned(),
        }),
        revision: None,
        branch: short(job.at("head_branch").any_text()),
        attempt: job.at("run_attempt").count()?.map_or(1, as_attempt),
        phase: RunPhase::Finished(outcome(&job.at("conclusion"))?),
        queued: between(created, started),
        duration: between(started, ended),
        runner: short(&runner(&job)),
    };
    let event = payload.head(None, ended)?.event(0, Body::Run(body))?;
    Ok(Normalized::Event(vec![event]))
}

/// What it asked to run on, as in `ubuntu-24.04` or `self-hosted+linux+arm64`: machines come and go, their kind stays.
fn runner(job: &Node<'_>) -> String {
    let labels = job.at("labels");
    let labels: Vec<&str> = labels.items().filter_map(|label| label.as_str()).collect();
    labels.join("+")
}
