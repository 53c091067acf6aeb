//! What a project lives in: teams, which service needs which, holidays and freezes. Told by configuration.

use std::collections::{BTreeMap, BTreeSet};

use auspex_proto::Timestamp;
use jiff::civil::{Date, Weekday};

use crate::context::WorkingHours;

/// A span of days, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
}

/// What a project lives in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Surroundings {
    /// No rows are made of facts.
    pub silent: bool,
    /// Rows are made of builds that are asked for.
    pub builds: bool,
    /// The team of an author.
    pub teams: BTreeMap<String, String>,
    /// What each service needs, directly.
    pub dependencies: BTreeMap<String, Vec<String>>,
    /// Days on which nobody works, beside weekends.
    pub holidays: BTreeSet<Date>,
    /// When nothing should be deployed.
    pub freezes: Vec<Span>,
}

impl Surroundings {
    /// How many services need this one, directly or through others. `None` when no dependencies are told at all.
    #[must_use]
    pub fn affected(&self, service: &str) -> Option<f64> {
        if self.dependencies.is_empty() {
            return None;
        }
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![service];
        while let Some(next) = open.pop() {
            for (who, needs) in &self.dependencies {
                if who != service && needs.iter().any(|need| need == next) && found.insert(who) {
                    open.push(who);
                }
            }
        }
        u32::try_from(found.len()).ok().map(f64::from)
    }

    /// Hour, weekday, off hours, before a holiday, freeze: of this moment, where people are.
    #[must_use]
    pub fn calendar(&self, at: Timestamp, hours: &WorkingHours) -> [Option<f64>; 5] {
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.0) else {
            return [None; 5];
        };
        let local = instant.to_zoned(hours.zone.clone());
        let day = local.date();
        let free = |day: Date| {
            self.holidays.contains(&day) || matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
        };
        let hour = local.hour();
        let working = !free(day) && i16::from(hour) >= hours.from.into() && i16::from(hour) < hours.to.into();
        let before = day.tomorrow().is_ok_and(free);
        let freeze = self.freezes.iter().any(|span| span.from <= day && day <= span.to);
        let flag = |holds: bool| Some(if holds { 1.0 } else { 0.0 });
        [
            Some(hour.into()),
            Some(day.weekday().to_monday_one_offset().into()),
            flag(!working),
            flag(before),
            flag(freeze),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_is_counted_through_others() {
        let needs =
            |who: &str, what: &[&str]| (who.to_owned(), what.iter().map(|w| (*w).to_owned()).collect());
        let surroundings = Surroundings {
            dependencies: [
                needs("web", &["cart"]),
                needs("cart", &["db"]),
                needs("db", &["cart"]),
            ]
            .into(),
            ..Surroundings::default()
        };
        assert_eq!(surroundings.affected("db"), Some(2.0));
        assert_eq!(surroundings.affected("web"), Some(0.0));
        assert_eq!(Surroundings::default().affected("db"), None);
    }

    #[test]
    fn a_friday_is_before_a_free_day() {
        let hours = crate::Config::default().hours().unwrap();
        let friday: Date = "2026-11-20".parse().unwrap();
        let surroundings = Surroundings {
            holidays: [friday].into(),
            freezes: vec![Span {
                from: friday,
                to: friday,
            }],
            ..Surroundings::default()
        };
        let noon = |day: &str| {
            let at: jiff::Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
            surroundings
                .calendar(Timestamp(at.as_millisecond()), &hours)
                .map(Option::unwrap)
        };
        assert_eq!(noon("2026-11-18"), [12.0, 3.0, 0.0, 0.0, 0.0]);
        assert_eq!(
            noon("2026-11-19"),
            [12.0, 4.0, 0.0, 1.0, 0.0],
            "before the holiday"
        );
        assert_eq!(
            noon("2026-11-20"),
            [12.0, 5.0, 1.0, 1.0, 1.0],
            "the holiday, before a weekend"
        );
    }
}
