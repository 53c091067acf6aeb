//! `auspex topology`: what the mesh consists of, from the declarations that the code itself runs by.

use auspex_proto::stage::{Keeps, STAGES, Stage};
use auspex_proto::subject::{self, FACT_KINDS, FactKind};
use clap::Args;
use serde_json::{Value, json};

use super::{Output, print};
use crate::fault::Fault;
use crate::services;

/// Prints the topology.
#[derive(Debug, Args)]
pub(crate) struct Topology {
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Topology {
    pub(crate) fn carry_out(&self) -> Result<(), Fault> {
        match self.output {
            Output::Text => print::text(&text()),
            Output::Json => print::json(&json()),
        }
    }
}

const STREAMS: [(&str, &str, &str); 2] = [
    (
        subject::FACTS,
        subject::FACTS_SUBJECTS,
        "every fact, in one order per project",
    ),
    (
        subject::DEAD,
        subject::DEAD_SUBJECTS,
        "what could not be absorbed, with its reason",
    ),
];

fn buckets() -> Vec<(String, String)> {
    let mut all = vec![
        (
            subject::LEASES.to_owned(),
            "who owns which partition of which stage".to_owned(),
        ),
        (
            subject::CURSORS.to_owned(),
            "how far each partition is absorbed".to_owned(),
        ),
        (
            subject::REGISTRY.to_owned(),
            "models, versions, aliases, experiments, runs".to_owned(),
        ),
        (
            subject::MODELS.to_owned(),
            "files of model versions, unless registry.storage names another place".to_owned(),
        ),
        (
            subject::PLANS.to_owned(),
            "plans of analyses, one per rollout".to_owned(),
        ),
        (
            subject::PROTECTIONS.to_owned(),
            "deployments of GitHub's that wait for an answer, where analysis.github.secret is given"
                .to_owned(),
        ),
        (
            subject::DEFINITIONS.to_owned(),
            "definitions of the feature store".to_owned(),
        ),
    ];
    let stateful = |stage: &&Stage| matches!(stage.keeps, Keeps::State | Keeps::Claims);
    all.extend(STAGES.iter().filter(stateful).map(|stage| {
        (
            subject::state_bucket(stage.name),
            format!("state of {}, one value per key", stage.name),
        )
    }));
    all
}

fn stages(of: impl Fn(&Stage) -> bool) -> Vec<&'static str> {
    STAGES
        .iter()
        .filter(|stage| of(stage))
        .map(|stage| stage.name)
        .collect()
}

fn tokens(kinds: &[FactKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.token()).collect()
}

/// The stages that write, and those that read a fact: by their verb or beside it.
fn ends(kind: FactKind) -> (Vec<&'static str>, Vec<&'static str>) {
    let from = stages(|stage| stage.writes.contains(&kind) || stage.beside().writes.contains(&kind));
    let to = stages(|stage| stage.reads.contains(&kind) || stage.beside().reads.contains(&kind));
    (from, to)
}

fn days(kind: FactKind) -> u64 {
    kind.lifetime().as_secs() / 86_400
}

/// How a stage reads, in words.
fn reads_by(stage: &Stage) -> String {
    match stage.keeps {
        Keeps::Door => "its doors".to_owned(),
        Keeps::State => format!(
            "ordered consumer from its cursor; state in {}",
            subject::state_bucket(stage.name)
        ),
        Keeps::Nothing => format!("durable {}", subject::durable(stage.name)),
        Keeps::Follows => "follows the newest per subject".to_owned(),
        Keeps::Archive => "all of the log in order, from where its archive ends".to_owned(),
        Keeps::Claims => {
            let follows = if stage.reads.is_empty() {
                "its clock"
            } else {
                "follows what it reads"
            };
            let bucket = subject::state_bucket(stage.name);
            format!("{follows}; a record of each thing in {bucket}")
        }
    }
}

