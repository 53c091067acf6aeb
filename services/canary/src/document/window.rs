//! Freeze windows: whether one holds at an instant, and until when. By local clocks, so that summer time moves them as it
//! moves people: a window of 02:30 exists even on the night on which 02:30 does not, or comes twice.
//!
//! The rules of the zones are compiled in: every replica, and every replay, knows the same ones.

use std::time::Duration;

use auspex_proto::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::gates::Window;

/// Days that are looked ahead for the end of adjoining windows.
const AHEAD: usize = 40;

impl Window {
    /// Until when it holds, when it does at this instant.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let read = self.read()?;
        let local = read.local(now)?;
        let (_, end) = read.around(local)?;
        read.instant(end, now)
            .map(|end| end.max(now + Duration::from_secs(1)))
    }

    /// Everything that is wrong with it, below its path.
    #[must_use]
    pub fn faults(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        for fault in [
            self.zone().err(),
            time("from", &self.from).err(),
            time("to", &self.to).err(),
        ] {
            found.extend(fault.map(|fault| format!("{path}.{fault}")));
        }
        match self.when() {
            Err(faults) => found.extend(faults.into_iter().map(|fault| match fault {
                (Some(field), fault) => format!("{path}.{field}: {fault}"),
                (None, fault) => format!("{path}: {fault}"),
            })),
            Ok(When::Once(start, end)) if found.is_empty() && start == end => {
                let whole = self.to.is_empty() || self.to == "24:00" || self.to == "00:00";
                if !whole && time("to", &self.to) <= time("from", &self.from) {
                    found.push(format!(
                        "{path}.to: {} is not after {}, on one day",
                        self.to, self.from
                    ));
                }
            }
            Ok(_) => {}
        }
        found
    }

    fn zone(&self) -> Result<TimeZone, String> {
        match self.zone.as_str() {
            "" => Ok(TimeZone::UTC),
            name => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| format!("zone: `{name}` is not a time zone")),
        }
    }

    /// On which days; each fault with its field.
    fn when(&self) -> Result<When, Vec<(Option<&'static str>, String)>> {
        let date = |field: &'static str, text: &str| {
            Date::strptime("%Y-%m-%d", text)
                .map_err(|_| (Some(field), format!("`{text}` is not a day such as 2026-12-24")))
        };
        match (self.days.is_empty(), self.start.is_empty() && self.end.is_empty()) {
            (false, true) => {
                let wrong = self.days.iter().filter(|name| weekday(name).is_none());
                let wrong: Vec<_> = wrong
                    .map(|name| (Some("days"), format!("`{name}` is not one of mon to sun")))
                    .collect();
                match wrong.is_empty() {
                    true => Ok(When::Days(
                        self.days.iter().filter_map(|day| weekday(day)).collect(),
                    )),
                    false => Err(wrong),
                }
            }
            (true, false) => match (date("start", &self.start), date("end", &self.end)) {
                (Ok(start), Ok(end)) if end < start => {
                    Err(vec![(Some("end"), format!("{end} is before {start}"))])
                }
                (Ok(start), Ok(end)) => Ok(When::Once(start, end)),
                (start, end) => Err(start.err().into_iter().chain(end.err()).collect()),
            },
            _ => Err(vec![(None, "wants either days, or start and end".to_owned())]),
        }
    }

    fn read(&self) -> Option<Read> {
        Some(Read {
            zone: self.zone().ok()?,
            from: time("from", &self.from).ok()?,
            to: time("to", &self.to).ok()?,
            when: self.when().ok()?,
        })
    }
}

