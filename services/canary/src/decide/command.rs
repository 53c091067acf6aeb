//! What people and tools ask of a rollout.

use auspex_chassis::Reject;
use auspex_proto::Command;
use auspex_proto::command::Ask;
use auspex_proto::decision::{Action, Phase, Reason};

use super::judge::judge;
use super::prior;
use super::rules;
use super::start::{self, Refusal};
use super::voice::Voice;
use crate::config::Config;
use crate::document::Document;
use crate::policy::Wish;
use crate::state::{Rollout, State};

/// Carries a command out, or notes why not. Only a document that cannot be read is a dead letter.
pub(super) fn carry_out(
    config: &Config,
    state: &mut State,
    command: &Command,
    voice: &mut Voice<'_>,
) -> Result<(), Reject> {
    if let Ask::Start { document } = &command.ask {
        return begin(config, state, (command, document), voice);
    }
    if !state.seen.admit(&command.meta.id) {
        return Ok(());
    }
    let taken = state
        .service_of(&command.rollout)
        .and_then(|service| state.active.remove_entry(&service));
    let refused = match taken {
        None => match state.ended(&command.rollout) {
            Some(ended) => {
                let how = if ended.phase == Phase::Promoted {
                    "promoted"
                } else {
                    "rolled back"
                };
                format!("{} is over: it was {how}", command.rollout)
            }
            None => format!("no rollout is called {}", command.rollout),
        },
        Some((service, mut rollout)) => {
            let refused = ask(&mut rollout, state, command, voice).err().unwrap_or_default();
            if rollout.phase.is_terminal() {
                state.retire(rollout, voice.now());
            } else {
                state.active.insert(service, rollout);
            }
            refused
        }
    };
    state.answer(&command.meta.id, refused);
    Ok(())
}

fn begin(
    config: &Config,
    state: &mut State,
    (command, document): (&Command, &str),
    voice: &mut Voice<'_>,
) -> Result<(), Reject> {
    let document = Document::parse(document).map_err(|fault| Reject(fault.to_string()))?;
    if !state.seen.admit(&command.meta.id) {
        return Ok(());
    }
    let refused = match start::begin(config, state, (document, None), voice) {
        Ok(()) => String::new(),
        Err(Refusal::UnderWay(why) | Refusal::Impossible(why)) => why,
    };
    state.answer(&command.meta.id, refused);
    Ok(())
}

fn ask(
    rollout: &mut Rollout,
    state: &mut State,
    command: &Command,
    voice: &mut Voice<'_>,
) -> Result<(), String> {
    let weight = rollout.weight;
    let wish = |action, weight, what: &str| Wish {
        weight,
        action,
        reason: Reason::Commanded,
        text: said(command, what),
    };
    let wish = match command.ask {
        Ask::Start { .. } => return Ok(()),
        Ask::Abort => wish(Action::RollBack, 0, "aborted"),
        Ask::Pause if rollout.phase == Phase::Paused => return Err("it is paused already".to_owned()),
        Ask::Pause => wish(Action::Pause, weight, "paused"),
        Ask::Resume if rollout.phase == Phase::Paused || rollout.raised.is_some() => {
            rollout.raised = None;
            rollout.cursor.released = true;
            rollout.weighed = voice.now();
            wish(Action::Resume, weight, "resumed")
        }
        Ask::Resume => return Err("it is not paused".to_owned()),
        Ask::Promote { .. } if rollout.tally.ready.is_some_and(|ready| ready <= 0.0) => {
            return Err("the candidate reports that it is not ready".to_owned());
        }
        Ask::Promote { full: true } => wish(Action::Promote, 100, "promoted"),
        Ask::Approve { .. } | Ask::Retry | Ask::Undo | Ask::Report(_) => {
            return Err("there is nothing of that kind to do".to_owned());
        }
        Ask::Promote { full: false } => {
            push(rollout, state, command, voice);
            return Ok(());
        }
    };
    let judged = judge(rollout);
    voice.carry(rollout, wish, &judged);
    Ok(())
}

/// Past the current hold: the wait for the score, a pause, a dwell, a step.
fn push(rollout: &mut Rollout, state: &mut State, command: &Command, voice: &mut Voice<'_>) {
    rollout.raised = None;
    if rollout.prior.is_none() {
        return prior::settle_now(rollout, state, voice);
    }
    rollout.phase = Phase::Progressing;
    let judged = judge(rollout);
    let Some(wish) = rules::policy(rollout, &judged, voice.now(), true) else {
        return;
    };
    let wish = match wish.action {
        Action::Advance | Action::Promote => Wish {
            reason: Reason::Commanded,
            text: said(command, &format!("went on, {}", wish.text)),
            ..wish
        },
        _ => wish,
    };
    voice.carry(rollout, wish, &judged);
}

fn said(command: &Command, what: &str) -> String {
    let actor = if command.actor.is_empty() {
        "somebody"
    } else {
        command.actor.as_str()
    };
    match command.note.as_str() {
        "" => format!("{actor} {what}"),
        note => format!("{actor} {what}: {note}"),
    }
}
