//! The prior: the score that is frozen at the start, or the base rate in its place.
//!
//! A later score of the running candidate never enters the odds again; in a higher band it holds the rollout and says so.

use auspex_judge::{Portfolio, posterior};
use auspex_proto::decision::{Action, Phase, Reason};
use auspex_proto::score::{Band, Mitigation};
use auspex_proto::{EntityKind, Score};

use super::judge::judge;
use super::voice::Voice;
use super::{course, rules, start, succession};
use crate::config::Config;
use crate::document::gates::Approval;
use crate::policy::Wish;
use crate::state::scores::{Known, Scores};
use crate::state::{Prior, Rollout, State};

/// Longest name of a model that is kept with what it asks, in characters.
const LONGEST_MODEL: usize = 80;

/// A score has come.
pub(super) fn learn(config: &Config, state: &mut State, score: &Score, voice: &mut Voice<'_>) {
    let known = Known::of(score);
    if !state.scores.note(known.clone()) {
        return;
    }
    let blocked = start::blocked(state);
    let mut hear = Vec::new();
    for (service, rollout) in &mut state.active {
        rollout.course.blocked = blocked.get(service).cloned();
        if is_about(score, rollout) {
            hear.push(service.clone());
        }
    }
    for service in hear {
        let Some(mut rollout) = state.active.remove(&service) else {
            continue;
        };
        if rollout.phase != Phase::Waiting {
            mitigate(&mut rollout, &known);
        }
        if rollout.phase == Phase::Waiting {
            settle(&mut rollout, &state.scores, &mut state.portfolio, voice);
        } else {
            compare(&mut rollout, &known, voice);
        }
        succession::settle(config, state, rollout, voice);
    }
}

/// Whether a rollout hears of this score.
pub(super) fn is_about(score: &Score, rollout: &Rollout) -> bool {
    let entity = &score.entity;
    let same = rollout.deployment.as_deref() == Some(entity.id.as_str());
    let deployment = entity.kind == EntityKind::Deployment && same;
    let revision = entity.revision.as_str();
    let candidate = !revision.is_empty() && revision == rollout.candidate.revision;
    let fits = entity
        .service
        .as_ref()
        .is_none_or(|service| *service == rollout.service);
    fits && (deployment || candidate)
}

/// A later score of a higher band holds the rollout until the evidence or a person says go on.
fn compare(rollout: &mut Rollout, known: &Known, voice: &mut Voice<'_>) {
    let Some(prior) = &rollout.prior else { return };
    let (band, cause) = (prior.band.unwrap_or(Band::Low), prior.cause);
    if known.cause <= cause || known.band <= band || rollout.raised.is_some_and(|p| p >= known.p_failure) {
        return;
    }
    rollout.raised = Some(known.p_failure);
    if rollout.phase == Phase::Progressing {
        let judged = judge(rollout);
        let wish = rules::risk(rollout, known.p_failure);
        voice.carry(rollout, wish, &judged);
    }
}

/// Notes what a score asks, as far as the document lets it. A gate stands before the first traffic or not at all.
fn mitigate(rollout: &mut Rollout, known: &Known) {
    if known.cause <= rollout.prior.as_ref().map_or(0, |prior| prior.cause) && rollout.prior.is_some() {
        return;
    }
    let hears = |what| rollout.terms.mitigations.contains(&what);
    let approval = known.approval && hears(Mitigation::RequireManualApproval) && !rollout.course.open;
    let caution = known.caution && hears(Mitigation::EnableConservativeMode);
    let mitigated = &mut rollout.course.mitigated;
    let news = (approval && mitigated.approval.is_none()) || (caution && !mitigated.cautious);
    if !news {
        return;
    }
    if approval {
        mitigated.approval.get_or_insert_with(|| Approval {
            name: Mitigation::RequireManualApproval.word().to_owned(),
            at: "start".to_owned(),
            by: Vec::new(),
        });
    }
    mitigated.cautious |= caution;
    let model = known.model.chars().take(LONGEST_MODEL).collect::<String>();
    mitigated.why = format!("P(failure) {:.2} by {model} asks for that", known.p_failure);
    rollout.course.stirred = true;
}

