//! Where a rollout stands in its steps, from what was decided about it; and so which runs are wanted.

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Run, Step, When};

/// What a decision says, as far as steps are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It has begun.
    Begun,
    /// The candidate has this weight.
    Weight(u8),
    /// A pause that ends by itself.
    Waits,
    /// A pause that does not, of the steps.
    Paused,
    /// A pause that is none of the steps: somebody's hand, or too little to judge by.
    Held,
    /// Somebody let it go on.
    Resumed,
    /// Everything is with the candidate, which is watched.
    Switched,
    /// It is over.
    Over,
}

/// Where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// The step that is not done yet, from 0.
    pub at: usize,
    /// It has begun.
    pub begun: bool,
    /// Everything is with the candidate.
    pub switched: bool,
    /// It is over.
    pub over: bool,
    /// It waits for somebody.
    pub paused: bool,
    /// The candidate's weight.
    pub weight: u8,
    /// How often somebody let it go on.
    pub resumed: u32,
}

impl Course {
    /// Takes in which step is not done yet, as decisions say it. Older ones do not: of them the signs tell.
    pub fn stand(&mut self, step: usize) {
        self.at = step;
    }

    fn seek(&self, steps: &[Step], is: impl Fn(&Step) -> bool) -> Option<usize> {
        let ahead = steps.iter().enumerate().skip(self.at);
        ahead.into_iter().find(|(_, step)| is(step)).map(|(at, _)| at)
    }

    /// Takes a sign in.
    pub fn absorb(&mut self, steps: &[Step], sign: Sign) {
        match sign {
            Sign::Begun => {
                *self = Self {
                    begun: true,
                    ..Self::default()
                }
            }
            Sign::Weight(weight) => {
                self.paused = false;
                self.weight = weight;
                self.switched |= weight == 100 && steps.is_empty();
                if let Some(at) = self.seek(steps, |step| *step == Step::Weight(weight)) {
                    self.at = at + 1;
                }
            }
            Sign::Waits => {
                if let Some(at) = self.seek(steps, |step| matches!(step, Step::Pause(_))) {
                    self.at = at;
                }
            }
            Sign::Paused => {
                self.paused = true;
                if let Some(at) = self.seek(steps, |step| matches!(step, Step::Person | Step::Run(_))) {
                    self.at = at;
                }
            }
            Sign::Held => {
                // Somebody let it go on, and control did not let it pass: what it waits for is measured anew.
                let waits = matches!(steps.get(self.at), Some(Step::Run(_)));
                self.resumed += u32::from(self.paused && waits);
                self.paused = true;
            }
            Sign::Resumed => {
                self.resumed += 1;
                let waits = matches!(steps.get(self.at), Some(Step::Person | Step::Run(_)));
                self.at += usize::from(waits && self.paused);
                self.paused = false;
            }
            Sign::Switched => self.switched = true,
            Sign::Over => self.over = true,
        }
        // What is done at once is done.
        while matches!(steps.get(self.at), Some(Step::Beside)) {
            self.at += 1;
        }
    }

    /// Whether a run is to be under way now.
    #[must_use]
    pub fn wants(&self, run: &Run) -> bool {
        let under_way = self.begun && !self.over;
        match run.when {
            When::Now => true,
            When::Background(from) => under_way && self.at >= from,
            When::Step(step) => under_way && !self.switched && self.paused && self.at == step,
            When::PrePromotion => under_way && !self.switched,
            When::PostPromotion => under_way && self.switched,
        }
    }

