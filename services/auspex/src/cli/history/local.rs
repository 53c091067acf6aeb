//! What needs no running mesh: reading an archive, and putting it back.

use std::path::PathBuf;

use auspex_chassis::broker::Broker;
use auspex_chassis::bus::BusSettings;
use auspex_chassis::{Recovered, Refilled};
use auspex_history::archive::Archive;
use auspex_history::archive::chain::Report;
use auspex_history::archive::store;
use auspex_history::archive::survey::Loss;
use auspex_history::config::Config;
use auspex_history::restore::{self, Damaged, Outlook, Plan, Wish};
use auspex_proto::Timestamp;
use auspex_proto::stage::STAGES;
use clap::Args;

use crate::cli::config::Layers;
use crate::cli::recover::{self, Log};
use crate::cli::{Output, print, view};
use crate::fault::Fault;
use crate::services;

/// Where an archive is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Folder of `auspex up`, whose archive it is when configuration names none
    #[arg(long, value_name = "DIR", default_value = ".auspex")]
    pub(crate) data: PathBuf,
    /// The archive: a folder, or s3://, gs://, az://; over configuration
    #[arg(long, value_name = "LOCATION")]
    pub(crate) archive: Option<String>,
}

impl Place {
    /// The archive that is meant: the one named, else configuration's, else that of `auspex up` in its folder.
    pub(crate) fn open(&self) -> Result<Archive, Fault> {
        let tree = self.layers.options().load(&services::ALL)?;
        let config: Config = tree.get("history")?;
        let own = || self.data.join("history/archive").display().to_string();
        let location = self
            .archive
            .clone()
            .or_else(|| config.location())
            .unwrap_or_else(own);
        store::existing(&location, &config.archive).map_err(|fault| {
            Fault::invalid(format!(
                "{fault:#}; --data DIR names the folder of `auspex up`, --archive LOCATION the archive itself"
            ))
        })
    }
}

const SAVED: &str = "`auspex history restore` says what can be saved";

/// Reads an archive.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    place: Place,
    /// SHA-256 of a last segment, noted at some time: it must be in the chain
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    head: Option<String>,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Verify {
    pub(super) async fn carry_out(self) -> Result<(), Fault> {
        let archive = self.place.open()?;
        let report = archive.verify(self.head).await?;
        match self.output {
            Output::Text => print::text(&text(&report, archive.location()))?,
            Output::Json => {
                let mut found = serde_json::to_value(&report).map_err(Fault::failed)?;
                found["archive"] = archive.location().into();
                print::json(&found)?;
            }
        }
        match report.faults.len() {
            0 => Ok(()),
            1 => Err(Fault::failed(format!(
                "something is not as it was written; {SAVED}"
            ))),
            faults => Err(Fault::failed(format!(
                "{faults} things are not as they were written; {SAVED}"
            ))),
        }
    }
}

fn text(report: &Report, location: &str) -> String {
    let mut out = String::new();
    for fault in &report.faults {
        out.push_str(&format!(
            "{} is {}: {}\n",
            fault.name,
            fault.fault.as_str(),
            fault.detail
        ));
    }
    for gap in &report.gaps {
        out.push_str(&format!("{gap}\n"));
    }
    out.push_str(&format!(
        "{location}: {} whole, with {} ({} to {})\n",
        match report.segments {
            1 => "1 segment is".to_owned(),
            segments => format!("{segments} segments are"),
        },
        print::count(report.facts, "fact"),
        report.first_sequence,
        report.last_sequence
    ));
    if !report.head.is_empty() {
        out.push_str(&format!("head {}\n", report.head));
    }
    out
}

/// Puts back what was kept.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Leave out what ended before: RFC 3339, or so long ago as in 15m, 6h, 7d
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) from: Option<i64>,
    /// Of a damaged archive put back what is before the first damage; exit code 3
    #[arg(long, conflicts_with = "skip_damaged")]
    pub(crate) up_to_damage: bool,
    /// Of a damaged archive put back all that is whole, and leave the places of the rest empty; exit code 3
    #[arg(long)]
    pub(crate) skip_damaged: bool,
    /// Do it; without it, it is only explained
    #[arg(long)]
    pub(crate) yes: bool,
    /// How to show what is done and what is lost
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What it does, told before it is done.
const EXPLAINED: &str = "\
restore puts every fact of the archive back into the log that is empty, or that ends where the archive was: at its own
sequence, with its id, its headers and its time. Then it deletes all cursors and states of all stages, so that they absorb
the log from its beginning and arrive at the states that they had.

- The archive is read and checked first; a damaged one is not put back, unless --up-to-damage or --skip-damaged says how.
- Nothing that is on the log is changed. A log that holds something else is refused.
- Every service must be stopped meanwhile. An interrupted restore goes on where it was.
- Facts live as long as they had left, and at least 7 days.

Nothing has been done. Say --yes to do it.
";

