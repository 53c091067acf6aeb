//! Section `[features]`.

use anyhow::Context;
use auspex_chassis::Settings;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::context::WorkingHours;

/// When people are there to notice; it tells people how a change came, no model reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// IANA name of the time zone of the working hours, as in `Europe/Rome`.
    pub time_zone: String,
    /// First working hour of a day from Monday to Friday, 0..=23.
    pub working_hours_from: u8,
    /// First hour after work, above `working_hours_from`, at most 24.
    pub working_hours_to: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            working_hours_from: 8,
            working_hours_to: 18,
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
        problems
    }
}

impl Config {
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
        };
        assert_eq!(wrong.problems().len(), 3);
    }
}