fn time(field: &str, text: &str) -> Result<Time, String> {
    match text {
        "" | "24:00" => Ok(Time::midnight()),
        text => Time::strptime("%H:%M", text)
            .map_err(|_| format!("{field}: `{text}` is not a time such as 16:30")),
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name.to_lowercase().as_str() {
        "mon" | "monday" => Weekday::Monday,
        "tue" | "tuesday" => Weekday::Tuesday,
        "wed" | "wednesday" => Weekday::Wednesday,
        "thu" | "thursday" => Weekday::Thursday,
        "fri" | "friday" => Weekday::Friday,
        "sat" | "saturday" => Weekday::Saturday,
        "sun" | "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

enum When {
    Days(Vec<Weekday>),
    Once(Date, Date),
}

/// A window that was read.
struct Read {
    zone: TimeZone,
    from: Time,
    to: Time,
    when: When,
}

impl Read {
    fn local(&self, now: Timestamp) -> Option<DateTime> {
        let instant = jiff::Timestamp::from_millisecond(now.0).ok()?;
        Some(self.zone.to_datetime(instant))
    }

    /// The next instant at which local clocks show this: they may show it twice. Where they skip it, the instant after the gap.
    fn instant(&self, local: DateTime, now: Timestamp) -> Option<Timestamp> {
        let zoned = self.zone.to_ambiguous_timestamp(local);
        let first = zoned.compatible().ok()?;
        let next = match first.as_millisecond() > now.0 {
            true => first,
            false => zoned.later().ok()?,
        };
        Some(Timestamp(next.as_millisecond()))
    }

    /// The window around a local time, joined with those that follow without a gap.
    fn around(&self, now: DateTime) -> Option<(DateTime, DateTime)> {
        let yesterday = now.date().yesterday().ok()?;
        let mut windows = Vec::new();
        let mut day = yesterday;
        for _ in 0..AHEAD {
            windows.extend(self.on(day));
            day = day.tomorrow().ok()?;
        }
        if let When::Once(start, end) = self.when {
            windows = self.once(start, end).into_iter().collect();
        }
        let (start, mut end) = *windows.iter().find(|(from, to)| *from <= now && now < *to)?;
        for (from, to) in windows {
            if from <= end && to > end {
                end = to;
            }
        }
        Some((start, end))
    }

    fn on(&self, day: Date) -> Option<(DateTime, DateTime)> {
        match &self.when {
            When::Days(days) if days.contains(&day.weekday()) => {
                let last = if self.to <= self.from {
                    day.tomorrow().ok()?
                } else {
                    day
                };
                Some((day.to_datetime(self.from), last.to_datetime(self.to)))
            }
            _ => None,
        }
    }

    fn once(&self, start: Date, end: Date) -> Option<(DateTime, DateTime)> {
        let last = if self.to == Time::midnight() {
            end.tomorrow().ok()?
        } else {
            end
        };
        Some((start.to_datetime(self.from), last.to_datetime(self.to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn window(days: &[&str], from: &str, to: &str, zone: &str) -> Window {
        Window {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
            zone: zone.to_owned(),
            ..Window::default()
        }
    }

    #[test]
    fn a_weekend_is_one_window() {
        let weekend = [("fri", "16:00", ""), ("sat", "", ""), ("sun", "", "")];
        let friday = window(&["fri"], "16:00", "", "Europe/Berlin");
        assert_eq!(friday.until(at("2026-11-20T14:59:59Z")), None);
        assert_eq!(
            friday.until(at("2026-11-20T15:00:00Z")),
            Some(at("2026-11-20T23:00:00Z"))
        );
        let days = window(&["sat", "sun"], "", "", "Europe/Berlin");
        assert_eq!(
            days.until(at("2026-11-21T10:00:00Z")),
            Some(at("2026-11-22T23:00:00Z"))
        );
        assert_eq!(weekend.len(), 3);
        let night = window(&["mon"], "22:00", "06:00", "");
        assert_eq!(
            night.until(at("2026-11-24T05:00:00Z")),
            Some(at("2026-11-24T06:00:00Z"))
        );
        assert_eq!(night.until(at("2026-11-24T06:00:00Z")), None);
    }

    /// On 2026-03-29 clocks in Berlin skip 02:00 to 03:00, on 2026-10-25 they show it twice.
    #[test]
    fn summer_time_moves_a_window_and_loses_none() {
        let night = window(&["sun"], "02:30", "04:00", "Europe/Berlin");
        assert_eq!(night.until(at("2026-03-29T00:59:00Z")), None, "01:59 local");
        assert_eq!(
            night.until(at("2026-03-29T01:01:00Z")),
            Some(at("2026-03-29T02:00:00Z")),
            "03:01 local"
        );
        let twice = window(&["sun"], "02:00", "03:00", "Europe/Berlin");
        assert!(
            twice.until(at("2026-10-25T00:30:00Z")).is_some(),
            "02:30 the first time"
        );
        assert_eq!(
            twice.until(at("2026-10-25T01:30:00Z")),
            Some(at("2026-10-25T02:00:00Z")),
            "02:30 the second time"
        );
        let ends = window(&["sun"], "01:00", "02:30", "Europe/Berlin");
        assert_eq!(
            ends.until(at("2026-10-25T00:15:00Z")),
            Some(at("2026-10-25T00:30:00Z")),
            "02:15 the first time"
        );
        assert_eq!(ends.until(at("2026-10-25T00:45:00Z")), None, "02:45");
        assert_eq!(
            ends.until(at("2026-10-25T01:15:00Z")),
            Some(at("2026-10-25T01:30:00Z")),
            "02:15 the second time"
        );
    }

    #[test]
    fn a_season_has_a_first_and_a_last_day() {
        let season = Window {
            start: "2026-12-20".to_owned(),
            end: "2027-01-03".to_owned(),
            zone: "America/New_York".to_owned(),
            ..Window::default()
        };
        assert_eq!(season.until(at("2026-12-20T04:59:00Z")), None);
        assert_eq!(
            season.until(at("2026-12-31T12:00:00Z")),
            Some(at("2027-01-04T05:00:00Z"))
        );
    }

    #[test]
    fn faults_name_their_field() {
        let fault = |window: Window| window.faults("w").join("; ");
        assert_eq!(fault(Window::default()), "w: wants either days, or start and end");
        assert!(fault(window(&["fry"], "", "", "")).contains("w.days: `fry`"));
        assert!(fault(window(&["frisbee"], "", "", "")).contains("w.days: `frisbee`"));
        assert!(fault(window(&["fri"], "25:00", "", "")).contains("w.from: `25:00`"));
        assert!(fault(window(&["fri"], "", "", "Mars/Base")).contains("w.zone: `Mars/Base`"));
        assert_eq!(fault(window(&["Friday", "SUN"], "", "24:00", "")), "");
    }

    #[test]
    fn every_fault_of_a_window_is_told_at_once() {
        let found = window(&["someday", "noday"], "25:00", "9", "X/Y").faults("w");
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn a_day_on_which_it_ends_before_it_begins_never_comes() {
        let day = |from: &str, to: &str| Window {
            start: "2026-12-24".to_owned(),
            end: "2026-12-24".to_owned(),
            ..window(&[], from, to, "")
        };
        assert_eq!(
            day("16:00", "10:00").faults("w"),
            ["w.to: 10:00 is not after 16:00, on one day"]
        );
        assert_eq!(day("16:00", "").faults("w"), [""; 0]);
        assert_eq!(day("10:00", "16:00").faults("w"), [""; 0]);
    }
}
