//! What others say of themselves, cut to what a state can hold.

use auspex_proto::report::{Drift, RouterReport};

/// Longest name of a router, in bytes; a longer one is cut, with a hash of the rest.
const LONGEST_NAME: usize = 96;
/// Longest texts of a router's report, in bytes: its kind, its region, its fault, who moved it.
const LONGEST: [usize; 4] = [24, 64, 96, 48];

/// The name under which a router is kept.
pub(super) fn called(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let begin = cut(name, LONGEST_NAME - 17);
    format!("{begin}~{:016x}", super::window::hash(&[name.as_bytes()]))
}

/// The beginning of a text, at most so many bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= most).last().unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A report with its texts cut to what a state can hold.
pub(super) fn brief(report: &RouterReport) -> RouterReport {
    let [router, region, fault, by] = LONGEST;
    RouterReport {
        router: cut(&report.router, router).to_owned(),
        region: cut(&report.region, region).to_owned(),
        fault: cut(&report.fault, fault).to_owned(),
        drift: report.drift.clone().map(|drift| Drift {
            by: cut(&drift.by, by).to_owned(),
            ..drift
        }),
        ..report.clone()
    }
}