    /// Whether a plan is done with.
    #[must_use]
    pub fn is_over(&self, plan: &Plan) -> bool {
        self.over && plan.runs.iter().all(|run| run.when != When::Now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_wanted_where_the_steps_are() {
        let steps = [
            Step::Weight(10),
            Step::Pause("30s".to_owned()),
            Step::Run("step-2".to_owned()),
            Step::Weight(50),
            Step::Person,
        ];
        let run = |when| Run {
            when,
            ..Run::default()
        };
        let (from, step) = (run(When::Background(2)), run(When::Step(2)));
        let mut course = Course::default();
        let mut seen = Vec::new();
        for sign in [
            Sign::Begun,
            Sign::Weight(10),
            Sign::Waits,
            Sign::Paused,
            Sign::Resumed,
            Sign::Weight(50),
            Sign::Paused,
            Sign::Resumed,
            Sign::Weight(100),
            Sign::Over,
        ] {
            course.absorb(&steps, sign);
            seen.push((course.at, course.wants(&from), course.wants(&step)));
        }
        let expected = [
            (0, false, false),
            (1, false, false),
            (1, false, false),
            (2, true, true),
            (3, true, false),
            (4, true, false),
            (4, true, false),
            (5, true, false),
            (5, true, false),
            (5, false, false),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn who_resumes_a_step_that_a_run_ends_lets_it_run_anew() {
        let steps = [Step::Run("step-0".to_owned()), Step::Weight(20)];
        let mut course = Course::default();
        for sign in [Sign::Begun, Sign::Paused, Sign::Held] {
            course.absorb(&steps, sign);
        }
        assert_eq!((course.at, course.paused, course.resumed), (0, true, 1));
        course.absorb(&steps, Sign::Resumed);
        assert_eq!(
            (course.at, course.paused),
            (1, false),
            "the run itself goes past it"
        );
    }

    #[test]
    fn what_is_done_at_once_is_passed() {
        let steps = [
            Step::Beside,
            Step::Weight(10),
            Step::Beside,
            Step::Beside,
            Step::Person,
            Step::Beside,
            Step::Weight(20),
        ];
        let mut course = Course::default();
        let mut seen = Vec::new();
        for sign in [
            Sign::Begun,
            Sign::Weight(10),
            Sign::Paused,
            Sign::Resumed,
            Sign::Weight(20),
        ] {
            course.absorb(&steps, sign);
            seen.push(course.at);
        }
        assert_eq!(seen, [1, 4, 4, 6, 7]);
    }

    #[test]
    fn after_the_switch_a_hold_begins_no_step_and_who_resumes_is_counted() {
        let run = |when| Run {
            when,
            ..Run::default()
        };
        let steps = [Step::Run("step-0".to_owned())];
        let (step, post) = (run(When::Step(0)), run(When::PostPromotion));
        let mut course = Course::default();
        for sign in [Sign::Begun, Sign::Paused, Sign::Switched, Sign::Held] {
            course.absorb(&steps, sign);
        }
        assert!(!course.wants(&step) && course.wants(&post));
        let before = course.resumed;
        course.absorb(&[], Sign::Resumed);
        assert_eq!(course.resumed, before + 1);
    }

    /// What control says of these steps, and which of the runs are wanted then.
    #[test]
    #[allow(
        clippy::too_many_lines,
        reason = "one table: what is said, and what is wanted"
    )]
    fn every_run_is_wanted_from_exactly_its_step() {
        let pause = || Step::Pause("30s".to_owned());
        let steps = [
            Step::Weight(10),
            pause(),
            Step::Beside,
            pause(),
            pause(),
            Step::Run("step-5".to_owned()),
            Step::Run("step-6".to_owned()),
            Step::Weight(20),
            Step::Weight(10),
            Step::Person,
        ];
        // What is said, the step that goes with it, the first background that is under way, the step's run that is.
        let table = [
            (Some(Sign::Begun), 0, 0, None),
            (Some(Sign::Weight(10)), 0, 0, None),
            (Some(Sign::Waits), 1, 1, None),
            (Some(Sign::Waits), 3, 3, None),
            (Some(Sign::Waits), 4, 4, None),
            // Capacity was gone, and its weight is due again: no step has been made.
            (None, 4, 4, None),
            (Some(Sign::Weight(10)), 4, 4, None),
            (Some(Sign::Waits), 4, 4, None),
            (Some(Sign::Held), 4, 4, None),
            (Some(Sign::Resumed), 4, 4, None),
            (Some(Sign::Paused), 5, 5, Some(5)),
            // Somebody's promotion, from pause to pause.
            (Some(Sign::Paused), 6, 6, Some(6)),
            (Some(Sign::Held), 6, 6, Some(6)),
            (Some(Sign::Resumed), 6, 6, None),
            (Some(Sign::Weight(20)), 7, 7, None),
            (Some(Sign::Weight(10)), 8, 8, None),
            (Some(Sign::Paused), 9, 9, None),
            (Some(Sign::Resumed), 9, 9, None),
            (None, 10, 10, None),
            (Some(Sign::Weight(100)), 10, 10, None),
        ];
        let run = |when| Run {
            when,
            ..Run::default()
        };
        let mut course = Course::default();
        for (row, (sign, step, background, wanted)) in table.into_iter().enumerate() {
            if let Some(sign) = sign {
                course.absorb(&steps, sign);
            }
            course.stand(step);
            let is = |when| course.wants(&run(when));
            for from in 0..=steps.len() {
                assert_eq!(
                    is(When::Background(from)),
                    from <= background,
                    "row {row}, from {from}"
                );
            }
            for step in [5, 6] {
                assert_eq!(
                    is(When::Step(step)),
                    wanted == Some(step),
                    "row {row}, step {step}"
                );
            }
        }
        assert_eq!(course.resumed, 4);
        course.absorb(&steps, Sign::Over);
        assert!(!course.wants(&run(When::Background(0))));
    }

    #[test]
    fn a_pause_by_hand_is_not_a_step() {
        let steps = [Step::Weight(10), Step::Pause("30s".to_owned()), Step::Weight(20)];
        let mut course = Course::default();
        for sign in [
            Sign::Begun,
            Sign::Weight(10),
            Sign::Waits,
            Sign::Held,
            Sign::Resumed,
        ] {
            course.absorb(&steps, sign);
        }
        assert_eq!((course.at, course.paused), (1, false));
    }
}
