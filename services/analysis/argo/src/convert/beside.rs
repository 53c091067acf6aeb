//! Header and mirror routes: Argo Rollouts makes and removes each by its name; Auspex's steps say what holds from there on.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::Paper;
use crate::document::kinds::Canary;

/// Most cohorts of a rollout.
const MOST: usize = 16;

/// What the steps so far have made and not removed.
#[derive(Default)]
pub(super) struct Beside {
    /// Every cohort that some step makes: its route, its name, its header.
    cohorts: Vec<(String, String, Json)>,
    /// Which of them each route has now.
    held: BTreeMap<String, Vec<String>>,
    /// Percentages of mirrors.
    mirrors: BTreeMap<String, u8>,
}

impl Beside {
    /// A step makes, changes or removes a header route: the step in Auspex's words, where anything changes.
    pub(super) fn header(&mut self, route: &str, headers: Vec<Json>) -> Option<Json> {
        let before = self.names();
        let names: Vec<String> = headers
            .into_iter()
            .map(|header| self.cohort(route, header))
            .collect();
        self.held.insert(route.to_owned(), names);
        let names = self.names();
        (names != before).then(|| json!({"cohorts": names}))
    }

    /// The same for a mirror route.
    pub(super) fn mirror(&mut self, route: &str, percent: u8) -> Option<Json> {
        let most = |mirrors: &BTreeMap<String, u8>| mirrors.values().copied().max().unwrap_or(0);
        let before = most(&self.mirrors);
        self.mirrors.insert(route.to_owned(), percent);
        let after = most(&self.mirrors);
        (after != before).then(|| json!({"mirror": after}))
    }

    /// The cohorts of all steps. Of two that fit, the route that is listed first counts, as in Argo Rollouts.
    pub(super) fn into_cohorts(mut self, canary: &Canary, paper: &mut Paper<'_>) -> Vec<Json> {
        if self.cohorts.len() > MOST {
            let many = self.cohorts.len();
            let reason = format!("match {many} different headers, at most {MOST} are possible");
            paper.refuse("spec.strategy.canary.steps", reason);
        }
        let routing = canary.traffic_routing.as_ref();
        let listed = routing.and_then(|routing| routing.managed_routes.as_deref());
        let place = |route: &str| {
            let mut listed = listed.unwrap_or_default().iter();
            listed.position(|one| one.name == route)
        };
        self.cohorts.sort_by_key(|(route, ..)| place(route));
        let cohorts = self.cohorts.into_iter();
        cohorts
            .map(|(_, name, header)| json!({"name": name, "header": header}))
            .collect()
    }

    fn names(&self) -> Vec<String> {
        let held = |name: &String| self.held.values().flatten().any(|one| one == name);
        let names = self.cohorts.iter().map(|(_, name, _)| name);
        names.filter(|name| held(name)).cloned().collect()
    }

    /// The name of a route's cohort; the same header has the same one at every step.
    fn cohort(&mut self, route: &str, header: Json) -> String {
        let known = self
            .cohorts
            .iter()
            .find(|(of, _, by)| of == route && *by == header);
        if let Some((_, name, _)) = known {
            return name.clone();
        }
        let taken = |name: &String| self.cohorts.iter().any(|(_, other, _)| other == name);
        let others = (1..).map(|number| format!("{route}-{number}"));
        let mut names = std::iter::once(route.to_owned()).chain(others);
        let name = names.find(|name| !taken(name)).unwrap_or_default();
        self.cohorts.push((route.to_owned(), name.clone(), header));
        name
    }
}
