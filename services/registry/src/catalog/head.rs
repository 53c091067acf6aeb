//! A model's name: its latest number, who has which alias, and every change of that.

use std::collections::BTreeMap;

use auspex_proto::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The aliases by which scoring finds a version.
pub const SERVING: [&str; 3] = ["champion", "challenger", "shadow"];
/// How many changes are remembered: at 300 bytes each, 60 kB.
pub const MOST_CHANGES: usize = 200;
/// How many aliases a model may have.
const MOST_ALIASES: usize = 64;

/// What is known of a model's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// The name.
    pub name: String,
    /// For people.
    pub description: String,
    /// When it was first registered.
    pub created: Timestamp,
    /// When anything about it changed last.
    pub changed: Timestamp,
    /// The greatest number given.
    pub latest: u64,
    /// Who has which name.
    pub aliases: BTreeMap<String, Alias>,
    /// The newest last.
    pub history: Vec<Change>,
    /// For people.
    pub tags: BTreeMap<String, String>,
    /// How many changes there have been.
    pub changes: u64,
    /// Changes whose facts are not on the log yet, by their numbers.
    pub owes: Vec<(u64, Change)>,
}

/// A version under an alias.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alias {
    /// Which.
    pub version: u64,
    /// Of a challenger: its share of units.
    pub percent: u8,
    /// What decides about it.
    pub experiment: String,
    /// When its fact was said last.
    pub told: Timestamp,
}

/// Why an alias changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Cause {
    Register,
    Promote,
    Rollback,
    Alias,
    Remove,
    ExperimentStarted,
    ExperimentPromoted,
    ExperimentReturned,
    /// Nothing changed: it is said again before the log forgets it.
    Refresh,
}

impl Cause {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Alias => "alias",
            Self::Remove => "remove",
            Self::ExperimentStarted => "experiment_started",
            Self::ExperimentPromoted => "experiment_promoted",
            Self::ExperimentReturned => "experiment_returned",
            Self::Refresh => "refresh",
        }
    }
}

/// A change of an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which alias.
    pub alias: String,
    /// Who has it now; 0: nobody.
    pub version: u64,
    /// Who had it; 0: nobody.
    pub previous: u64,
    /// When.
    pub time: Timestamp,
    /// Who did it.
    pub actor: String,
    /// Why, in their words.
    pub note: String,
    /// Why, as a type.
    pub cause: Cause,
    /// Of a challenger: its share of units.
    pub percent: u8,
    /// What decides about it.
    pub experiment: String,
}

/// An alias for a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    /// Which alias.
    pub alias: String,
    /// To whom.
    pub version: u64,
    /// Of a challenger: its share of units, 0..=100.
    pub percent: u8,
    /// What decides about it.
    pub experiment: String,
    /// Who gives it.
    pub actor: String,
    /// Why, in their words.
    pub note: String,
    /// Why, as a type.
    pub cause: Cause,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is not there.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It makes sense, but not now.
    #[error("{0}")]
    Unmet(String),
}

