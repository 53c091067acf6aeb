//! What the log still holds about a rollout: every decision, with its evidence, and every command, with who gave it.

use std::collections::VecDeque;
use std::time::Duration;

use auspex_chassis::House;
use auspex_proto::wire::{HistoryEntry, history_entry::What};
use auspex_proto::{Fact, Project, RolloutName, subject::FactKind};

/// Entries that are answered when nobody says how many.
const USUAL: u32 = 200;
/// The most that are answered.
const MOST: u32 = 1_000;
/// Nothing more has come for so long: that is all.
const PATIENCE: Duration = Duration::from_secs(3);

/// The newest `limit` of them, oldest first.
pub(super) async fn of(
    house: &House,
    project: &Project,
    name: &RolloutName,
    limit: u32,
) -> anyhow::Result<Vec<HistoryEntry>> {
    let limit = if limit == 0 { USUAL } else { limit.min(MOST) };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let kinds = [FactKind::Decision, FactKind::Command];
    let mut reader = house.bus().read_project(&kinds, project);
    let mut found = VecDeque::new();
    let last = house.bus().log_ends().await?.last;
    loop {
        let Ok(next) = tokio::time::timeout(PATIENCE, reader.next()).await else {
            break;
        };
        let (entry, behind) = next?;
        if let Some(entry) = about(name, entry.seq, entry.time.0, &entry.subject, &entry.payload) {
            if found.len() >= limit {
                found.pop_front();
            }
            found.push_back(entry);
        }
        if behind == 0 || entry_is_last(found.back(), last) {
            break;
        }
    }
    Ok(found.into())
}

fn entry_is_last(entry: Option<&HistoryEntry>, last: u64) -> bool {
    entry.is_some_and(|entry| entry.sequence >= last)
}

fn about(
    name: &RolloutName,
    sequence: u64,
    time_ms: i64,
    subject: &str,
    payload: &[u8],
) -> Option<HistoryEntry> {
    let address = auspex_proto::subject::parse(subject).ok()?;
    let what = match Fact::decode(address.kind, payload).ok()? {
        Fact::Decision(decision) if &decision.rollout == name => What::Decision(decision.to_wire()),
        Fact::Command(command) if &command.rollout == name => What::Command(command.to_wire()),
        _ => return None,
    };
    Some(HistoryEntry {
        sequence,
        time_ms,
        what: Some(what),
    })
}
