//! Which project a repository or a service belongs to.

use std::collections::BTreeMap;

use auspex_proto::{Invalid, Project};

/// The mapping of configuration: patterns of repositories and services, each with its project.
///
/// In a pattern `*` stands for any text, `/` included. Of several that match, the one with the most literal characters
/// wins, then the first in alphabetical order: the outcome does not depend on how the file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projects {
    /// In order of precedence.
    rules: Vec<(String, Project)>,
}

impl Projects {
    /// From configuration: pattern to project.
    ///
    /// # Errors
    /// Every pattern or project that cannot be, each as one [`Invalid`].
    pub fn new(map: &BTreeMap<String, String>) -> Result<Self, Vec<Invalid>> {
        let mut rules = Vec::with_capacity(map.len());
        let mut faults = Vec::new();
        for (pattern, project) in map {
            if pattern.is_empty() {
                faults.push(Invalid::new("projects", "a pattern is empty"));
            }
            match outside(project) {
                Ok(project) => rules.push((pattern.clone(), project)),
                Err(fault) => faults.push(Invalid::new(format!("projects.{pattern}"), fault.reason)),
            }
        }
        let literal = |pattern: &str| pattern.chars().filter(|c| *c != '*').count();
        // Stable: the map's alphabetical order decides between equals. An exact name beats any pattern of its length.
        rules.sort_by_key(|(pattern, _)| {
            (
                std::cmp::Reverse(!pattern.contains('*')),
                std::cmp::Reverse(literal(pattern)),
            )
        });
        if faults.is_empty() {
            Ok(Self { rules })
        } else {
            Err(faults)
        }
    }

    /// The project of whatever goes by these names, the first name that a pattern matches deciding; else `fallback`.
    pub(super) fn of(&self, names: &[&str], fallback: &str) -> Result<Project, Invalid> {
        for name in names {
            if let Some((_, project)) = self.rules.iter().find(|(pattern, _)| matches(pattern, name)) {
                return Ok(project.clone());
            }
        }
        outside(fallback)
    }
}

/// A project that somebody outside may name: any but the reserved one.
fn outside(name: &str) -> Result<Project, Invalid> {
    let project = Project::new(name)?;
    if project.is_all() {
        return Err(Invalid::new("project", format!("{name} is reserved")));
    }
    Ok(project)
}

/// Whether the pattern covers the whole text. Linear in the text for each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("acme/shop", "acme/shop", true),
            ("acme/shop", "acme/shops", false),
            ("acme/*", "acme/shop", true),
            ("*/shop", "acme/shop", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_most_literal_pattern_wins_and_repositories_come_before_services() {
        let map = [
            ("acme/*", "acme"),
            ("acme/shop-*", "shop"),
            ("acme/shop-api", "api"),
            ("checkout", "till"),
        ];
        let map = map
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let projects = Projects::new(&map).unwrap();
        let of = |names: &[&str]| projects.of(names, "fallback").unwrap().as_str().to_owned();
        assert_eq!(of(&["acme/shop-api"]), "api");
        assert_eq!(of(&["acme/shop-web", "checkout"]), "shop");
        assert_eq!(of(&["other/repo", "checkout"]), "till");
        assert_eq!(of(&["other/repo"]), "fallback");
        let reserved = BTreeMap::from([("x".to_owned(), Project::ALL.to_owned())]);
        assert!(
            Projects::new(&reserved).unwrap_err()[0]
                .reason
                .contains("reserved")
        );
    }
}
