//! What steps may put beside the weight: cohorts that are there, in a policy that some leg takes.

use std::collections::BTreeSet;

use super::{PolicyChoice, Spec};

impl Spec {
    pub(super) fn route_problems(&self, path: &str, found: &mut Vec<String>) {
        let mut named = BTreeSet::new();
        for (path, policy, taken) in self.policies(path) {
            let steps = policy.steps.iter().flatten().enumerate();
            let mut beside = steps.filter(|(_, step)| step.cohorts.is_some() || step.mirror.is_some());
            if !taken {
                match beside.next() {
                    Some((at, _)) => found.push(format!(
                        "{path}.steps[{at}]: no leg of the strategy takes this policy"
                    )),
                    None if *policy != PolicyChoice::default() => {
                        found.push(format!("{path}: no leg of the strategy takes this policy"));
                    }
                    None => {}
                }
                continue;
            }
            for (at, step) in beside {
                let path = format!("{path}.steps[{at}].cohorts");
                let mut twice = BTreeSet::new();
                for name in step.cohorts.iter().flatten() {
                    named.insert(name.as_str());
                    if !self.cohorts.iter().any(|cohort| &cohort.name == name) {
                        found.push(format!("{path}: `{name}` is not among spec.cohorts"));
                    } else if !twice.insert(name) {
                        found.push(format!("{path}: `{name}` is there twice"));
                    }
                }
            }
        }
        let mut candidate = self.cohorts.iter().filter(|cohort| !cohort.stable);
        if self.cohorts_first.is_some() && candidate.all(|cohort| named.contains(cohort.name.as_str())) {
            found.push(format!(
                "{path}.cohorts_first: needs {path}.cohorts that go to the candidate and that no step names"
            ));
        }
    }

    /// Every policy of the document with its path, and whether a leg takes it.
    fn policies(&self, path: &str) -> Vec<(String, &PolicyChoice, bool)> {
        let choice = &self.strategy;
        let own = format!("{path}.policy");
        let mut out = Vec::new();
        let legs = choice.pipeline.iter().flatten().enumerate();
        let mut taken = choice.pipeline.is_none()
            && choice.blue_green.is_none()
            && choice.ab.is_none()
            && choice.rolling.is_none();
        let legs = legs.map(|(at, leg)| (format!("{path}.strategy.pipeline[{at}]"), leg.canary.as_ref()));
        let single = (format!("{path}.strategy"), choice.canary.as_ref());
        for (path, canary) in legs.chain([single]) {
            match canary.map(|canary| &canary.policy) {
                Some(Some(policy)) => out.push((format!("{path}.canary.policy"), policy, true)),
                Some(None) => taken = true,
                None => {}
            }
        }
        let replaced = choice
            .canary
            .as_ref()
            .is_some_and(|canary| canary.policy.is_some());
        out.push((own, &self.policy, taken && !replaced));
        out
    }
}
