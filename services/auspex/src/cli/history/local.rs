//! What needs no running mesh: reading an archive, and putting it back.

use std::path::PathBuf;

use auspex_chassis::broker::Broker;
use auspex_chassis::bus::BusSettings;
use auspex_history::archive::Archive;
use auspex_history::archive::chain::Report;
use auspex_history::archive::store;
use auspex_history::config::Config;
use auspex_history::restore::{self, Outlook};
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

/// Reads an archive.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    place: Place,
    /// SHA-256 of a last segment, noted at some time: it must be in the chain
    #[arg(long, value_name = "SHA256")]
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
            faults => Err(Fault::failed(format!(
                "{faults} segments are not what was written"
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
        "{location}: {} segments are whole, with {} facts ({} to {})\n",
        report.segments, report.facts, report.first_sequence, report.last_sequence
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
    /// Do it; without it, it is only explained
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What it does, told before it is done.
const EXPLAINED: &str = "\
restore puts every fact of the archive back into the log that is empty, or that ends where the archive was: at its own
sequence, with its id, its headers and its time. Then it deletes all cursors and states of all stages, so that they absorb
the log from its beginning and arrive at the states that they had.

- The archive is read and checked first; a damaged one is not put back.
- Nothing that is on the log is changed. A log that holds something else is refused.
- Every service must be stopped meanwhile. An interrupted restore goes on where it was.
- Facts live as long as they had left, and at least 7 days.

Nothing has been done. Say --yes to do it.
";

impl Restore {
    pub(crate) async fn carry_out(&self) -> Result<(), Fault> {
        let archive = self.place.open()?;
        let log = recover::log(&self.place.layers, &self.place.data).await?;
        let outlook = restore::outlook(&archive, &log.nats).await?;
        print::line(&told(&archive, &outlook))?;
        if !self.yes {
            return print::text(EXPLAINED);
        }
        self.put_back(&archive, log).await
    }

    async fn put_back(&self, archive: &Archive, log: Log) -> Result<(), Fault> {
        let Log { nats, private } = log;
        // Who still holds a lease would write into the log while it is filled.
        let done = auspex_chassis::recover(&nats, &STAGES).await?;
        let refilled = restore::restore(archive, &nats, Timestamp(self.from.unwrap_or_default())).await?;
        end(private);
        print::line(&format!(
            "{} facts put back, {} were there, {} at another place, {} places left empty; {} cursors deleted; states \
             deleted: {}",
            refilled.facts,
            refilled.there,
            refilled.moved,
            refilled.empty,
            done.cursors,
            recover::list(&done.states),
        ))
    }
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
    }
}