/// Ends the wait when there is what was waited for, or when it has been long enough.
pub(super) fn settle(
    rollout: &mut Rollout,
    scores: &Scores,
    portfolio: &mut Portfolio,
    voice: &mut Voice<'_>,
) {
    if rollout.phase != Phase::Waiting {
        return;
    }
    let waited = voice.now().since(rollout.started);
    let service = rollout.service.as_str();
    let deployment = rollout.deployment.as_deref();
    let exact = deployment.and_then(|id| scores.of_deployment(id, service));
    let settled = deployment.is_none() || waited >= rollout.terms.score_settle.duration();
    let near = scores
        .of_revision(&rollout.candidate.revision, service)
        .filter(|_| settled);
    match exact.or(near).cloned() {
        Some(known) => freeze(rollout, Some(known), portfolio, voice),
        None if waited >= rollout.terms.score_wait.duration() => freeze(rollout, None, portfolio, voice),
        None => {}
    }
}

/// Ends the wait at once, with the best that is known.
pub(super) fn settle_now(rollout: &mut Rollout, state: &mut State, voice: &mut Voice<'_>) {
    let service = rollout.service.as_str();
    let exact = rollout
        .deployment
        .as_deref()
        .and_then(|id| state.scores.of_deployment(id, service));
    let known = exact
        .or_else(|| state.scores.of_revision(&rollout.candidate.revision, service))
        .cloned();
    freeze(rollout, known, &mut state.portfolio, voice);
}

/// Said where a rollout goes with more care than its document has.
fn care(rollout: &Rollout) -> &'static str {
    match rollout.course.mitigated.cautious {
        true => ", in conservative mode",
        false => "",
    }
}

fn freeze(rollout: &mut Rollout, known: Option<Known>, portfolio: &mut Portfolio, voice: &mut Voice<'_>) {
    if let Some(known) = &known {
        mitigate(rollout, known);
    }
    let p_failure = known
        .as_ref()
        .map_or(rollout.terms.base_rate, |known| known.p_failure);
    let (reason, text) = match &known {
        Some(known) => (
            Reason::ScoreArrived,
            format!("P(failure) {p_failure:.2} by {}{}", known.model, care(rollout)),
        ),
        None => (
            Reason::ScoreMissing,
            format!("no score: the base rate {p_failure:.2} in its place"),
        ),
    };
    rollout.prior = Some(Prior {
        p_failure,
        score: known.as_ref().map(|known| known.id.clone()),
        band: known.as_ref().map(|known| known.band),
        cause: known.as_ref().map_or(0, |known| known.cause),
        share: portfolio.weight_for(p_failure),
        model: known
            .as_ref()
            .map(|known| known.model.clone())
            .unwrap_or_default(),
        features: known.map(|known| known.features).unwrap_or_default(),
    });
    let judged = judge(rollout);
    rollout.posterior = posterior(p_failure, judged.log_odds);
    rollout.course.since = rollout.course.watch.at(voice.now());
    if let Some(most) = rollout.terms.limits.p_failure.filter(|most| p_failure >= *most) {
        let text = format!("P(failure) {p_failure:.2} is not below {most:.2}, the most that may begin");
        let wish = Wish {
            weight: 0,
            action: Action::RollBack,
            reason: Reason::LowConfidence,
            text,
        };
        return voice.carry(rollout, wish, &judged);
    }
    let first = course::wish(rollout, &judged, voice.now(), false);
    let wish = match first {
        Some(first) if first.action == Action::RollBack => first,
        // A gate holds it, or a check has failed: that is said at once.
        Some(held) if !rollout.course.open => held,
        Some(first) if first.action == Action::Advance => Wish {
            reason,
            text: format!("{text}; {}", first.text),
            ..first
        },
        // A schedule may begin with a pause: that is said by the next tick.
        _ => Wish {
            weight: 0,
            action: Action::Hold,
            reason,
            text,
        },
    };
    voice.carry(rollout, wish, &judged);
}
