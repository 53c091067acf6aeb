//! Who leads, by a `Lease` object: what to do with what is read, without a clock of others.
//!
//! As Kubernetes' own clients do it, nobody compares his clock with the holder's: a lease lapses when this process has not
//! seen it change for its whole duration. Two holders at once are possible for as long as a stopped process takes to notice;
//! so whatever a leader writes must bear a second writer (versions in writes, ids in commands).

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::Kind;

/// Leases.
pub const LEASES: Kind = Kind {
    group: "coordination.k8s.io",
    version: "v1",
    resource: "leases",
    name: "Lease",
};

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// There is none: create it with this.
    Create(Value),
    /// It is ours, or free, or has lapsed: replace it with this.
    Replace(Value),
    /// Somebody else holds it.
    Wait,
}

/// One who wants to lead.
#[derive(Debug, Clone)]
pub struct Candidate {
    name: String,
    duration: Duration,
    /// The lease as last seen changed, and when by this process's own clock.
    seen: Option<(Value, Duration)>,
}

impl Candidate {
    /// One of this name, unique among all. `duration`: how long a lease holds without being renewed; whole seconds.
    #[must_use]
    pub fn new(name: impl Into<String>, duration: Duration) -> Self {
        Self {
            name: name.into(),
            duration,
            seen: None,
        }
    }

    /// What to do with the lease as it was just read. `now` is of a clock of this process that only moves forwards,
    /// `stamp` what is written as the time of the renewal, for people.
    pub fn look(&mut self, read: Option<&Value>, now: Duration, stamp: &str) -> Claim {
        let Some(lease) = read else {
            return Claim::Create(self.write(None, stamp));
        };
        let spec = lease.get("spec").cloned().unwrap_or_default();
        match &self.seen {
            Some((last, _)) if *last == spec => {}
            _ => self.seen = Some((spec.clone(), now)),
        }
        let holder = spec
            .get("holderIdentity")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let seconds = spec
            .get("leaseDurationSeconds")
            .and_then(Value::as_u64)
            .unwrap_or(1);
        let since = self.seen.as_ref().map_or(now, |(_, at)| *at);
        let lapsed = now.saturating_sub(since) >= Duration::from_secs(seconds);
        if holder == self.name || holder.is_empty() || lapsed {
            Claim::Replace(self.write(Some(lease), stamp))
        } else {
            Claim::Wait
        }
    }

    /// What frees the lease at once, so that nobody has to wait for it to lapse; `None` when it is not ours.
    #[must_use]
    pub fn release(&self, lease: &Value) -> Option<Value> {
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
        if holder != Some(self.name.as_str()) {
            return None;
        }
        let mut freed = lease.clone();
        *freed.pointer_mut("/spec/holderIdentity")? = json!("");
        Some(freed)
    }

    fn write(&self, last: Option<&Value>, stamp: &str) -> Value {
        let old = last.and_then(|lease| lease.get("spec"));
        let before = |field: &str| old.and_then(|spec| spec.get(field)).cloned();
        let same = before("holderIdentity").is_some_and(|holder| holder == self.name.as_str());
        let changes = before("leaseTransitions").and_then(|n| n.as_u64()).unwrap_or(0);
        let acquired = before("acquireTime").filter(|_| same);
        let mut lease = last.cloned().unwrap_or_else(
            || json!({ "apiVersion": LEASES.api_version(), "kind": LEASES.name, "metadata": {} }),
        );
        if let Some(object) = lease.as_object_mut() {
            let spec = json!({
                "holderIdentity": self.name,
                "leaseDurationSeconds": self.duration.as_secs().max(1),
                "acquireTime": acquired.unwrap_or_else(|| json!(stamp)),
                "renewTime": stamp,
                "leaseTransitions": if last.is_none() || same { changes } else { changes + 1 },
            });
            object.insert("spec".to_owned(), spec);
        }
        lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn replaced(claim: Claim) -> Value {
        match claim {
            Claim::Create(lease) | Claim::Replace(lease) => lease,
            Claim::Wait => panic!("it waits"),
        }
    }

    #[test]
    fn the_first_leads_and_the_second_waits() {
        let (mut a, mut b) = (Candidate::new("a", seconds(15)), Candidate::new("b", seconds(15)));
        let lease = replaced(a.look(None, seconds(0), "t0"));
        assert_eq!(lease["spec"]["holderIdentity"], "a");
        assert_eq!(b.look(Some(&lease), seconds(100), "t1"), Claim::Wait);
        let renewed = replaced(a.look(Some(&lease), seconds(5), "t2"));
        assert_eq!(renewed["spec"]["acquireTime"], "t0");
        assert_eq!(renewed["spec"]["renewTime"], "t2");
        assert_eq!(
            b.look(Some(&renewed), seconds(114), "t3"),
            Claim::Wait,
            "it was renewed meanwhile"
        );
    }

    #[test]
    fn a_lease_lapses_by_the_own_clock_of_who_looks() {
        let mut b = Candidate::new("b", seconds(15));
        let lease = json!({ "spec": { "holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "1970", "leaseTransitions": 4 } });
        assert_eq!(
            b.look(Some(&lease), seconds(1000), "t"),
            Claim::Wait,
            "an old stamp alone says nothing"
        );
        assert_eq!(b.look(Some(&lease), seconds(1014), "t"), Claim::Wait);
        let taken = replaced(b.look(Some(&lease), seconds(1015), "t"));
        assert_eq!(taken["spec"]["holderIdentity"], "b");
        assert_eq!(taken["spec"]["leaseTransitions"], 5);
    }

    #[test]
    fn a_freed_lease_is_taken_at_once() {
        let mut a = Candidate::new("a", seconds(15));
        let lease = replaced(a.look(None, seconds(0), "t0"));
        let freed = a.release(&lease).unwrap();
        let mut b = Candidate::new("b", seconds(15));
        assert_eq!(b.release(&lease), None);
        assert!(matches!(
            b.look(Some(&freed), seconds(0), "t1"),
            Claim::Replace(_)
        ));
    }

    #[test]
    fn what_others_keep_in_a_lease_stays() {
        let mut a = Candidate::new("a", seconds(15));
        let lease = json!({ "metadata": { "resourceVersion": "7", "labels": { "x": "y" } }, "spec": { "holderIdentity": "" } });
        let taken = replaced(a.look(Some(&lease), seconds(0), "t"));
        assert_eq!(taken["metadata"], lease["metadata"]);
    }
}
