//! What is registered: documents with versions.

use std::collections::BTreeMap;

use auspex_algebra::Scale;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check::{ambiguous, check};
use super::compile::shape_of;
use super::differences::differences;
use super::document::{Document, Spec, read};

/// A registered document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// As it was applied last.
    pub document: Document,
    /// From 1; one more with each change of meaning.
    pub version: u32,
    /// Lower-case hex sha256 of what it means.
    pub meaning: String,
    /// What its scales were fitted to, by feature.
    #[serde(default)]
    pub scales: BTreeMap<String, Scale>,
    /// It comes with the program.
    #[serde(default, skip_serializing)]
    pub builtin: bool,
}

/// Everything registered, by `kind/name`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registry {
    entries: BTreeMap<String, Registered>,
    /// The version that a name had when it was taken away: one that comes again goes on from there.
    gone: BTreeMap<String, u32>,
    /// By which rules meanings were told: see [`RULES`].
    rules: u32,
}

/// The rules by which a meaning is told. When they change, what is registered is told anew and keeps its versions.
const RULES: u32 = 1;

/// Scales by view and feature, fitted to a snapshot.
pub type Fitted = BTreeMap<String, BTreeMap<String, Scale>>;

/// What is done to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Create,
    /// It means something else: a new version.
    Change,
    /// It is told in other words.
    Describe,
    /// It goes.
    Remove,
    /// Nothing.
    None,
}

impl Action {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Describe => "describe",
            Self::Remove => "remove",
            Self::None => "none",
        }
    }
}

/// What is done to one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `FeatureView/orders`.
    pub key: String,
    /// What.
    pub action: Action,
    /// The version it then has.
    pub version: u32,
    /// What differs, in words.
    pub differences: Vec<String>,
    /// Its rows are kept in another shape from now on.
    pub needs_backfill: bool,
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

impl Registry {
    /// What comes with the program, and nothing else.
    #[must_use]
    pub fn builtin() -> Self {
        let (documents, _) = read(super::BUILTIN);
        let mut registry = Self {
            rules: RULES,
            ..Self::default()
        };
        for document in documents {
            let registered = Registered {
                meaning: String::new(),
                version: 1,
                scales: BTreeMap::new(),
                builtin: true,
                document,
            };
            registry.entries.insert(registered.document.key(), registered);
        }
        registry.settle(&Self::default());
        registry
    }

    /// What was saved, with what comes with the program.
    #[must_use]
    pub fn restored(saved: Self) -> Self {
        let mut registry = Self::builtin();
        let own = saved
            .entries
            .into_iter()
            .filter(|(key, _)| !registry.entries.contains_key(key));
        let own: Vec<(String, Registered)> = own.collect();
        registry.entries.extend(own);
        registry.gone = saved.gone;
        if saved.rules != RULES {
            for key in registry.by_rank() {
                let meaning = registry.meaning(&key);
                registry
                    .entries
                    .entry(key)
                    .and_modify(|registered| registered.meaning = meaning);
            }
        }
        registry
    }

    /// What is to be saved: all but what comes with the program.
    #[must_use]
    pub fn own(&self) -> Self {
        let entries = self.entries.iter().filter(|(_, registered)| !registered.builtin);
        Self {
            entries: entries
                .map(|(key, registered)| (key.clone(), registered.clone()))
                .collect(),
            gone: self.gone.clone(),
            rules: self.rules,
        }
    }

    /// Everything, by kind and name.
    pub fn all(&self) -> impl Iterator<Item = &Registered> {
        self.entries.values()
    }

