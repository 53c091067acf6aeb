//! Whether an Argo controller drives a `Rollout`. Pure.
//!
//! Two controllers of one route undo each other's work, so a doubt counts as alive: what is refused can be asked again.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// The name under which Argo's controller writes.
const WRITER: &str = "rollouts-controller";
/// A lease that was renewed within so many of its durations is held.
const DURATIONS: u32 = 4;
/// A controller that has written a rollout within this time is alive, whatever its lease says.
const RECENT: Duration = Duration::from_secs(120);
/// A controller sees a change of a rollout within moments: one that has not for this long is not there.
const UNSEEN: Duration = Duration::from_secs(60);

/// Why the controller counts as alive; `None`: it does not.
///
/// `lease`: that of the controller; `None` when there is none. `now`: of this machine, whose clock may differ by some seconds.
#[must_use]
pub fn alive(rollout: &Value, lease: Option<&Value>, now: Timestamp) -> Option<String> {
    if let Some(holder) = lease.and_then(|lease| held(lease, now)) {
        return Some(format!("its lease is held by {holder}"));
    }
    let (writer, wrote) = last_write(rollout)?;
    let ago = since(wrote, now);
    if ago < RECENT {
        return Some(format!("{writer} wrote it {} s ago", ago.as_secs()));
    }
    if lease.is_some() {
        return None;
    }
    // Without a lease (a controller that runs alone needs none) its silence tells only where there was something to say.
    let unseen = !seen(rollout) && changed(rollout).is_some_and(|at| since(at, now) > UNSEEN);
    (!unseen)
        .then(|| format!("{writer} has written it, there is no lease to tell, and nothing has changed since"))
}

fn held(lease: &Value, now: Timestamp) -> Option<&str> {
    let spec = lease.get("spec")?;
    let holder = spec
        .get("holderIdentity")?
        .as_str()
        .filter(|holder| !holder.is_empty())?;
    let seconds = spec
        .get("leaseDurationSeconds")
        .and_then(Value::as_u64)
        .unwrap_or(15);
    let renewed: Timestamp = spec.get("renewTime")?.as_str()?.parse().ok()?;
    (since(renewed, now) < Duration::from_secs(seconds) * DURATIONS).then_some(holder)
}

/// Who of Argo's wrote the rollout last, and when.
fn last_write(rollout: &Value) -> Option<(&str, Timestamp)> {
    let entries = rollout.pointer("/metadata/managedFields")?.as_array()?;
    let theirs = entries.iter().filter_map(|entry| {
        let manager = entry
            .get("manager")?
            .as_str()
            .filter(|manager| manager.contains(WRITER))?;
        Some((manager, entry.get("time")?.as_str()?.parse().ok()?))
    });
    theirs.max_by_key(|(_, time): &(&str, Timestamp)| *time)
}

/// When somebody else changed it last.
fn changed(rollout: &Value) -> Option<Timestamp> {
    let entries = rollout.pointer("/metadata/managedFields")?.as_array()?;
    let others = entries.iter().filter(|entry| {
        let manager = entry.get("manager").and_then(Value::as_str).unwrap_or_default();
        !manager.contains(WRITER)
    });
    others
        .filter_map(|entry| entry.get("time")?.as_str()?.parse().ok())
        .max()
}

/// Whether the controller has seen the last version: its `observedGeneration` is a text.
fn seen(rollout: &Value) -> bool {
    let generation = rollout.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = rollout.pointer("/status/observedGeneration");
    let observed = observed.and_then(|seen| seen.as_i64().or_else(|| seen.as_str()?.parse().ok()));
    generation.is_some() && observed == generation
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rollout(wrote: &str, changed: &str, observed: &str) -> Value {
        json!({ "metadata": { "generation": 3, "managedFields": [
            { "manager": "rollouts-controller", "time": wrote }, { "manager": "argocd-controller", "time": changed }
        ] }, "status": { "observedGeneration": observed } })
    }

    fn lease(holder: &str, renewed: &str) -> Value {
        json!({ "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed } })
    }

    const OLD: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn a_lease_that_is_renewed_is_a_controller_that_lives() {
        let now = at("2026-01-01T12:00:00Z");
        let quiet = rollout(OLD, OLD, "3");
        let held = lease("argo-0", "2026-01-01T11:59:30.123456Z");
        assert_eq!(
            alive(&quiet, Some(&held), now).unwrap(),
            "its lease is held by argo-0"
        );
        assert_eq!(
            alive(&json!({}), Some(&held), now).unwrap(),
            "its lease is held by argo-0"
        );
        assert_eq!(alive(&quiet, Some(&lease("argo-0", OLD)), now), None);
        assert_eq!(alive(&quiet, Some(&lease("", "2026-01-01T11:59:59Z")), now), None);
        let ahead = lease("argo-0", "2026-01-01T12:00:20Z");
        assert!(alive(&quiet, Some(&ahead), now).is_some(), "clocks differ");
    }

    #[test]
    fn who_wrote_lately_is_alive_and_who_never_did_is_not() {
        let now = at("2026-01-01T12:00:00Z");
        let fresh = rollout("2026-01-01T11:58:30Z", OLD, "3");
        assert_eq!(
            alive(&fresh, None, now).unwrap(),
            "rollouts-controller wrote it 90 s ago"
        );
        assert!(alive(&fresh, Some(&lease("", OLD)), now).is_some());
        assert_eq!(alive(&json!({ "metadata": {} }), None, now), None);
    }

    #[test]
    fn without_a_lease_a_doubt_counts_as_alive() {
        let now = at("2026-01-01T12:00:00Z");
        assert!(alive(&rollout(OLD, OLD, "3"), None, now).is_some());
        let unseen = rollout(OLD, "2026-01-01T11:58:00Z", "2");
        assert_eq!(
            alive(&unseen, None, now),
            None,
            "two minutes, and it has not looked"
        );
        assert!(
            alive(&rollout(OLD, "2026-01-01T11:59:30Z", "2"), None, now).is_some(),
            "it may yet look"
        );
    }
}