impl Head {
    /// Of a new name.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when the name is not 1 to 128 letters, digits, `.`, `_` or `-`.
    pub fn new(name: &str, now: Timestamp) -> Result<Self, Refusal> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 128 || !name.chars().all(fits) {
            return Err(Refusal::Invalid(format!(
                "name: {name:?} is not 1 to 128 letters, digits, \".\", \"_\" or \"-\""
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            created: now,
            changed: now,
            ..Self::default()
        })
    }

    /// Gives a version an alias.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such version, or the alias is none.
    pub fn give(&mut self, gift: &Gift, now: Timestamp) -> Result<(), Refusal> {
        self.fits(gift)?;
        let alias = gift.alias.as_str();
        if alias == "champion" {
            // Who becomes champion is no longer on trial.
            let tried: Vec<String> = ["challenger", "shadow"]
                .into_iter()
                .filter(|other| {
                    self.aliases
                        .get(*other)
                        .is_some_and(|a| a.version == gift.version)
                })
                .map(str::to_owned)
                .collect();
            for other in tried {
                self.take(&other, (&gift.actor, &gift.note), gift.cause, now);
            }
        }
        let previous = self.aliases.get(alias).map_or(0, |before| before.version);
        self.aliases.insert(
            alias.to_owned(),
            Alias {
                version: gift.version,
                percent: gift.percent,
                experiment: gift.experiment.clone(),
                told: now,
            },
        );
        self.note(Change {
            alias: alias.to_owned(),
            version: gift.version,
            previous,
            time: now,
            actor: gift.actor.clone(),
            note: gift.note.clone(),
            cause: gift.cause,
            percent: gift.percent,
            experiment: gift.experiment.clone(),
        });
        Ok(())
    }

    fn fits(&self, gift: &Gift) -> Result<(), Refusal> {
        let alias = gift.alias.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if alias.is_empty() || alias.len() > 64 || !alias.chars().all(fits) || alias == "latest" {
            return Err(Refusal::Invalid(format!("alias: {alias:?} cannot be one")));
        }
        // A version that could not be told from an alias by its number would be found by neither.
        if alias.chars().all(|c| c.is_ascii_digit()) {
            return Err(Refusal::Invalid(format!("alias: {alias} is a number")));
        }
        if gift.version == 0 || gift.version > self.latest {
            let text = format!(
                "{} has no version {}; the latest is {}",
                self.name, gift.version, self.latest
            );
            return Err(Refusal::NotFound(text));
        }
        if gift.percent > 100 || (gift.percent > 0 && alias != "challenger") {
            let text = format!(
                "percent: {} is for a challenger alone, within 0..=100",
                gift.percent
            );
            return Err(Refusal::Invalid(text));
        }
        if !self.aliases.contains_key(alias) && self.aliases.len() >= MOST_ALIASES {
            return Err(Refusal::Unmet(format!(
                "{} has {MOST_ALIASES} aliases already",
                self.name
            )));
        }
        Ok(())
    }

    /// Takes an alias away; `false`: nobody had it.
    pub fn take(&mut self, alias: &str, (actor, note): (&str, &str), cause: Cause, now: Timestamp) -> bool {
        let Some(before) = self.aliases.remove(alias) else {
            return false;
        };
        self.note(Change {
            alias: alias.to_owned(),
            version: 0,
            previous: before.version,
            time: now,
            actor: actor.to_owned(),
            note: note.to_owned(),
            cause,
            percent: 0,
            experiment: before.experiment,
        });
        true
    }

    /// Says again what the log would forget, when the last time is this long past, in milliseconds.
    pub fn refresh(&mut self, now: Timestamp, after_ms: i64) {
        let due: Vec<(String, Alias)> = self
            .aliases
            .iter()
            .filter(|(name, alias)| SERVING.contains(&name.as_str()) && now.0 - alias.told.0 > after_ms)
            .map(|(name, alias)| (name.clone(), alias.clone()))
            .collect();
        for (name, alias) in due {
            if let Some(slot) = self.aliases.get_mut(&name) {
                slot.told = now;
            }
            self.changes += 1;
            let change = Change {
                alias: name,
                version: alias.version,
                previous: alias.version,
                time: now,
                actor: "auspex".to_owned(),
                note: String::new(),
                cause: Cause::Refresh,
                percent: alias.percent,
                experiment: alias.experiment,
            };
            self.owes.push((self.changes, change));
        }
    }

    fn note(&mut self, change: Change) {
        self.changed = change.time;
        self.changes += 1;
        if SERVING.contains(&change.alias.as_str()) {
            self.owes.push((self.changes, change.clone()));
        }
        self.history.push(change);
        if self.history.len() > MOST_CHANGES {
            self.history.remove(0);
        }
    }

    /// The champion before the present one.
    ///
    /// # Errors
    /// [`Refusal::Unmet`] when there was none.
    pub fn former(&self) -> Result<u64, Refusal> {
        let present = self.aliases.get("champion").map_or(0, |alias| alias.version);
        let changes = self
            .history
            .iter()
            .rev()
            .filter(|change| change.alias == "champion");
        let former = changes
            .into_iter()
            .find(|change| change.version == present && change.previous != present)
            .map(|change| change.previous)
            .filter(|version| *version > 0);
        former.ok_or_else(|| Refusal::Unmet(format!("{} has had no champion before this one", self.name)))
    }

    /// The number behind a number, an alias, `latest`, or nothing: the champion, else the latest.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn resolve(&self, text: &str) -> Result<u64, Refusal> {
        let missing = |what: String| Refusal::NotFound(format!("{} has no {what}", self.name));
        if let Ok(number) = text.parse::<u64>() {
            let there = (1..=self.latest).contains(&number);
            return there
                .then_some(number)
                .ok_or_else(|| missing(format!("version {number}")));
        }
        match text {
            "" => {
                let champion = self.aliases.get("champion").map(|alias| alias.version);
                let found = champion.unwrap_or(self.latest);
                (found > 0)
                    .then_some(found)
                    .ok_or_else(|| missing("versions".to_owned()))
            }
            "latest" => Ok(self.latest),
            alias => {
                let found = self.aliases.get(alias).map(|found| found.version);
                found.ok_or_else(|| missing(format!("alias {alias}")))
            }
        }
    }

    /// The aliases of a version.
    #[must_use]
    pub fn aliases_of(&self, version: u64) -> Vec<String> {
        let own = self.aliases.iter().filter(|(_, alias)| alias.version == version);
        own.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
