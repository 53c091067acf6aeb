//! Argo's documents as Auspex's own.
//!
//! A rollout becomes Auspex's `Rollout`, which starts in `observe`, and a plan of its analyses. What Auspex does not drive is
//! refused by name; what it does otherwise is noted.

mod beside;
mod canary;
mod routing;
mod runs;
mod switch;
mod trial;
mod valid;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::document::kinds::metadata;
use crate::document::{Kind, Rollout};
use crate::expr::Mode;
use crate::plan;
use crate::template::{Templates, Together};

/// Where something was found, and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The document: kind and name.
    pub document: String,
    /// The field.
    pub field: String,
    /// Why, or what is otherwise.
    pub reason: String,
}

/// What became of documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Converted {
    /// Auspex's documents.
    pub documents: Vec<Json>,
    /// What Auspex does not drive: its document is not among them.
    pub refused: Vec<Remark>,
    /// What is otherwise, and traps.
    pub notes: Vec<Remark>,
    /// Templates that were not among the documents.
    pub missing: Vec<String>,
}

/// One document under way.
pub(crate) struct Paper<'a> {
    name: String,
    mode: Mode,
    templates: &'a Templates,
    /// The document itself, for arguments that speak of its fields.
    whole: Json,
    refused: Vec<Remark>,
    notes: Vec<Remark>,
    missing: Vec<String>,
}

impl Paper<'_> {
    pub(crate) fn refuse(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.refused.push(Remark {
            document: self.name.clone(),
            field: field.into(),
            reason: reason.into(),
        });
    }

    pub(crate) fn note(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.notes.push(Remark {
            document: self.name.clone(),
            field: field.into(),
            reason: reason.into(),
        });
    }
}

/// Converts documents. Templates are looked for among `templates`.
#[must_use]
pub fn convert(kinds: &[Kind], templates: &Templates, mode: Mode) -> Converted {
    let mut out = Converted::default();
    for kind in kinds {
        let (name, whole) = match kind {
            Kind::Rollout(rollout) => (label("Rollout", &rollout.metadata), json!(rollout)),
            Kind::Template(template, cluster) => {
                let kind = if *cluster {
                    "ClusterAnalysisTemplate"
                } else {
                    "AnalysisTemplate"
                };
                (label(kind, &template.metadata), Json::Null)
            }
            Kind::Run(run) => (label("AnalysisRun", &run.metadata), Json::Null),
            Kind::Experiment(experiment) => (label("Experiment", &experiment.metadata), Json::Null),
            Kind::Other(kind, name) => {
                let kind = if kind.is_empty() {
                    "a document without kind"
                } else {
                    kind
                };
                out.notes.push(Remark {
                    document: format!("{kind}/{name}"),
                    field: "kind".to_owned(),
                    reason: "is none of Argo Rollouts' kinds: left as it is".to_owned(),
                });
                continue;
            }
        };
        let mut paper = Paper {
            name,
            mode,
            templates,
            whole,
            refused: Vec::new(),
            notes: Vec::new(),
            missing: Vec::new(),
        };
        let documents = match kind {
            Kind::Rollout(one) => rollout(one, &mut paper),
            Kind::Template(one, cluster) => runs::template(one, *cluster, &mut paper),
            Kind::Run(one) => runs::alone(one, &mut paper),
            Kind::Experiment(one) => trial::experiment(one, &mut paper),
            Kind::Other(..) => Vec::new(),
        };
        if paper.refused.is_empty() {
            out.documents.extend(documents);
        }
        out.refused.append(&mut paper.refused);
        out.notes.append(&mut paper.notes);
        for name in paper.missing {
            if !out.missing.contains(&name) {
                out.missing.push(name);
            }
        }
    }
    out
}

fn label(kind: &str, meta: &Json) -> String {
    let name = metadata(meta, "name");
    format!(
        "{kind}/{}",
        if name.is_empty() {
            metadata(meta, "generateName")
        } else {
            name
        }
    )
}

/// The metadata of Auspex's documents: the namespace is the project.
pub(crate) fn named(meta: &Json) -> Map<String, Json> {
    let mut named = Map::new();
    let name = metadata(meta, "name");
    let name = if name.is_empty() {
        metadata(meta, "generateName").trim_end_matches('-')
    } else {
        name
    };
    named.insert("name".to_owned(), json!(name));
    let project = metadata(meta, "namespace");
    if !project.is_empty() {
        named.insert("project".to_owned(), json!(project));
    }
    named
}

/// A short name for a version: the image's tag and a hash of the whole pod template.
fn revision(template: &Json) -> String {
    let image = template
        .pointer("/spec/containers/0/image")
        .and_then(Json::as_str);
    let tag = image.and_then(|image| image.rsplit(['/']).next());
    let tag = tag.map_or("pods", |tag| tag.rsplit(':').next().unwrap_or(tag));
    let hash = template
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{}-{:08x}", tag.chars().take(64).collect::<String>(), hash >> 32)
}

