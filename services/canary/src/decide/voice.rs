//! How decisions are said: a change is carried out on the rollout and put into words, or nothing is said at all.

use auspex_chassis::Input;
use auspex_proto::decision::{Action, Decision, Mode, Phase, Reason, Versions};
use auspex_proto::{Fact, Project, Timestamp, stage};

use super::judge::Judged;
use super::{actuate, course, gates};
use crate::control::after;
use crate::policy::Wish;
use crate::state::Rollout;

/// Longest reason, in characters: a person's note may be longer than a state can hold.
const LONGEST_TEXT: usize = 500;

/// Collects what follows from one input.
#[derive(Debug)]
pub(super) struct Voice<'a> {
    input: &'a Input<'a>,
    project: Project,
    facts: Vec<Fact>,
}

impl<'a> Voice<'a> {
    pub(super) fn new(input: &'a Input<'a>, project: Project) -> Self {
        Self {
            input,
            project,
            facts: Vec::new(),
        }
    }

    /// The log's time.
    pub(super) fn now(&self) -> Timestamp {
        self.input.now
    }

    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    pub(super) fn into_facts(self) -> Vec<Fact> {
        self.facts
    }

    /// Carries a wish out, within what the candidate can take. Says a decision when weight, phase, action or reason
    /// changed; else nothing.
    pub(super) fn carry(&mut self, rollout: &mut Rollout, wish: Wish, judged: &Judged) {
        let wish = within_capacity(rollout, wish);
        let wish = actuate::within_order(rollout, wish, self.now());
        let before = (rollout.weight, rollout.phase);
        let next = match wish.action {
            Action::Start => Some(Phase::Waiting),
            action => after(rollout.phase, action, rollout.prior.is_some()),
        };
        // What is not in the machine does not happen.
        let Some(next) = next else { return };
        rollout.phase = next;
        rollout.course.pauses(next == Phase::Paused, self.now());
        rollout.weight = wish.weight;
        if matches!(wish.action, Action::RollBack | Action::Return) {
            rollout.toll.left.get_or_insert(self.now());
        }
        if next == Phase::Baking {
            let since = rollout.course.watch.at(self.now());
            rollout.course.baking.get_or_insert(since);
        }
        if rollout.weight != before.0 {
            rollout.weigh(self.now());
            if rollout.first_weight.is_none() {
                rollout.first_weight = Some(self.now());
            }
        }
        let last = rollout.last.as_ref();
        let intent = actuate::intent(rollout);
        let asks = !actuate::same(last.and_then(|last| last.intent.as_ref()), intent.as_ref());
        // Two pauses in a row are two steps, though the first one's end moves nothing.
        let walks = last.is_some_and(|last| last.step != course::stands(rollout));
        let last = last.map(|last| (last.action, last.reason));
        // Another service, or another window, than the one that was told.
        let turned = rollout.last.as_ref().is_some_and(|last| turned(last, &wish));
        // A person's word is answered, even where it leaves a pause a pause.
        let again = wish.action == Action::Pause && wish.reason == Reason::Commanded;
        if !asks
            && !again
            && !walks
            && !turned
            && (rollout.weight, rollout.phase) == before
            && last == Some((wish.action, wish.reason))
        {
            return;
        }
        self.say(rollout, wish, judged, before.0);
    }

    fn say(&mut self, rollout: &mut Rollout, wish: Wish, judged: &Judged, previous_weight: u8) {
        rollout.number = rollout.number.saturating_add(1);
        rollout.course.stirred = true;
        let prior = rollout.prior.as_ref();
        let decision = Decision {
            meta: self
                .input
                .derive(stage::CANARY.name, &self.project, self.facts.len()),
            rollout: rollout.name.clone(),
            service: rollout.service.clone(),
            mode: rollout.terms.mode,
            phase: rollout.phase,
            action: wish.action,
            reason: wish.reason,
            reason_text: wish.text.chars().take(LONGEST_TEXT).collect(),
            weight: rollout.weight,
            previous_weight,
            acts: rollout.terms.mode == Mode::Act,
            prior: rollout.p_failure(),
            prior_is_base_rate: prior.is_none_or(|prior| prior.score.is_none()),
            posterior: rollout.posterior,
            evidence: judged.evidence.clone(),
            harmed: rollout.harmed(),
            versions: Versions {
                model: prior.map(|prior| prior.model.clone()).unwrap_or_default(),
                policy: rollout.terms.policy.name().to_owned(),
                features: prior.map(|prior| prior.features.clone()).unwrap_or_default(),
            },
            stable: rollout.stable.clone(),
            candidate: rollout.candidate.clone(),
            number: rollout.number,
            affinity: rollout.terms.affinity.clone(),
            slo_ms: rollout.terms.slo_ms,
            score: prior.and_then(|prior| prior.score.clone()),
            intent: actuate::intent(rollout),
            step: course::stands(rollout),
        };
        if rollout.is_scaled() {
            let sizes = |intent: Option<&auspex_proto::Intent>| intent.map(|i| (i.stable, i.candidate));
            let before = rollout.last.as_ref().and_then(|last| last.intent.as_ref());
            let resized = sizes(before) != sizes(decision.intent.as_ref());
            let asks = |intent: Option<&auspex_proto::Intent>| intent.map(|i| (i.cohorts.clone(), i.mirror));
            let moved = decision.weight != previous_weight
                || rollout.last.is_none()
                || asks(before) != asks(decision.intent.as_ref());
            rollout.course.decided(&decision.meta.id, moved, resized);
        }
        rollout.last = Some(decision.clone());
        self.facts.push(Fact::Decision(decision));
    }
}

/// Whether it waits for something else than it said last. What follows a semicolon, figures among it, is no news.
fn turned(last: &Decision, wish: &Wish) -> bool {
    let what = |text: &str| -> String {
        let clause = text.split(';').next().unwrap_or_default();
        clause.chars().take(LONGEST_TEXT).collect()
    };
    matches!(wish.reason, Reason::DependencyWaits | Reason::Frozen)
        && what(&last.reason_text) != what(&wish.text)
}

/// Law 6: never above what the candidate says it can take. Once the database is not what stable knows there is nowhere else
/// to go.
fn within_capacity(rollout: &Rollout, wish: Wish) -> Wish {
    let weight = match wish.action {
        Action::RollBack | Action::Start => 0,
        Action::Promote | Action::Bake => 100,
        _ => wish.weight.min(100),
    };
    let most = if rollout.is_scaled() || (rollout.weight == 100 && gates::contracting(rollout).is_some()) {
        100
    } else {
        rollout.capacity()
    };
    if weight <= most {
        return Wish { weight, ..wish };
    }
    let text = format!("the candidate can take {most} %, not {weight} % ({})", wish.text);
    let (action, reason) = match wish.action {
        // A person's pause stays a pause.
        Action::Pause => (Action::Pause, wish.reason),
        _ => (Action::Hold, Reason::NoCapacity),
    };
    Wish {
        weight: most,
        action,
        reason,
        text,
    }
}
