//! Sizes of the two Deployments: what is ready, what that can take, and how far down is safe. Pure.

use auspex_proto::intent::Scale;
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

/// The size at which a version can take everything: as configured, else as the copies that are asked for tell it. Those are
/// rounded up, so each tells the most that it may be: the least of that is never too small. `None`: nobody tells.
#[must_use]
pub fn told(configured: u32, asked: [Option<Scale>; 2]) -> Option<u32> {
    if configured > 0 {
        return Some(configured);
    }
    let asked = asked.into_iter().flatten();
    let asked = asked.filter(|scale| scale.replicas > 0 && scale.percent > 0);
    let most = asked.map(|scale| u64::from(scale.replicas) * 100 / u64::from(scale.percent));
    most.min().map(|most| u32::try_from(most).unwrap_or(u32::MAX))
}

/// Copies that are asked for: as they are told, else the share of the full size, rounded up. `told`: somebody says what the
/// full size is; else it is read from the two sizes there are.
///
/// # Errors
/// So many, fewer than there are: of a full size that nobody tells no version is made smaller, but to nothing. With both made
/// smaller it would not be known any more, and each further look would take half of the half.
pub fn copies(asked: Scale, now: &Workload, (full, told): (u32, bool)) -> Result<u32, u32> {
    if asked.replicas > 0 || asked.percent == 0 {
        return Ok(asked.replicas);
    }
    let share = (u64::from(full) * u64::from(asked.percent)).div_ceil(100);
    let share = u32::try_from(share).unwrap_or(u32::MAX);
    if told || share >= now.wanted {
        Ok(share)
    } else {
        Err(share)
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
    fn a_full_size_that_nobody_tells_does_not_melt_away() {
        // Half each of what four copies can take: stable of four, the candidate of two.
        let half = Scale {
            percent: 50,
            replicas: 0,
        };
        let look = |configured: u32| {
            let mut sizes = [workload(4, 4), workload(2, 2)];
            for _ in 0..5 {
                let told = told(configured, [Some(half), Some(half)]);
                let full = told.unwrap_or(sizes[0].wanted.max(sizes[1].wanted));
                for now in &mut sizes {
                    if let Ok(asked) = copies(half, now, (full, told.is_some())) {
                        *now = workload(size(asked, now, Some(50), full).replicas, 4);
                    }
                }
            }
            sizes.map(|size| size.wanted)
        };
        assert_eq!(look(4), [2, 2]);
        assert_eq!(look(0), [4, 2], "and not one each");
        let to = |percent, replicas| copies(Scale { percent, replicas }, &workload(4, 4), (4, false));
        assert_eq!((to(0, 0), to(100, 0), to(50, 3)), (Ok(0), Ok(4), Ok(3)));
        assert_eq!(to(75, 0), Err(3));
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
        /// Whatever is asked of a full service of so many copies: what is there then is never thought to take more than it
        /// can, nor less than what was asked.
        #[test]
        fn the_full_size_is_told_by_what_is_asked(full in 1_u32..200, stable in 1_u8..=100, candidate in 1_u8..=100) {
            let of = |percent: u8| Scale {
                percent,
                replicas: (full * u32::from(percent)).div_ceil(100),
            };
            let told = told(0, [Some(of(stable)), Some(of(candidate))]).unwrap();
            prop_assert!(told >= full);
            for asked in [of(stable), of(candidate)] {
                let ready = workload(asked.replicas, asked.replicas);
                prop_assert!(ready.capacity(told) >= asked.percent);
                prop_assert!(ready.capacity(told) <= ready.capacity(full));
            }
        }

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
