//! What paths and a title tell of a change when nobody has looked into a checkout.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How many paths of each kind a change touches; a path is of the first kind that fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathKinds {
    /// CI workflows.
    #[serde(rename = "w", skip_serializing_if = "none")]
    pub workflow: u16,
    /// Manifests and lock files of dependencies.
    #[serde(rename = "d", skip_serializing_if = "none")]
    pub dependency: u16,
    /// Tests.
    #[serde(rename = "t", skip_serializing_if = "none")]
    pub test: u16,
    /// Database migrations and interface schemas.
    #[serde(rename = "s", skip_serializing_if = "none")]
    pub schema: u16,
    /// Containers, clusters, infrastructure.
    #[serde(rename = "i", skip_serializing_if = "none")]
    pub infra: u16,
    /// Texts.
    #[serde(rename = "x", skip_serializing_if = "none")]
    pub docs: u16,
    /// Other configuration.
    #[serde(rename = "g", skip_serializing_if = "none")]
    pub config: u16,
    /// All else.
    #[serde(rename = "c", skip_serializing_if = "none")]
    pub code: u16,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn none(count: &u16) -> bool {
    *count == 0
}

impl PathKinds {
    /// Counts paths by kind.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kinds = Self::default();
        for path in paths {
            let slot = kinds.slot(path);
            *slot = slot.saturating_add(1);
        }
        kinds
    }

    /// Whether there was no path at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn slot(&mut self, path: &str) -> &mut u16 {
        let path = path.to_ascii_lowercase();
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let within = |wanted: &[&str]| folders.split('/').any(|folder| wanted.contains(&folder));
        if is_workflow(&path, name) {
            &mut self.workflow
        } else if is_dependency(name, extension) {
            &mut self.dependency
        } else if within(&["test", "tests", "__tests__", "spec", "specs", "testdata"]) || is_test(stem) {
            &mut self.test
        } else if within(&["migration", "migrations", "migrate", "alembic", "flyway"])
            || ["sql", "proto", "prisma", "avsc", "graphql"].contains(&extension)
            || stem == "openapi"
        {
            &mut self.schema
        } else if within(&[
            "helm",
            "charts",
            "k8s",
            "kubernetes",
            "terraform",
            "ansible",
            "deploy",
        ]) || name.starts_with("dockerfile")
            || ["docker-compose", "compose", "chart", "kustomization"].contains(&stem)
            || ["tf", "tfvars", "dockerfile"].contains(&extension)
        {
            &mut self.infra
        } else if ["md", "rst", "adoc", "txt"].contains(&extension) || within(&["doc", "docs"]) {
            &mut self.docs
        } else if CONFIG.contains(&extension) {
            &mut self.config
        } else {
            &mut self.code
        }
    }
}

const CONFIG: [&str; 10] = [
    "yaml",
    "yml",
    "toml",
    "ini",
    "conf",
    "cfg",
    "properties",
    "env",
    "json",
    "xml",
];

const DEPENDENCY: [&str; 29] = [
    "cargo.toml",
    "cargo.lock",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "bun.lock",
    "go.mod",
    "go.sum",
    "pipfile",
    "pipfile.lock",
    "poetry.lock",
    "uv.lock",
    "pyproject.toml",
    "setup.py",
    "gemfile",
    "gemfile.lock",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "gradle.lockfile",
    "libs.versions.toml",
    "composer.json",
    "composer.lock",
    "mix.exs",
    "mix.lock",
    "packages.lock.json",
    "directory.packages.props",
];

fn is_workflow(path: &str, name: &str) -> bool {
    let folders = [
        ".github/workflows/",
        ".github/actions/",
        ".circleci/",
        ".buildkite/",
        ".tekton/",
        ".gitlab/ci/",
    ];
    let names = [
        ".gitlab-ci.yml",
        "jenkinsfile",
        "azure-pipelines.yml",
        ".travis.yml",
        ".drone.yml",
        "bitbucket-pipelines.yml",
    ];
    folders.iter().any(|folder| path.starts_with(folder)) || names.contains(&name)
}

fn is_dependency(name: &str, extension: &str) -> bool {
    let requirements = name.starts_with("requirements") && extension == "txt";
    requirements || DEPENDENCY.contains(&name) || ["gemspec", "csproj", "fsproj"].contains(&extension)
}

fn is_test(stem: &str) -> bool {
    let ends = ["_test", ".test", "_spec", ".spec", "tests"];
    stem == "test" || stem.starts_with("test_") || ends.iter().any(|end| stem.ends_with(end))
}

/// Subsystems, directories and files by the definitions of the model: distinct first segments, parent folders, base names.
#[must_use]
pub fn counts<'a>(paths: impl IntoIterator<Item = &'a str>) -> (usize, usize, usize) {
    let (mut subsystems, mut directories, mut files) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for path in paths {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        subsystems.insert(folder.split('/').next().unwrap_or_default());
        directories.insert(folder);
        files.insert(file);
    }
    (subsystems.len(), directories.len(), files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let kind = |path: &str| {
            let kinds = serde_json::to_value(PathKinds::of([path])).unwrap();
            kinds.as_object().unwrap().keys().next().unwrap().clone()
        };
        for (path, expected) in [
            (".github/workflows/ci.yml", "w"),
            ("Cargo.lock", "d"),
            ("api/requirements-dev.txt", "d"),
            ("src/db/migrations/0001.sql", "s"),
            ("proto/a.proto", "s"),
            ("deploy/Dockerfile", "i"),
            ("infra/main.tf", "i"),
            ("tests/a.rs", "t"),
            ("src/shop_test.go", "t"),
            ("web/cart.spec.ts", "t"),
            ("README.md", "x"),
            ("conf/app.yaml", "g"),
            ("src/main.rs", "c"),
            ("src/contest.rs", "c"),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }

    #[test]
    fn counts_follow_the_definitions_of_the_model() {
        let paths = ["a/x/mod.rs", "a/y/mod.rs", "b/mod.rs", "top.rs", "other.rs"];
        assert_eq!(
            counts(paths),
            (3, 4, 3),
            "a, b, root; a/x, a/y, b, root; mod.rs, top.rs, other.rs"
        );
        assert_eq!(counts([]), (0, 0, 0));
    }
}