impl Restore {
    pub(crate) async fn carry_out(&self) -> Result<(), Fault> {
        let archive = self.place.open()?;
        let log = recover::log(&self.place.layers, &self.place.data).await?;
        // Refused before anything is touched: states are the only thing left of facts that have expired.
        let plan = restore::plan(&archive, &log.nats, self.wish()).await?;
        let losses = plan.losses.clone();
        if self.output == Output::Text {
            if let Ok(outlook) = restore::outlook(&archive, &log.nats).await {
                print::line(&told(&archive, &outlook))?;
            }
            for loss in &losses {
                print::line(&format!("lost: {loss}"))?;
            }
        }
        if !self.yes {
            return match self.output {
                Output::Text => print::text(EXPLAINED),
                Output::Json => {
                    let wanted = Refilled {
                        facts: plan.facts(),
                        ..Refilled::default()
                    };
                    print::json(&document(false, &wanted, &losses))
                }
            };
        }
        let (refilled, done) = put_back(plan, &archive, log).await?;
        match self.output {
            Output::Text => print::line(&format!(
                "{} facts put back, {} were there, {} at another place, {} places left empty; {} cursors deleted; states \
                 deleted: {}",
                refilled.facts,
                refilled.there,
                refilled.moved,
                refilled.empty,
                done.cursors,
                recover::list(&done.states),
            ))?,
            Output::Json => print::json(&document(true, &refilled, &losses))?,
        }
        match losses.as_slice() {
            [] => Ok(()),
            _ => Err(Fault::Partly(format!(
                "what is lost is told above. The archive stays damaged as it is: move {} aside before history starts, and it \
                 begins a whole one with what is on the log",
                archive.location()
            ))),
        }
    }

    fn wish(&self) -> Wish {
        Wish {
            from: Timestamp(self.from.unwrap_or_default()),
            damaged: match (self.up_to_damage, self.skip_damaged) {
                (true, _) => Damaged::UpTo,
                (_, true) => Damaged::Skipped,
                _ => Damaged::Refused,
            },
        }
    }
}

async fn put_back(plan: Plan, archive: &Archive, log: Log) -> Result<(Refilled, Recovered), Fault> {
    let Log { nats, private } = log;
    // Who still holds a lease would write into the log while it is filled.
    let done = auspex_chassis::recover(&nats, &STAGES).await?;
    let refilled = plan.carry_out(archive, &nats).await?;
    end(private);
    Ok((refilled, done))
}

fn document(done: bool, refilled: &Refilled, losses: &[Loss]) -> serde_json::Value {
    serde_json::json!({
        "done": done, "facts": refilled.facts, "there": refilled.there, "moved": refilled.moved, "empty": refilled.empty,
        "lost": losses,
    })
}

fn end(private: Option<Broker>) {
    drop(private);
}

/// What there is, in a sentence.
pub(crate) fn told(archive: &Archive, outlook: &Outlook) -> String {
    format!(
        "the archive at {} has {} facts, {} to {}, the last of {}; the log holds {} messages and ends at {}",
        archive.location(),
        outlook.facts,
        outlook.first,
        outlook.last,
        view::instant(outlook.last_time_ms),
        outlook.on_log,
        outlook.log_last
    )
}

/// An outlook, when there is an archive at all.
pub(crate) async fn offer(place: &Place, nats: &BusSettings) -> Option<String> {
    let archive = place.open().ok()?;
    let outlook = restore::outlook(&archive, nats).await.ok()?;
    Some(told(&archive, &outlook))
}

/// A time as people write it, in unix milliseconds: RFC 3339, or so long ago.
pub(super) fn instant(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let ago =
        duration(text).map_err(|_| "is neither RFC 3339 nor a duration as in 15m, 6h, 7d".to_owned())?;
    Ok(jiff::Timestamp::now().as_millisecond() - ago)
}

/// A SHA-256 in hex.
fn digest(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("is no SHA-256 of 64 hex digits".to_owned()),
    }
}

/// A width of windows.
pub(super) fn step(text: &str) -> Result<i64, String> {
    match duration(text)? {
        0 => Err("is no time at all; leave it out for widths that fit".to_owned()),
        step => Ok(step),
    }
}

/// A duration as people write it, in milliseconds.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let fault = || "is no duration as in 500ms, 10s, 5m, 6h, 7d".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
    let (number, unit) = text.split_at(at);
    let number: i64 = number.parse().map_err(|_| fault())?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(fault()),
    };
    number.checked_mul(unit).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(instant("1970-01-01T00:00:01Z"), Ok(1_000));
        let now = jiff::Timestamp::now().as_millisecond();
        let ago = instant("2h").unwrap();
        assert!((now - ago - 7_200_000).abs() < 60_000);
        for wrong in ["", "h", "5", "5 weeks", "yesterday", "99999999999999999d"] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration("500ms"), Ok(500));
        assert!(step("0s").is_err() && step("5m") == Ok(300_000));
        assert!(digest("1234").is_err() && digest(&"aB".repeat(32)).is_ok());
    }
}
