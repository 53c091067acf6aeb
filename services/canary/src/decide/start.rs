//! How a rollout begins: by a deployment event or by a command.

use std::collections::{BTreeMap, BTreeSet};

use auspex_chassis::Reject;
use auspex_proto::decision::{Mode, Phase, TrackTarget};
use auspex_proto::event::{Body, Deployment, Event};
use auspex_proto::{RolloutName, ServiceName, Timestamp};

use super::succession;
use super::voice::Voice;
use crate::config::Config;
use crate::document::gates::Dependency;
use crate::document::{API_VERSION, Document, KIND, Metadata, Spec, Target, cycle, version};
use crate::state::{Course, Rollout, State, Toll, Window};
use crate::terms::Terms;

/// Why a rollout does not begin.
pub(super) enum Refusal {
    /// The same revision of the service is under way already.
    UnderWay(String),
    /// It cannot.
    Impossible(String),
}

/// A deployment that is asked for starts a rollout, when it brings a document or one is configured for its service.
pub(super) fn by_event(
    config: &Config,
    state: &mut State,
    event: &Event,
    voice: &mut Voice<'_>,
) -> Result<(), Reject> {
    let Body::Deployment(deployment) = &event.body else {
        return Ok(());
    };
    let Some(document) = document_for(config, deployment, voice)? else {
        return Ok(());
    };
    let mut seen = state.seen.clone();
    if !seen.admit(&event.meta.id) {
        return Ok(());
    }
    match begin(config, state, (document, Some(deployment)), voice) {
        Ok(()) | Err(Refusal::UnderWay(_)) => {
            state.seen = seen;
            Ok(())
        }
        Err(Refusal::Impossible(why)) => Err(Reject(why)),
    }
}

fn document_for(
    config: &Config,
    deployment: &Deployment,
    voice: &Voice<'_>,
) -> Result<Option<Document>, Reject> {
    if !deployment.document.is_empty() {
        let mut document =
            Document::parse(&deployment.document).map_err(|fault| Reject(fault.to_string()))?;
        if document.spec.service != deployment.service.as_str() {
            let (theirs, ours) = (&document.spec.service, &deployment.service);
            return Err(Reject(format!(
                "rollout document: spec.service is {theirs}, the deployment is of {ours}"
            )));
        }
        document
            .metadata
            .project
            .get_or_insert_with(|| voice.project().to_string());
        return Ok(Some(document));
    }
    let listed = &config.environments;
    if !listed.is_empty() && !listed.contains(&deployment.environment) {
        return Ok(None);
    }
    let service = deployment.service.to_string();
    let own = format!("{}/{service}", voice.project());
    let nearest = [own.as_str(), service.as_str(), "*"];
    let configured = nearest.into_iter().find_map(|key| config.rollouts.get(key));
    Ok(configured.map(|spec| Document {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata {
            name: service.clone(),
            project: Some(voice.project().to_string()),
        },
        spec: Spec {
            service,
            ..spec.clone()
        },
    }))
}

/// Begins a rollout; what runs for the same service goes back to stable first.
pub(super) fn begin(
    config: &Config,
    state: &mut State,
    (document, deployment): (Document, Option<&Deployment>),
    voice: &mut Voice<'_>,
) -> Result<(), Refusal> {
    allowed(config, state, &document)?;
    let rollout = build(config, state, (&document, deployment), voice)?;
    succession::launch(config, state, rollout, voice)
}

/// Why each rollout that depends on others has to wait, by service.
pub(super) fn blocked(state: &State) -> BTreeMap<String, String> {
    let waits = state.active.iter().filter(|(_, rollout)| !rollout.course.open);
    let found = waits.filter_map(|(service, rollout)| {
        let mut wanted = rollout.terms.gates.dependencies.iter();
        Some((service.clone(), wanted.find_map(|wanted| lacks(state, wanted))?))
    });
    found.collect()
}

/// The same for one that is not among those under way at this moment.
pub(super) fn blocks(state: &State, rollout: &Rollout) -> Option<String> {
    let mut wanted = rollout.terms.gates.dependencies.iter();
    wanted.find_map(|wanted| lacks(state, wanted))
}

fn lacks(state: &State, wanted: &Dependency) -> Option<String> {
    let (service, version) = (&wanted.service, &wanted.version);
    let what = if version.is_empty() {
        service.clone()
    } else {
        format!("{service} {version}")
    };
    if let Some(running) = state.active.get(service) {
        return Some(format!(
            "waits for {what}: its rollout {} is under way",
            running.name
        ));
    }
    match state.serving(service) {
        None => Some(format!("waits for {what}: nothing of it was promoted yet")),
        Some(serving) if !version::fits(version, &serving.revision) => {
            Some(format!("waits for {what}: {} serves", serving.revision))
        }
        Some(_) => None,
    }
}

