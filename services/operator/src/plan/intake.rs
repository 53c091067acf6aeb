//! What an object asks for: a document for control, and commands with ids of their own. Pure.

use auspex_proto::{FactId, Project, RolloutName, wire};
use serde_json::{Value, json};

use crate::kinds::{self, annotation, meta};

/// Who asks, in the audit.
const ACTOR: &str = "kubernetes";
/// Longest name of an object that leaves room for a generation.
const LONGEST: usize = 230;

/// What an object asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The project.
    pub project: String,
    /// The rollout's name: that of the object and its generation, so that a change of the object is a rollout of its own.
    pub rollout: String,
    /// Of the object.
    pub generation: i64,
    /// The document that control reads (JSON is YAML).
    pub document: String,
    /// What is measured beside it: a document of kind `Analysis`, kept before the rollout begins.
    pub analysis: Option<String>,
    uid: String,
    named: String,
}

/// Reads an object.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn read(object: &Value, project: &str) -> Result<Wanted, String> {
    if let Some(refused) = annotation(object, kinds::REFUSED) {
        return Err(refused.to_owned());
    }
    let (namespace, name) = (meta(object, "namespace"), meta(object, "name"));
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let project = match annotation(object, kinds::PROJECT) {
        Some(project) => project,
        None if project.is_empty() => namespace,
        None => project,
    };
    Project::new(project).map_err(|fault| format!("{}: {}", kinds::PROJECT, fault.reason))?;
    if name.len() > LONGEST {
        return Err(format!("metadata.name: is longer than {LONGEST} bytes"));
    }
    let rollout = format!("{name}-{generation}");
    RolloutName::new(rollout.as_str()).map_err(|fault| format!("metadata.name: {}", fault.reason))?;
    let spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
    let document = json!({
        "apiVersion": kinds::ROLLOUTS.api_version(),
        "kind": kinds::ROLLOUTS.name,
        "metadata": { "name": rollout, "project": project },
        "spec": spec,
    });
    let analysis = match annotation(object, kinds::ANALYSIS) {
        None => None,
        Some(text) => {
            let spec: Value =
                serde_json::from_str(text).map_err(|fault| format!("{}: {fault}", kinds::ANALYSIS))?;
            let plan = json!({
                "apiVersion": kinds::ROLLOUTS.api_version(),
                "kind": "Analysis",
                "metadata": { "name": rollout, "project": project },
                "spec": spec,
            });
            Some(plan.to_string())
        }
    };
    Ok(Wanted {
        analysis,
        project: project.to_owned(),
        rollout,
        generation,
        document: document.to_string(),
        uid: meta(object, "uid").to_owned(),
        named: format!("{namespace}/{name}"),
    })
}

impl Wanted {
    /// The command that begins it. The same object in the same generation gives the same id, whoever sends it how often.
    #[must_use]
    pub fn start(&self) -> wire::Command {
        let ask = wire::command::Ask::Start(wire::Start {
            document: self.document.clone(),
        });
        self.command(&format!("start/{}", self.generation), ask)
    }

    /// The command of an annotation: its first word. The whole text makes the id, so that each text asks once.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn ask(&self, text: &str) -> Result<wire::Command, String> {
        use wire::command::Ask;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let ask = match word {
            "pause" => Ask::Pause(wire::Pause {}),
            "resume" => Ask::Resume(wire::Resume {}),
            "promote" => Ask::Promote(wire::Promote { full: false }),
            "promote-full" => Ask::Promote(wire::Promote { full: true }),
            "abort" => Ask::Abort(wire::Abort {}),
            "retry" => Ask::Retry(wire::Retry {}),
            "undo" => Ask::Undo(wire::Undo {}),
            "approve" => Ask::Approve(wire::Approve::default()),
            other => {
                return Err(format!(
                    "{}: {other:?} is none of pause, resume, promote, promote-full, abort, approve, retry, undo",
                    kinds::ASK
                ));
            }
        };
        let mut command = self.command(&format!("ask/{}/{text}", self.generation), ask);
        rest.clone_into(&mut command.note);
        Ok(command)
    }

    fn command(&self, what: &str, ask: wire::command::Ask) -> wire::Command {
        let source = format!("kubernetes/{}", self.uid);
        wire::Command {
            meta: Some(wire::Meta {
                id: FactId::outside(&source, what).to_string(),
                project: self.project.clone(),
                ..wire::Meta::default()
            }),
            rollout: self.rollout.clone(),
            actor: format!("{ACTOR}: {}", self.named),
            note: String::new(),
            ask: Some(ask),
        }
    }
}