    /// One.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Registered> {
        self.entries.get(key)
    }

    /// The join key of an entity.
    #[must_use]
    pub fn join_key(&self, entity: &str) -> String {
        match self.get(&format!("Entity/{entity}")).map(|e| &e.document.spec) {
            Some(Spec::Entity(spec)) if !spec.join_key.is_empty() => spec.join_key.clone(),
            _ => entity.to_owned(),
        }
    }

    /// What these documents would make of it.
    ///
    /// # Errors
    /// Everything that is wrong with them; then nothing is changed.
    pub fn apply(
        &self,
        documents: &[Document],
        remove: &[String],
        fitted: &Fitted,
    ) -> Result<(Self, Vec<Change>), Vec<String>> {
        let mut problems = Vec::new();
        let mut next = self.clone();
        for key in remove {
            match next.entries.get(key) {
                None => problems.push(format!("{key}: there is none")),
                Some(registered) if registered.builtin => {
                    problems.push(format!("{key}: comes with the program"));
                }
                Some(registered) => {
                    next.gone.insert(key.clone(), registered.version);
                    next.entries.remove(key);
                }
            }
        }
        let mut told: BTreeMap<String, &Document> = BTreeMap::new();
        for document in documents {
            let key = document.key();
            if told.insert(key.clone(), document).is_some() {
                problems.push(format!("{key}: is told twice"));
            }
            match self.get(&key) {
                Some(before) if before.builtin && before.document.meaning() != document.meaning() => {
                    problems.push(format!("{key}: comes with the program; take another name"));
                }
                Some(before) if before.builtin => {}
                _ => next.put(document, fitted.get(&document.metadata.name)),
            }
        }
        for document in told.values() {
            problems.extend(check(document, &next));
            problems.extend(ambiguous(document, &next));
        }
        // Who reads what is gone must be told, too.
        for registered in next.all().filter(|r| !told.contains_key(&r.document.key())) {
            problems.extend(check(&registered.document, &next));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        next.settle(self);
        let changes = self.changes(&next, told.keys().chain(remove));
        Ok((next, changes))
    }

    fn put(&mut self, document: &Document, fitted: Option<&BTreeMap<String, Scale>>) {
        let key = document.key();
        let before = self.entries.get(&key);
        // A fit stays while what it was fitted to is the same.
        let same = before.is_some_and(|before| before.document.meaning() == document.meaning());
        let kept = before
            .filter(|_| same)
            .map(|before| before.scales.clone())
            .unwrap_or_default();
        let registered = Registered {
            document: document.clone(),
            version: before.map_or(0, |before| before.version),
            meaning: before.map(|before| before.meaning.clone()).unwrap_or_default(),
            scales: fitted.cloned().unwrap_or(kept),
            builtin: false,
        };
        self.entries.insert(key, registered);
    }

    /// All names, what is read before who reads it.
    fn by_rank(&self) -> Vec<String> {
        let rank = |registered: &Registered| match registered.document.spec {
            Spec::Entity(_) => 0,
            Spec::FeatureView(_) => 1,
            Spec::OnDemandFeatureView(_) => 2,
            Spec::FeatureService(_) => 3,
        };
        let mut keys: Vec<(i32, String)> = self
            .entries
            .iter()
            .map(|(key, r)| (rank(r), key.clone()))
            .collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// Meanings and versions.
    fn settle(&mut self, before: &Self) {
        for key in self.by_rank() {
            let meaning = self.meaning(&key);
            let version = match before.entries.get(&key) {
                Some(old) if old.meaning == meaning => old.version,
                Some(old) => old.version + 1,
                None => self.gone.get(&key).copied().unwrap_or_default() + 1,
            };
            if let Some(registered) = self.entries.get_mut(&key) {
                (registered.meaning, registered.version) = (meaning, version);
            }
        }
    }

    fn meaning(&self, key: &str) -> String {
        let Some(registered) = self.entries.get(key) else {
            return String::new();
        };
        let spec = &registered.document.spec;
        let mut text = registered.document.meaning().to_string();
        text.push_str(&serde_json::to_string(&registered.scales).unwrap_or_default());
        for reads in reads(spec) {
            let of = |kind: &str| {
                self.entries
                    .get(&format!("{kind}/{reads}"))
                    .map(|r| r.meaning.as_str())
            };
            let found = of("FeatureView")
                .or_else(|| of("OnDemandFeatureView"))
                .or_else(|| of("Entity"));
            text.push('\n');
            text.push_str(found.unwrap_or_default());
        }
        digest(&text)
    }

    fn changes<'a>(&self, next: &Self, told: impl Iterator<Item = &'a String>) -> Vec<Change> {
        let mut keys: Vec<&String> = told.collect();
        // What is not told may mean something else because of what it reads.
        let moved = next
            .entries
            .iter()
            .filter(|(key, r)| self.get(key).is_some_and(|old| old.meaning != r.meaning));
        keys.extend(moved.map(|(key, _)| key));
        keys.sort();
        keys.dedup();
        keys.into_iter().map(|key| self.change(next, key)).collect()
    }

    fn change(&self, next: &Self, key: &str) -> Change {
        let (old, new) = (self.get(key), next.get(key));
        let action = match (old, new) {
            (None, Some(_)) => Action::Create,
            (Some(_), None) => Action::Remove,
            (Some(old), Some(new)) if old.meaning != new.meaning => Action::Change,
            (Some(old), Some(new)) if old.document != new.document => Action::Describe,
            _ => Action::None,
        };
        let shape = |registered: Option<&Registered>| match registered.map(|r| &r.document.spec) {
            Some(Spec::FeatureView(view)) => shape_of(view).map(|shape| shape.digest()),
            _ => None,
        };
        Change {
            key: key.to_owned(),
            action,
            version: new.or(old).map_or(0, |registered| registered.version),
            differences: old
                .zip(new)
                .map(|(old, new)| differences(old, new))
                .unwrap_or_default(),
            needs_backfill: old.is_some() && new.is_some() && shape(old) != shape(new),
        }
    }
}

/// Names of what a document reads.
pub(super) fn reads(spec: &Spec) -> Vec<String> {
    let view = |reference: &String| reference.split(':').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = match spec {
        Spec::Entity(_) => Vec::new(),
        Spec::FeatureView(view) => view.entities.clone(),
        Spec::FeatureService(service) => service.features.iter().map(view).collect(),
        Spec::OnDemandFeatureView(on_demand) => on_demand
            .features
            .iter()
            .filter_map(|feature| auspex_algebra::Expression::parse(&feature.expression).ok())
            .flat_map(|e| e.names().into_iter().map(str::to_owned).collect::<Vec<_>>())
            .filter(|name| name.contains(':'))
            .map(|name| view(&name))
            .collect(),
    };
    names.sort();
    names.dedup();
    names
}