fn text() -> String {
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let list = |words: Vec<&str>| {
        if words.is_empty() {
            "-".to_owned()
        } else {
            words.join(", ")
        }
    };
    let mut table = vec![row(&["STAGE", "READS", "WRITES", "BY", "DOES"])];
    for stage in &STAGES {
        let both = |verb, beside: &[FactKind]| match tokens(beside).as_slice() {
            [] => list(tokens(verb)),
            more => format!("{}; beside: {}", list(tokens(verb)), more.join(", ")),
        };
        let beside = stage.beside();
        let (reads, writes) = (both(stage.reads, beside.reads), both(stage.writes, beside.writes));
        table.push(row(&[stage.name, &reads, &writes, &reads_by(stage), stage.does]));
    }
    let mut streams = vec![row(&["STREAM", "SUBJECTS", "HOLDS"])];
    streams.extend(
        STREAMS
            .iter()
            .map(|(name, subjects, holds)| row(&[name, subjects, holds])),
    );
    let mut facts = vec![row(&["FACT", "SUBJECT", "DAYS", "FROM", "TO"])];
    for kind in FACT_KINDS {
        let (from, to) = ends(kind);
        let (from, to) = (list(from), list(to));
        let subject = subject::facts_everywhere(kind);
        facts.push(row(&[
            kind.token(),
            &subject,
            &days(kind).to_string(),
            &from,
            &to,
        ]));
    }
    let mut kept = vec![row(&["BUCKET", "HOLDS"])];
    kept.extend(buckets().iter().map(|(name, holds)| row(&[name, holds])));
    let pulses = vec![
        row(&["NOT KEPT", "IS"]),
        row(&[
            &subject::pulses(),
            "heartbeat of control, by which routers hold weights",
        ]),
    ];
    let names: Vec<&str> = services::ALL.iter().map(|spec| spec.name).collect();
    let head = format!("services: {}\n\n", names.join(", "));
    let rest = [table, streams, facts, kept, pulses]
        .map(|rows| print::table(&rows))
        .join("\n");
    head + &rest
}

fn json() -> Value {
    let names: Vec<&str> = services::ALL.iter().map(|spec| spec.name).collect();
    let all: Vec<Value> = STAGES
        .iter()
        .map(|stage| {
            let durable = (stage.keeps == Keeps::Nothing).then(|| subject::durable(stage.name));
            let bucket = matches!(stage.keeps, Keeps::State | Keeps::Claims)
                .then(|| subject::state_bucket(stage.name));
            json!({
                "stage": stage.name, "does": stage.does, "reads": tokens(stage.reads),
                "writes": tokens(stage.writes), "durable": durable, "bucket": bucket,
                "beside": {"reads": tokens(stage.beside().reads), "writes": tokens(stage.beside().writes)},
            })
        })
        .collect();
    let streams: Vec<Value> = STREAMS
        .iter()
        .map(|(name, subjects, holds)| json!({"stream": name, "subjects": subjects, "holds": holds}))
        .collect();
    let facts: Vec<Value> = FACT_KINDS
        .into_iter()
        .map(|kind| {
            let (from, to) = ends(kind);
            json!({
                "fact": kind.token(), "subject": subject::facts_everywhere(kind), "days": days(kind),
                "from": from, "to": to,
            })
        })
        .collect();
    let buckets: Vec<Value> = buckets()
        .into_iter()
        .map(|(name, holds)| json!({"bucket": name, "holds": holds}))
        .collect();
    json!({"services": names, "stages": all, "streams": streams, "facts": facts, "buckets": buckets, "pulses": subject::pulses()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_stream_fact_and_bucket_is_shown() {
        let (text, json) = (text(), json().to_string());
        for stage in &STAGES {
            assert!(
                text.contains(stage.name) && json.contains(stage.name),
                "{}",
                stage.name
            );
        }
        for kind in FACT_KINDS {
            let subject = subject::facts_everywhere(kind);
            assert!(text.contains(&subject) && json.contains(&subject), "{subject}");
        }
        assert!(
            text.contains("durable auspex-scoring") && text.contains("AUSPEX_STATE_canary"),
            "{text}"
        );
        // What people ask for enters at control's door, and nobody's verb makes it.
        assert!(ends(FactKind::Command).0.contains(&"canary"), "{text}");
        assert!(ends(FactKind::Model).1.contains(&"scoring"), "{text}");
    }
}
