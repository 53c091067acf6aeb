//! Sizes of the two Deployments: what is ready, what that can take, and how far down is safe. Pure.

use serde_json::{Value, json};

/// A Deployment as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Copies asked for.
    pub wanted: u32,
    /// Copies of its newest version that are available.
    pub ready: u32,
    /// The numbers are of what is asked for now: its controller has seen the last change.
    pub current: bool,
}

/// What becomes of one Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Copies to ask for.
    pub replicas: u32,
    /// Whether fewer were asked for: what the traffic needs was kept.
    pub kept: bool,
}

impl Workload {
    /// Of a Deployment.
    #[must_use]
    pub fn of(deployment: &Value) -> Self {
        let number = |path: &str| {
            let found = deployment.pointer(path).and_then(Value::as_u64);
            found.map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        let version = |path: &str| deployment.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let available = number("/status/availableReplicas").unwrap_or(0);
        let updated = number("/status/updatedReplicas").unwrap_or(0);
        Self {
            // The server's own default.
            wanted: number("/spec/replicas").unwrap_or(1),
            ready: available.min(updated),
            current: version("/status/observedGeneration") >= version("/metadata/generation"),
        }
    }

    /// What the ready copies can take, percent of all traffic, rounded down: `full` copies can take everything.
    #[must_use]
    pub fn capacity(&self, full: u32) -> u8 {
        if full == 0 {
            return if self.ready > 0 { 100 } else { 0 };
        }
        let percent = u64::from(self.ready) * 100 / u64::from(full);
        u8::try_from(percent.min(100)).unwrap_or(100)
    }
}

/// The size at which a version can take everything: as configured, else the larger of the two there are.
#[must_use]
pub fn full(configured: u32, stable: &Workload, candidate: &Workload) -> u32 {
    if configured > 0 {
        configured
    } else {
        stable.wanted.max(candidate.wanted)
    }
}

/// The size to ask for: never below what this version's share of traffic needs at this moment. Nothing is taken from a
/// version of which nobody knows the share.
#[must_use]
pub fn size(asked: u32, now: &Workload, share: Option<u8>, full: u32) -> Size {
    let need = match share {
        Some(share) => (u64::from(full) * u64::from(share)).div_ceil(100),
        None => u64::from(now.wanted),
    };
    let need = u32::try_from(need).unwrap_or(u32::MAX);
    // What is not there now cannot be needed to stay: a version that is too small already is not made larger here.
    let floor = need.min(now.wanted);
    Size {
        replicas: asked.max(floor),
        kept: asked < floor,
    }
}

/// The document that sets a size by the `scale` part; it carries the version of the read that it builds on.
#[must_use]
pub fn sized(scale: &Value, replicas: u32) -> Value {
    let mut scale = scale.clone();
    if let Some(object) = scale.as_object_mut() {
        object.insert("spec".to_owned(), json!({ "replicas": replicas }));
    }
    scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn workload(wanted: u32, ready: u32) -> Workload {
        Workload {
            wanted,
            ready,
            current: true,
        }
    }

    #[test]
    fn only_available_copies_of_the_newest_version_count() {
        let deployment = json!({
            "metadata": { "generation": 4 }, "spec": { "replicas": 5 },
            "status": { "observedGeneration": 4, "replicas": 6, "readyReplicas": 5, "availableReplicas": 4, "updatedReplicas": 2 }
        });
        assert_eq!(Workload::of(&deployment), workload(5, 2));
        assert_eq!(
            Workload::of(&json!({ "metadata": { "generation": 1 }, "spec": {} })),
            Workload {
                wanted: 1,
                ready: 0,
                current: false
            }
        );
    }

    #[test]
    fn capacity_is_rounded_down() {
        assert_eq!(workload(3, 1).capacity(3), 33);
        assert_eq!(workload(3, 3).capacity(3), 100);
        assert_eq!(workload(9, 9).capacity(3), 100);
        assert_eq!((workload(1, 1).capacity(0), workload(1, 0).capacity(0)), (100, 0));
    }

    #[test]
    fn stable_is_not_taken_below_what_its_traffic_needs() {
        let stable = workload(10, 10);
        assert_eq!(
            size(2, &stable, Some(75), 10),
            Size {
                replicas: 8,
                kept: true
            }
        );
        assert_eq!(
            size(2, &stable, Some(0), 10),
            Size {
                replicas: 2,
                kept: false
            }
        );
        assert_eq!(
            size(2, &stable, None, 10),
            Size {
                replicas: 10,
                kept: true
            }
        );
        assert_eq!(
            size(12, &stable, Some(100), 10),
            Size {
                replicas: 12,
                kept: false
            }
        );
        assert_eq!(
            size(0, &workload(1, 1), Some(100), 10),
            Size {
                replicas: 1,
                kept: true
            }
        );
    }

    #[test]
    fn a_size_is_set_with_the_version_that_was_read() {
        let scale = json!({ "kind": "Scale", "metadata": { "name": "web", "resourceVersion": "9" }, "spec": { "replicas": 1 }, "status": { "replicas": 1 } });
        let sized = sized(&scale, 4);
        assert_eq!(
            (&sized["metadata"], &sized["spec"]),
            (&scale["metadata"], &json!({ "replicas": 4 }))
        );
    }

    proptest! {
        #[test]
        fn what_has_traffic_keeps_its_share(asked in 0_u32..50, wanted in 0_u32..50, share in 0_u8..=100, full in 0_u32..50) {
            let size = size(asked, &workload(wanted, wanted), Some(share), full);
            prop_assert!(size.replicas >= asked, "more than asked is kept, never less");
            let need = f64::from(full) * f64::from(share) / 100.0;
            prop_assert!(size.replicas >= wanted || f64::from(size.replicas) >= need);
            prop_assert_eq!(size.kept, size.replicas > asked);
        }
    }
}