fn rollout(rollout: &Rollout, paper: &mut Paper<'_>) -> Vec<Json> {
    let mut spec = Map::new();
    spec.insert("service".to_owned(), json!(metadata(&rollout.metadata, "name")));
    spec.insert("mode".to_owned(), json!(mode(rollout, paper)));
    let tracks = tracks(rollout);
    if !tracks.is_empty() {
        spec.insert("tracks".to_owned(), Json::Object(tracks));
    }
    // Argo sees from its ReplicaSets that nothing serves yet; a document alone cannot say so but by an annotation.
    if flag(rollout, "initial", paper) {
        spec.insert("initial".to_owned(), json!(true));
    }
    pods(rollout, paper);
    let strategy = &rollout.spec.strategy;
    let runs = match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), None) => canary::convert(canary, rollout, paper, &mut spec),
        (None, Some(blue_green)) => switch::convert(blue_green, rollout, paper, &mut spec),
        (None, None) => {
            paper.refuse(
                "spec.strategy",
                "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'",
            );
            return Vec::new();
        }
        (Some(_), Some(_)) => {
            paper.refuse("spec.strategy", "Multiple Strategies can not be listed");
            return Vec::new();
        }
    };
    let metadata = named(&rollout.metadata);
    let mut documents = vec![json!({
        "apiVersion": plan::API_VERSION,
        "kind": "Rollout",
        "metadata": metadata,
        "spec": spec,
    })];
    if !runs.runs.is_empty() {
        documents.push(json!({
            "apiVersion": plan::API_VERSION,
            "kind": plan::KIND,
            "metadata": metadata,
            "spec": runs,
        }));
    }
    documents
}

/// The versions, and where Auspex's own proxy finds them: Argo has no place for that, so annotations say it.
fn tracks(rollout: &Rollout) -> Map<String, Json> {
    let url = |track: &str| {
        let path = format!("/annotations/auspex.dev~1{track}-url");
        rollout.metadata.pointer(&path).cloned()
    };
    let mut tracks = Map::new();
    for (track, revision) in [
        ("stable", None),
        ("candidate", rollout.spec.template.as_ref().map(revision)),
    ] {
        let mut target = Map::new();
        if let Some(revision) = revision {
            target.insert("revision".to_owned(), json!(revision));
        }
        if let Some(url) = url(track) {
            target.insert("url".to_owned(), url);
        }
        if !target.is_empty() {
            tracks.insert(track.to_owned(), Json::Object(target));
        }
    }
    tracks
}

/// Whether an annotation of Auspex's says `true`.
pub(crate) fn flag(rollout: &Rollout, name: &str, paper: &mut Paper<'_>) -> bool {
    let path = format!("/annotations/auspex.dev~1{name}");
    match rollout.metadata.pointer(&path).and_then(Json::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            paper.refuse(
                format!("metadata.annotations['auspex.dev/{name}']"),
                format!("`{other}` is neither true nor false"),
            );
            false
        }
    }
}

/// Imported rollouts watch; an annotation may say otherwise, unless Argo's controller is alive.
fn mode(rollout: &Rollout, paper: &mut Paper<'_>) -> &'static str {
    let wanted = rollout.metadata.pointer("/annotations/auspex.dev~1mode");
    let alive = rollout.status.as_ref().is_some_and(|status| {
        ["observedGeneration", "phase", "currentPodHash", "conditions"]
            .iter()
            .any(|field| status.get(field).is_some())
    });
    match wanted.and_then(Json::as_str) {
        None | Some("observe") => "observe",
        Some("gate") => "gate",
        Some("act") if alive => {
            paper.refuse(
                "metadata.annotations['auspex.dev/mode']",
                "act is refused while Argo's controller is alive: it has written the status of this document; scale it to 0 or remove the Rollout first",
            );
            "observe"
        }
        Some("act") => "act",
        Some(other) => {
            paper.refuse(
                "metadata.annotations['auspex.dev/mode']",
                format!("`{other}` is none of observe, gate and act"),
            );
            "observe"
        }
    }
}

/// What concerns pods, which Auspex leaves to their Deployments.
fn pods(rollout: &Rollout, paper: &mut Paper<'_>) {
    let spec = &rollout.spec;
    if spec.restart_at.is_some() {
        paper.refuse(
            "spec.restartAt",
            "Auspex restarts no pods: use `kubectl rollout restart` on their Deployments",
        );
    }
    valid::spec(rollout, paper);
    match &spec.workload_ref {
        Some(_) => paper.note(
            "spec.workloadRef",
            "the Deployment keeps its pods; candidate and stable are told apart by the revisions of deployments",
        ),
        None => paper.note(
            "spec.template",
            "Auspex makes no ReplicaSets: run stable and candidate as Deployments of their own",
        ),
    }
    if spec.paused == Some(true) {
        paper.note(
            "spec.paused",
            "pause it with `auspex rollout pause` after it has started",
        );
    }
    if spec.progress_deadline_abort == Some(true) {
        paper.note(
            "spec.progressDeadlineAbort",
            "Auspex holds a candidate that is not ready, and asks a person after `max_dwell`; `deadline` rolls back",
        );
    }
    if let Some(window) = &spec.rollback_window {
        paper.note(
            "spec.rollbackWindow",
            format!(
                "`auspex rollout undo` goes back to what served before without steps; {} revisions are not counted",
                window.revisions
            ),
        );
    }
}

/// A number within 0..=100.
pub(crate) fn percent(value: i64) -> u8 {
    u8::try_from(value.clamp(0, 100)).unwrap_or(100)
}

/// What a whole of templates is worth when nothing is missing.
pub(crate) fn empty() -> Together {
    Together::default()
}
