//! Who is told: routes match an alert and name receivers.

use auspex_proto::Project;
use auspex_proto::alert::{Kind, Severity};
use serde::{Deserialize, Serialize};

/// One route: every matcher that is given must match; the receivers of all matching routes together are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Only alerts of these kinds; empty: any.
    pub kinds: Vec<Kind>,
    /// Only alerts at least this severe; none: any.
    pub severity: Option<Severity>,
    /// Only alerts about these services; empty: any, also those about none.
    pub services: Vec<String>,
    /// Only alerts of these projects; empty: any.
    pub projects: Vec<String>,
    /// Names of receivers; empty: nobody is told, which silences what no other route matches.
    pub receivers: Vec<String>,
}

/// What a route looks at.
#[derive(Debug, Clone, Copy)]
pub struct Topic<'a> {
    /// The alert's kind.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// Whose; empty: nobody's.
    pub service: &'a str,
    /// In which project.
    pub project: &'a Project,
}

impl Route {
    fn matches(&self, topic: &Topic<'_>) -> bool {
        let any = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        (self.kinds.is_empty() || self.kinds.contains(&topic.kind))
            && self.severity.is_none_or(|least| topic.severity >= least)
            && any(&self.services, topic.service)
            && any(&self.projects, topic.project.as_str())
    }
}

/// The receivers of an alert, each once, in order of their names. Where no route matches, everybody is told: a gap in the
/// routes must not be a gap in what people know.
#[must_use]
pub fn of(topic: &Topic<'_>, routes: &[Route], everybody: &[String]) -> Vec<String> {
    let matching: Vec<&Route> = routes.iter().filter(|route| route.matches(topic)).collect();
    let mut names: Vec<String> = if matching.is_empty() {
        everybody.to_vec()
    } else {
        matching
            .iter()
            .flat_map(|route| route.receivers.clone())
            .collect()
    };
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(topic: (Kind, Severity, &str), routes: &[Route]) -> Vec<String> {
        let project = Project::new("acme/shop").unwrap();
        let topic = Topic {
            kind: topic.0,
            severity: topic.1,
            service: topic.2,
            project: &project,
        };
        of(&topic, routes, &["pager".to_owned(), "team".to_owned()])
    }

    #[test]
    fn all_matching_routes_count_and_none_means_everybody() {
        let page = Route {
            severity: Some(Severity::Error),
            receivers: vec!["pager".to_owned(), "team".to_owned()],
            ..Route::default()
        };
        let checkout = Route {
            services: vec!["checkout".to_owned()],
            receivers: vec!["team".to_owned()],
            ..Route::default()
        };
        let mute = Route {
            kinds: vec![Kind::Deployment],
            ..Route::default()
        };
        let routes = [page, checkout, mute];
        assert_eq!(
            told((Kind::RolledBack, Severity::Critical, "checkout"), &routes),
            ["pager", "team"]
        );
        assert_eq!(
            told((Kind::HighRisk, Severity::Warning, "checkout"), &routes),
            ["team"]
        );
        assert!(told((Kind::Deployment, Severity::Info, "search"), &routes).is_empty());
        assert_eq!(
            told((Kind::Promoted, Severity::Info, "search"), &routes),
            ["pager", "team"]
        );
        assert_eq!(told((Kind::Promoted, Severity::Info, ""), &[]), ["pager", "team"]);
    }
}
