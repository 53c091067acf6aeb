//! Section `[features]`.

use std::collections::BTreeMap;

use anyhow::Context;
use auspex_chassis::Settings;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::context::WorkingHours;
use crate::streams::{Span, Surroundings};

/// When people are there, what projects live in, and where rows are kept for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// IANA name of the time zone of the working hours, as in `Europe/Rome`.
    pub time_zone: String,
    /// First working hour of a day from Monday to Friday, 0..=23.
    pub working_hours_from: u8,
    /// First hour after work, above `working_hours_from`, at most 24.
    pub working_hours_to: u8,
    /// Where rows are kept for good: a folder, or `s3://`, `gs://`, `az://BUCKET/PREFIX` (feature `clouds`). Empty:
    /// `auspex up` makes one of its own, others keep none.
    pub offline: String,
    /// How long they are kept there, days.
    pub offline_days: i64,
    /// How often small files are put together, seconds.
    pub compact_seconds: u64,
    /// Whether rows for the feature store are made of the mesh's own facts, one set per event. Without, the store holds what is
    /// pushed, and a vector for the model costs nothing beside itself: for thousands of events a second on a small machine.
    pub streams: bool,
    /// Feature service of which a vector is published for each build (a run of CI) when it is first told to be queued or
    /// running, as in `ci-run`: a model that reads it then scores builds by themselves. Empty: none.
    pub builds: String,
    /// The team of an author.
    pub teams: BTreeMap<String, String>,
    /// What each service needs, directly: for how many services a change bears upon.
    pub dependencies: BTreeMap<String, Vec<String>>,
    /// Days on which nobody works, beside weekends, as in `2026-12-25`.
    pub holidays: Vec<String>,
    /// When nothing should be deployed: first and last day, as in `2026-12-20/2027-01-02`.
    pub freezes: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            working_hours_from: 8,
            working_hours_to: 18,
            offline: String::new(),
            offline_days: 400,
            compact_seconds: 900,
            streams: true,
            builds: String::new(),
            teams: BTreeMap::new(),
            dependencies: BTreeMap::new(),
            holidays: Vec::new(),
            freezes: Vec::new(),
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(fault) = TimeZone::get(&self.time_zone) {
            problems.push(format!("time_zone: {}: {fault}", self.time_zone));
        }
        if self.working_hours_from > 23 {
            problems.push("working_hours_from: is not within 0..=23".to_owned());
        }
        if self.working_hours_to <= self.working_hours_from || self.working_hours_to > 24 {
            problems.push("working_hours_to: is not above working_hours_from and at most 24".to_owned());
        }
        if let Some(problem) = auspex_chassis::place::problem(&self.offline) {
            problems.push(format!("offline: {problem}"));
        }
        for day in &self.holidays {
            if let Err(fault) = day.parse::<Date>() {
                problems.push(format!("holidays: {day}: {fault}"));
            }
        }
        for freeze in &self.freezes {
            if let Err(fault) = span(freeze) {
                problems.push(format!("freezes: {freeze}: {fault}"));
            }
        }
        if !self.builds.is_empty() && !self.streams {
            problems.push("builds: needs streams, of which its features are made".to_owned());
        }
        if self.builds.contains('@') {
            problems.push(format!(
                "builds: {} is a version; name the feature service alone",
                self.builds
            ));
        }
        if self.offline_days < 1 {
            problems.push("offline_days: is below 1".to_owned());
        }
        if self.compact_seconds < 1 {
            problems.push("compact_seconds: is below 1".to_owned());
        }
        problems
    }
}

/// A span of days as in `2026-12-20/2027-01-02`.
fn span(text: &str) -> Result<Span, String> {
    let (from, to) = text
        .split_once('/')
        .ok_or("is no span as in 2026-12-20/2027-01-02")?;
    let day = |text: &str| text.parse::<Date>().map_err(|fault| fault.to_string());
    let span = Span {
        from: day(from)?,
        to: day(to)?,
    };
    if span.to < span.from {
        return Err("ends before it begins".to_owned());
    }
    Ok(span)
}

impl Config {
    /// What projects live in.
    ///
    /// # Errors
    /// When a day is none.
    pub fn around(&self) -> anyhow::Result<Surroundings> {
        let freezes = self
            .freezes
            .iter()
            .map(|text| span(text).map_err(anyhow::Error::msg));
        let holidays = self.holidays.iter().map(|day| day.parse::<Date>());
        Ok(Surroundings {
            silent: !self.streams,
            builds: !self.builds.is_empty(),
            teams: self.teams.clone(),
            dependencies: self.dependencies.clone(),
            holidays: holidays.collect::<Result<_, _>>().context("features.holidays")?,
            freezes: freezes.collect::<Result<_, _>>().context("features.freezes")?,
        })
    }

    /// The working hours, with their time zone looked up.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn hours(&self) -> anyhow::Result<WorkingHours> {
        Ok(WorkingHours {
            zone: TimeZone::get(&self.time_zone).context("features.time_zone")?,
            from: self.working_hours_from,
            to: self.working_hours_to,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            time_zone: "Mars/Olympus".to_owned(),
            working_hours_from: 24,
            working_hours_to: 9,
            offline_days: 0,
            holidays: vec!["soon".to_owned()],
            freezes: vec!["2027-01-01/2026-01-01".to_owned()],
            streams: false,
            builds: "ci-run@1".to_owned(),
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 8, "{:?}", wrong.problems());
    }
}
