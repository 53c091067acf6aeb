//! What kind of thing a path is, by its name alone: enough to say "it touches a database migration".

use serde::{Deserialize, Serialize};

/// The kinds, from the most to the least telling about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PathKind {
    Migration,
    Dependency,
    Configuration,
    Workflow,
    Code,
    Test,
    Text,
}

impl PathKind {
    /// What touching it is called, and what it weighs as a cause: log-odds towards failure, as a weak prior that any
    /// measured thing outweighs. `None`: it explains nothing by itself.
    #[must_use]
    pub fn as_cause(self) -> Option<(&'static str, f64)> {
        match self {
            Self::Migration => Some(("a database migration", 0.7)),
            Self::Dependency => Some(("changed dependencies", 0.5)),
            Self::Configuration => Some(("changed configuration", 0.4)),
            Self::Workflow => Some(("a changed build pipeline", 0.2)),
            Self::Code | Self::Test | Self::Text => None,
        }
    }

    /// The kind of a path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        let name = path.rsplit('/').next().unwrap_or(&path);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if path.contains("migration") || path.contains("/migrate/") || ending == "sql" {
            Self::Migration
        } else if DEPENDENCIES.contains(&name)
            || (name.starts_with("requirements") && ending == "txt")
            || ending == "lock"
        {
            Self::Dependency
        } else if path.contains(".github/workflows/")
            || path.contains(".circleci/")
            || path.contains(".buildkite/")
            || PIPELINES.contains(&name)
        {
            Self::Workflow
        } else if path
            .split('/')
            .any(|part| matches!(part, "test" | "tests" | "__tests__" | "testdata" | "spec"))
            || name.contains("_test.")
            || name.contains(".test.")
            || name.contains(".spec.")
            || name.starts_with("test_")
        {
            Self::Test
        } else if name.starts_with("dockerfile") || CONFIGURATION.contains(&ending) {
            Self::Configuration
        } else if TEXT.contains(&ending) {
            Self::Text
        } else {
            Self::Code
        }
    }
}

const DEPENDENCIES: [&str; 16] = [
    "build.gradle",
    "build.gradle.kts",
    "cargo.toml",
    "composer.json",
    "gemfile",
    "go.mod",
    "go.sum",
    "gradle.lockfile",
    "mix.exs",
    "package-lock.json",
    "package.json",
    "package.swift",
    "pnpm-lock.yaml",
    "pom.xml",
    "pyproject.toml",
    "setup.py",
];
const PIPELINES: [&str; 5] = [
    ".gitlab-ci.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "cloudbuild.yaml",
    "jenkinsfile",
];
const CONFIGURATION: [&str; 12] = [
    "cfg",
    "conf",
    "env",
    "hcl",
    "ini",
    "json",
    "properties",
    "tf",
    "toml",
    "tpl",
    "yaml",
    "yml",
];
const TEXT: [&str; 6] = ["adoc", "md", "png", "rst", "svg", "txt"];

/// How many paths there are of each kind, in the order of the kinds.
#[must_use]
pub fn count<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<(PathKind, u32)> {
    let mut counts = std::collections::BTreeMap::new();
    for path in paths {
        *counts.entry(PathKind::of(path)).or_insert(0_u32) += 1;
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_kind() {
        for (path, kind) in [
            ("db/migrations/0042_orders.sql", PathKind::Migration),
            ("Cargo.lock", PathKind::Dependency),
            ("web/package.json", PathKind::Dependency),
            ("ops/requirements-prod.txt", PathKind::Dependency),
            (".github/workflows/ci.yml", PathKind::Workflow),
            ("deploy/values.yaml", PathKind::Configuration),
            ("Dockerfile", PathKind::Configuration),
            ("src/checkout.rs", PathKind::Code),
            ("src/checkout_test.go", PathKind::Test),
            ("tests/mesh.rs", PathKind::Test),
            ("README.md", PathKind::Text),
        ] {
            assert_eq!(PathKind::of(path), kind, "{path}");
        }
        assert_eq!(
            count(["a.rs", "b.rs", "Cargo.lock"].into_iter()),
            [(PathKind::Dependency, 1), (PathKind::Code, 2)]
        );
    }
}
