//! One rollout after another of the same service: what runs goes back first, and what comes waits for that where it must.

use std::collections::btree_map::Entry;

use auspex_proto::decision::{Action, Phase, Reason, TrackTarget};

use super::judge::judge;
use super::prior;
use super::room::room;
use super::rules::rollback;
use super::start::{Refusal, blocks, fresh};
use super::voice::Voice;
use crate::config::Config;
use crate::policy::Wish;
use crate::state::{Rollout, State};

/// Begins a rollout that is built. What runs for the same service goes back first: where stable has to grow for that, the
/// new one waits until it has.
pub(super) fn launch(
    config: &Config,
    state: &mut State,
    rollout: Rollout,
    voice: &mut Voice<'_>,
) -> Result<(), Refusal> {
    room(state, &rollout)?;
    let service = rollout.service.to_string();
    if let Entry::Occupied(running) = state.active.entry(service.clone()) {
        let revision = &rollout.candidate.revision;
        if !revision.is_empty() && same(running.get(), &rollout) {
            let name = &running.get().name;
            return Err(Refusal::UnderWay(format!(
                "{name} is under way with the same revision {revision}"
            )));
        }
        let mut old = running.remove();
        if old.phase != Phase::Returning && !old.course.contracted {
            let judged = judge(&old);
            let what = if old.candidate.revision == *revision && !revision.is_empty() {
                "other steps for "
            } else {
                ""
            };
            let text = format!(
                "superseded by {what}{} of {service}",
                describe(&rollout.candidate)
            );
            voice.carry(&mut old, rollback(Reason::Superseded, text), &judged);
        }
        old.next = Some(Box::new(rollout));
        settle(config, state, old, voice);
        return Ok(());
    }
    begin_alone(config, state, Box::new(rollout), voice);
    Ok(())
}

/// Whether a rollout under way is the one that is asked for: the same version by the same way. New steps begin anew.
fn same(running: &Rollout, rollout: &Rollout) -> bool {
    let running = running.next.as_deref().unwrap_or(running);
    let way = |rollout: &Rollout| {
        let terms = &rollout.terms;
        (terms.policy.clone(), terms.legs.clone(), terms.cohorts.clone())
    };
    running.candidate.revision == rollout.candidate.revision && way(running) == way(rollout)
}

/// Puts a rollout back in its place: under way, or over, and then what has waited for its end begins.
pub(super) fn settle(config: &Config, state: &mut State, mut rollout: Box<Rollout>, voice: &mut Voice<'_>) {
    if !rollout.phase.is_terminal() {
        state.active.insert(rollout.service.to_string(), rollout);
        return;
    }
    let next = rollout.next.take();
    let promoted = (rollout.phase == Phase::Promoted).then(|| rollout.candidate.clone());
    state.retire(*rollout, voice.now());
    if let Some(mut next) = next {
        if let Some(serving) = promoted {
            next.stable = serving;
        }
        let now = voice.now();
        let fresh = fresh(
            (next.name, next.service),
            (next.stable, next.candidate),
            next.terms,
            now,
        );
        let deployment = next.deployment;
        begin_alone(config, state, Box::new(Rollout { deployment, ..fresh }), voice);
    }
}

/// Begins the only rollout of its service.
fn begin_alone(config: &Config, state: &mut State, mut rollout: Box<Rollout>, voice: &mut Voice<'_>) {
    let service = rollout.service.to_string();
    let [requests, slow] = state.histories.begin(&service, voice.now(), config.clock());
    requests
        .iter()
        .for_each(|counts| rollout.tally.requests.absorb_history(counts));
    slow.iter()
        .for_each(|counts| rollout.tally.slow.absorb_history(counts));
    let judged = judge(&rollout);
    let text = format!(
        "{} beside {}: waiting for its score, at most {}",
        describe(&rollout.candidate),
        describe(&rollout.stable),
        rollout.terms.score_wait
    );
    let wish = Wish {
        weight: 0,
        action: Action::Start,
        reason: Reason::Started,
        text,
    };
    voice.carry(&mut rollout, wish, &judged);
    rollout.course.blocked = blocks(state, &rollout);
    prior::settle(&mut rollout, &state.scores, &mut state.portfolio, voice);
    settle(config, state, rollout, voice);
}

fn describe(target: &TrackTarget) -> String {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    match (target.revision.as_str(), target.url.as_str()) {
        ("", "") => "an unnamed revision".to_owned(),
        ("", url) => url.to_owned(),
        (revision, _) => short(revision),
    }
}
