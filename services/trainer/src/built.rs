//! A model of builds, from what the history and the feature store of a mesh know of them.

use anyhow::{Context as _, anyhow, bail};

use crate::builds::Builds;
use crate::collect::Example;
use crate::door::Place;
use crate::fault::{Fault, failed};
use crate::gather::{self, Gathered, entity, together};
use crate::past::Past;
use crate::prepare::Prepared;
use crate::request::Request;
use crate::store::{Answer, Question, Store};

/// Entities of one question to the store: its answer stays below gRPC's limits.
const AT_ONCE: usize = 5_000;

/// Asks a mesh for the builds of these projects, each as the feature service of the request knew it when the build was asked for, and
/// cuts them by time. The request gets the delay of the longest build when it has none.
///
/// # Errors
/// [`Fault`], as history or store say it, or when there are too few.
pub async fn prepare(
    place: &Place,
    projects: &[String],
    request: &mut Request,
    say: &dyn Fn(&str),
) -> Result<Prepared, Fault> {
    let away = |fault: anyhow::Error| failed(format!("{}: {fault:#}", place.address));
    let past = Past::of(place).map_err(away)?;
    let store = Store::of(place).map_err(away)?;
    let built = built(projects, (&past, &store, &request.feature_service), say).await;
    let built = built.map_err(away)?;
    if request.delay <= 0.0 {
        request.delay = built.longest;
        say(&format!(
            "an outcome counts as known after {:.0} s, which the longest build took (--label-delay says another time)",
            built.longest
        ));
    }
    request.feature_service.clone_from(&built.gathered.service);
    let mut prepared = gather::prepared(built.gathered, request.split, request.delay)?;
    prepared.choice.wanted = request.wanted.clone();
    prepared.choice.notes = built.notes;
    if built.projects.len() > 1 {
        prepared.choice.groups = built.projects;
    }
    Ok(prepared)
}

/// The builds of projects, as the history tells of them, each as the store knew it when the build was asked for.
///
/// # Errors
/// As history or store say it; that there are no builds.
async fn built(
    projects: &[String],
    (past, store, service): (&Past, &Store, &str),
    say: &dyn Fn(&str),
) -> anyhow::Result<Built> {
    let (mut told, mut longest, mut notes) = (Vec::new(), 0.0_f64, Vec::new());
    for project in projects {
        let mut builds = Builds::default();
        past.tell(project, |event, logged| builds.absorb(event, logged))
            .await?;
        say(&told_of(project, &builds));
        longest = longest.max(builds.longest());
        told.push((project.as_str(), builds));
    }
    told.retain(|(_, builds)| !builds.examples.is_empty());
    let mut answers = Vec::new();
    for (project, builds) in &told {
        // A past that was played in: the store knew nothing of it then.
        let corrected = builds.played_in * 2 > builds.examples.len();
        if corrected {
            notes.push(format!(
                "{project}: its builds were told long after they ended: learned from is what is known now about then"
            ));
        }
        let question = Question {
            project,
            service,
            snapshot: "",
            corrected,
        };
        let answer = asked(store, question, &builds.examples).await;
        answers.push((
            *project,
            builds.examples.iter().collect(),
            answer.context("asking the feature store, whose services `auspex features list` tells")?,
        ));
    }
    if answers.is_empty() {
        bail!("{}: no build with an outcome was told of", projects.join(", "));
    }
    let mut gathered = together(&answers)?;
    gathered.origin.from = "history and feature store".to_owned();
    Ok(Built {
        gathered,
        projects: told.iter().map(|(project, _)| (*project).to_owned()).collect(),
        longest,
        notes,
    })
}

fn told_of(project: &str, builds: &Builds) -> String {
    let mut text = format!("{project}: {} builds with an outcome", builds.examples.len());
    let silent = [
        (
            builds.without_outcome,
            "were cancelled, skipped, or the CI system's own fault",
        ),
        (builds.without_beginning, "began when nobody knows"),
    ];
    for (count, why) in silent.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!(", {count} more {why}");
    }
    text
}

/// What [`built`] found.
#[derive(Debug)]
struct Built {
    gathered: Gathered,
    /// Those that have builds, by group.
    projects: Vec<String>,
    /// The longest time from asking for a build to its outcome, in seconds.
    longest: f64,
    notes: Vec<String>,
}

/// Asks for many, share by share, all from the first one's snapshot.
async fn asked(store: &Store, question: Question<'_>, examples: &[Example]) -> anyhow::Result<Answer> {
    let mut whole: Option<Answer> = None;
    for share in examples.chunks(AT_ONCE) {
        let entities = share
            .iter()
            .map(|example| entity(question.project, example))
            .collect();
        let snapshot = whole.as_ref().map_or("", |answer| answer.snapshot.as_str());
        let own = store.ask(&Question { snapshot, ..question }, entities).await?;
        whole = Some(match whole {
            None => own,
            Some(before) if before.schema != own.schema => {
                bail!("the feature service has changed while it was asked")
            }
            Some(mut before) => {
                before.values.extend(own.values);
                before
            }
        });
    }
    whole.ok_or_else(|| anyhow!("there are no examples"))
}
