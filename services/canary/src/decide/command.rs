//! What people and tools ask of a rollout.

use auspex_chassis::Reject;
use auspex_proto::command::Ask;
use auspex_proto::decision::{Action, Phase, Reason};
use auspex_proto::{Command, stage};

use super::approve::{approved, reported};
use super::judge::judge;
use super::start::{self, Refusal};
use super::voice::Voice;
use super::{again, bake, course, gates, prior, succession};
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
    if let Ask::Retry | Ask::Undo = &command.ask {
        let begun = match &command.ask {
            Ask::Retry => again::again(config, state, &command.rollout, voice),
            _ => again::undo(config, state, &command.rollout, voice),
        };
        let refused = match begun {
            Ok(()) => String::new(),
            Err(Refusal::UnderWay(why) | Refusal::Impossible(why)) => why,
        };
        state.answer(&command.meta.id, refused);
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
        Some((_, mut rollout)) => {
            rollout.course.blocked = start::blocks(state, &rollout);
            let refused = ask(&mut rollout, state, command, voice).err().unwrap_or_default();
            succession::settle(config, state, rollout, voice);
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
    rollout.course.stirred = true;
    let weight = rollout.weight;
    let wish = |action, weight, what: &str| Wish {
        weight,
        action,
        reason: Reason::Commanded,
        text: said(command, what),
    };
    let wish = match &command.ask {
        Ask::Start { .. } | Ask::Retry | Ask::Undo => return Ok(()),
        Ask::Report(report) => return reported(rollout, report),
        Ask::Approve { gate, ticket } => match approved(rollout, command, (gate, ticket), voice.now())? {
            Some(text) => Wish {
                reason: Reason::Approved,
                ..wish(Action::Resume, weight, &text)
            },
            None => return Ok(()),
        },
        // What waits for its end has had no users yet.
        Ask::Abort if rollout.next.take().is_some() => return Ok(()),
        Ask::Abort if rollout.phase == Phase::Returning => {
            return Err("it is on its way back already".to_owned());
        }
        Ask::Abort if gates::contracts(rollout) => {
            return Err("its database is contracted: nothing goes back".to_owned());
        }
        Ask::Abort => wish(Action::RollBack, 0, "aborted"),
        _ if rollout.phase == Phase::Returning => return Err("it is on its way back to stable".to_owned()),
        Ask::Pause if rollout.phase == Phase::Paused => return Err("it is paused already".to_owned()),
        Ask::Pause if rollout.course.held => return Err("it is paused already".to_owned()),
        Ask::Pause if rollout.phase == Phase::Baking => {
            rollout.course.held = true;
            wish(Action::Pause, weight, "paused")
        }
        Ask::Pause => wish(Action::Pause, weight, "paused"),
        Ask::Resume => resume(rollout, command, voice)?,
        Ask::Promote { .. } if rollout.capacity() == 0 && !rollout.is_scaled() => {
            return Err("the candidate reports that it is not ready".to_owned());
        }
        // What was inconclusive after the switch is asked anew, as Argo Rollouts does: no bake ends before its approvals.
        Ask::Promote { full: false } if rollout.course.held && gates::open(rollout, "end") => {
            resume(rollout, command, voice)?
        }
        Ask::Promote { .. } if rollout.phase == Phase::Baking => {
            end_bake(rollout, command, voice);
            return Ok(());
        }
        Ask::Promote { full: true } => match gates::refusal(rollout, voice.now()) {
            Some(why) => return Err(why),
            None => full(rollout, wish(Action::Promote, 100, "promoted")),
        },
        Ask::Promote { full: false } => return push(rollout, state, command, voice),
    };
    let judged = judge(rollout);
    voice.carry(rollout, wish, &judged);
    Ok(())
}

/// Lets a rollout go on; an analysis that it waits for is measured anew, unless it was the analysis that spoke.
fn resume(rollout: &mut Rollout, command: &Command, voice: &Voice<'_>) -> Result<Wish, String> {
    let wish = |action, what: &str| Wish::new(action, rollout.weight, Reason::Commanded, said(command, what));
    let waits = analysed(rollout).filter(|_| command.meta.source != stage::ANALYSIS.name);
    if let Some(name) = waits {
        return Ok(wish(
            Action::Pause,
            &format!("resumed: the analysis {name} runs anew"),
        ));
    }
    let waits = rollout.phase == Phase::Paused || std::mem::take(&mut rollout.course.held);
    // An analysis that may give the approval is measured anew by this word; the approval itself it does not replace.
    let gate = gates::wanted(rollout);
    if !waits && rollout.raised.is_none() && !drifted(rollout) {
        return Err(match gate {
            Some(gate) => format!("it is not paused: {gate}"),
            None => "it is not paused".to_owned(),
        });
    }
    let wish = match gate {
        Some(gate) => wish(Action::Resume, &format!("resumed, but {gate}")),
        None => wish(Action::Resume, "resumed"),
    };
    rollout.raised = None;
    rollout.cursor.release();
    rollout.weigh(voice.now());
    Ok(wish)
}

/// A person ends the watch over a candidate that has everything.
fn end_bake(rollout: &mut Rollout, command: &Command, voice: &mut Voice<'_>) {
    (rollout.course.baked, rollout.course.held) = (true, false);
    let text = said(command, "ended the bake");
    let judged = judge(rollout);
    let Some(done) = bake::wish(rollout, &judged, voice.now()) else {
        return;
    };
    let done = match done.action {
        Action::Promote => Wish {
            reason: Reason::Commanded,
            text,
            ..done
        },
        _ => done,
    };
    voice.carry(rollout, done, &judged);
}

/// Where stable is kept for a while, it is kept whoever asked.
fn full(rollout: &mut Rollout, wish: Wish) -> Wish {
    rollout.course.open = true;
    match course::bakes(rollout) {
        true => Wish {
            action: Action::Bake,
            ..wish
        },
        false => wish,
    }
}

/// The analysis that a paused rollout waits for.
fn analysed(rollout: &Rollout) -> Option<String> {
    let waits = rollout
        .last
        .as_ref()
        .is_some_and(|last| last.reason == Reason::StepWait || last.reason == Reason::Commanded);
    let step = course::step(rollout).filter(|_| waits && rollout.phase == Phase::Paused)?;
    (!step.analysis.is_empty()).then(|| step.analysis.clone())
}

fn drifted(rollout: &Rollout) -> bool {
    rollout
        .last
        .as_ref()
        .is_some_and(|last| last.reason == Reason::Drift)
}

/// Past the current hold: the wait for the score, a pause, a dwell, a step.
fn push(
    rollout: &mut Rollout,
    state: &mut State,
    command: &Command,
    voice: &mut Voice<'_>,
) -> Result<(), String> {
    if rollout.prior.is_none() {
        rollout.raised = None;
        prior::settle_now(rollout, state, voice);
        return Ok(());
    }
    let judged = judge(rollout);
    let before = (rollout.cursor, rollout.course.clone());
    let wish = course::wish(rollout, &judged, voice.now(), true);
    // The next leg has begun, and stays as it is for now.
    let quiet = || {
        let leg = rollout.leg().map(|leg| format!(" to {}", leg.name));
        let text = said(command, &format!("went on{}", leg.unwrap_or_default()));
        Wish::new(Action::Hold, rollout.weight, Reason::Commanded, text)
    };
    let wish = wish.unwrap_or_else(quiet);
    if matches!(
        wish.reason,
        Reason::ApprovalWanted | Reason::TicketWanted | Reason::Frozen | Reason::DependencyWaits
    ) {
        (rollout.cursor, rollout.course) = before;
        return Err(gates::stays(rollout, &wish));
    }
    rollout.raised = None;
    let wish = match wish.action {
        Action::Advance | Action::Promote | Action::Bake => Wish {
            reason: Reason::Commanded,
            text: said(command, &format!("went on, {}", wish.text)),
            ..wish
        },
        _ => wish,
    };
    // Whatever held it is over: a hold that follows is one of its own.
    if rollout.phase == Phase::Paused && wish.action == Action::Hold {
        rollout.phase = Phase::Progressing;
    }
    voice.carry(rollout, wish, &judged);
    Ok(())
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
