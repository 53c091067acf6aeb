//! What a rollout asks beside its weight: which cohorts have a track of their own, and how much is copied to the candidate.
//!
//! A cohort that no step names has its track from the beginning; one that steps name has it where the last step passed that
//! names any says so. What a step has put in place stays until another one says otherwise, or the rollout ends.

use std::collections::BTreeSet;

use auspex_proto::intent::Cohort;

use super::Kind;
use crate::document::Step;
use crate::policy::Policy;
use crate::terms::Terms;

/// What is asked beside the weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside {
    /// Who has a track of his own, in the order in which they count.
    pub cohorts: Vec<Cohort>,
    /// Percent of requests that are copied to the candidate.
    pub mirror: u8,
}

impl Beside {
    /// What holds in this leg (from 0) before this step (from 0).
    #[must_use]
    pub fn at(terms: &Terms, leg: usize, index: usize) -> Self {
        let named: BTreeSet<&String> = (0..=terms.legs.len())
            .flat_map(|leg| steps(terms, leg))
            .filter_map(|step| step.cohorts.as_ref())
            .flatten()
            .collect();
        let before = (0..leg).flat_map(|leg| steps(terms, leg));
        let passed: Vec<&Step> = before.chain(steps(terms, leg).iter().take(index)).collect();
        let last = passed.iter().rev().find_map(|step| step.cohorts.as_ref());
        let holds = |cohort: &&Cohort| {
            !named.contains(&cohort.name) || last.is_some_and(|names| names.contains(&cohort.name))
        };
        let mirror = passed.iter().rev().find_map(|step| step.mirror);
        Self {
            cohorts: terms.cohorts.iter().filter(holds).cloned().collect(),
            mirror: mirror.unwrap_or(terms.mirror),
        }
    }

    /// Whether more comes to the candidate than with that.
    #[must_use]
    pub fn exceeds(&self, other: &Self) -> bool {
        let comes = |cohort: &&Cohort| !cohort.stable && !other.cohorts.contains(cohort);
        let let_go = |cohort: &&Cohort| cohort.stable && !self.cohorts.contains(cohort);
        self.mirror > other.mirror
            || self.cohorts.iter().any(|cohort| comes(&cohort))
            || other.cohorts.iter().any(|cohort| let_go(&cohort))
    }
}

/// The steps of a leg; none where it has none. A state of before there were legs has one canary.
#[must_use]
pub fn steps(terms: &Terms, leg: usize) -> &[Step] {
    let policy = match terms.legs.get(leg).map(|leg| &leg.kind) {
        Some(Kind::Ramp { policy, .. }) => policy,
        None if leg == 0 => &terms.policy,
        _ => return &[],
    };
    match policy {
        Policy::Steps(steps) => steps,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::document::Spec;

    fn terms(spec: &str) -> Terms {
        let spec: Spec = serde_yaml_ng::from_str(spec).unwrap();
        assert_eq!(spec.problems("spec"), Vec::<String>::new());
        Terms::of(&spec, &Config::default())
    }

    fn names(beside: &Beside) -> Vec<&str> {
        beside.cohorts.iter().map(|cohort| cohort.name.as_str()).collect()
    }

    const COHORTS: &str = "cohorts: [{name: staff, header: {name: x-staff}}, {name: beta, cookie: {name: beta}}, \
                           {name: bank, header: {name: x-bank}, stable: true}]";

    #[test]
    fn a_cohort_holds_from_the_step_that_names_it_until_one_does_not() {
        let terms = terms(&format!(
            "{{service: a, {COHORTS}, mirror: 5, policy: {{steps: [{{setWeight: 10}}, {{cohorts: [beta]}}, {{mirror: 30}}, \
             {{cohorts: [staff, beta]}}, {{mirror: 0}}, {{cohorts: []}}]}}}}"
        ));
        let seen: Vec<_> = (0..7).map(|index| Beside::at(&terms, 0, index)).collect();
        let expected: [(&[&str], u8); 7] = [
            (&["bank"], 5),
            (&["bank"], 5),
            (&["beta", "bank"], 5),
            (&["beta", "bank"], 30),
            (&["staff", "beta", "bank"], 30),
            (&["staff", "beta", "bank"], 0),
            (&["bank"], 0),
        ];
        for (seen, (cohorts, mirror)) in seen.iter().zip(expected) {
            assert_eq!((names(seen).as_slice(), seen.mirror), (cohorts, mirror));
        }
        assert!(seen[2].exceeds(&seen[1]) && seen[3].exceeds(&seen[2]));
        assert!(!seen[5].exceeds(&seen[4]) && !seen[6].exceeds(&seen[5]) && !seen[1].exceeds(&seen[0]));
    }

    #[test]
    fn what_a_leg_has_put_in_place_stays_after_it() {
        let terms = terms(&format!(
            "{{service: a, {COHORTS}, strategy: {{pipeline: [{{name: a, canary: {{to: 20, policy: {{steps: [{{cohorts: [staff]}}]}}}}}}, \
             {{name: b, blue_green: {{}}}}]}}}}"
        ));
        let at = |leg, index| names(&Beside::at(&terms, leg, index)).join(" ");
        assert_eq!(at(0, 0), "beta bank");
        for (leg, index) in [(0, 1), (1, 0), (2, 0)] {
            assert_eq!(at(leg, index), "staff beta bank");
        }
    }
}