/// What this house does not let a document do.
fn allowed(config: &Config, state: &State, document: &Document) -> Result<(), Refusal> {
    let gates = &document.spec.gates;
    let commands = gates.all_checks().any(|(_, check)| !check.command.is_empty());
    if commands && !config.allow_commands {
        return Err(Refusal::Impossible(
            "spec.gates: a check runs a command, which canary.allow_commands does not allow".to_owned(),
        ));
    }
    let own = gates.dependencies.iter().map(|d| d.service.clone()).collect();
    let running = state.active.iter().map(|(service, rollout)| {
        let others = rollout.terms.gates.dependencies.iter().map(|d| d.service.clone());
        (service.clone(), others.collect())
    });
    let mut waits: BTreeMap<String, BTreeSet<String>> = running.collect();
    waits.insert(document.spec.service.clone(), own);
    match cycle(&waits) {
        Some(way) => {
            let way = way.join(" -> ");
            Err(Refusal::Impossible(format!(
                "spec.gates.dependencies: {way} wait for each other"
            )))
        }
        None => Ok(()),
    }
}

fn build(
    config: &Config,
    state: &State,
    (document, deployment): (&Document, Option<&Deployment>),
    voice: &Voice<'_>,
) -> Result<Rollout, Refusal> {
    let impossible = |fault: auspex_proto::Invalid| Refusal::Impossible(format!("rollout document: {fault}"));
    let name = RolloutName::new(document.metadata.name.as_str()).map_err(impossible)?;
    let service = ServiceName::new(document.spec.service.as_str()).map_err(impossible)?;
    if let Some(project) = &document.metadata.project
        && project != voice.project().as_str()
    {
        let ours = voice.project();
        return Err(Refusal::Impossible(format!(
            "rollout document: metadata.project is {project}, not {ours}"
        )));
    }
    let (stable, candidate) = targets(config, state, document, deployment);
    let terms = Terms::of(&document.spec, config);
    let serves = stable != TrackTarget::default() || state.serving(service.as_str()).is_some();
    let terms = match document.spec.initial && !serves {
        true => terms.at_once(),
        false => terms,
    };
    Ok(Rollout {
        deployment: deployment.map(|d| d.deployment_id.clone()),
        ..fresh((name, service), (stable, candidate), terms, voice.now())
    })
}

/// A rollout before anything happened.
pub(super) fn fresh(
    (name, service): (RolloutName, ServiceName),
    (stable, candidate): (TrackTarget, TrackTarget),
    terms: Terms,
    now: Timestamp,
) -> Rollout {
    Rollout {
        name,
        service,
        deployment: None,
        stable,
        candidate,
        phase: Phase::Waiting,
        weight: 0,
        started: now,
        weighed: now,
        first_weight: None,
        prior: None,
        posterior: terms.base_rate,
        window: Window::from(now, terms.interval.duration()),
        tally: crate::state::rollout::Tally::default(),
        routers: std::collections::BTreeMap::new(),
        cursor: crate::policy::Cursor {
            since: now,
            ..crate::policy::Cursor::default()
        },
        raised: None,
        last: None,
        number: 0,
        course: Course::default(),
        next: None,
        sizes: terms
            .scale
            .as_ref()
            .filter(|_| terms.mode == Mode::Act)
            .map(|_| (100, 0)),
        toll: Toll::default(),
        terms,
    }
}

/// Event before document before configuration before what was promoted last.
fn targets(
    config: &Config,
    state: &State,
    document: &Document,
    deployment: Option<&Deployment>,
) -> (TrackTarget, TrackTarget) {
    let service = &document.spec.service;
    let configured = config.targets.get(service).cloned().unwrap_or_default();
    let tracks = &document.spec.tracks;
    let pick = |texts: [&str; 3]| {
        texts
            .into_iter()
            .find(|t| !t.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let target = |event: Option<String>, wanted: &Target, default: &Target| TrackTarget {
        revision: pick([&event.unwrap_or_default(), &wanted.revision, &default.revision]),
        url: pick([&wanted.url, &default.url, ""]),
    };
    let deployed = deployment.map(|d| d.revision.to_string());
    let candidate = target(deployed, &tracks.candidate, &configured.candidate);
    let serving = deployment
        .and_then(|d| d.stable_revision.clone())
        .map(|r| r.to_string());
    let mut stable = target(serving, &tracks.stable, &configured.stable);
    if let Some(promoted) = state.serving(service) {
        if stable.revision.is_empty() {
            stable.revision.clone_from(&promoted.revision);
        }
        // Without its place, routers would send users back to where stable was before the last promotion.
        if stable.url.is_empty() && stable.revision == promoted.revision {
            stable.url.clone_from(&promoted.url);
        }
    }
    (stable, candidate)
}
