//! The data plane: lanes, targets and the plan they follow. Usable without a bus.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use auspex_proto::{Decision, Partition, Partitions};
use tokio::time::Instant;

use crate::aside::Aside;
use crate::config::{Config, Timeouts};
use crate::lane::{Lane, View};
use crate::link::Upstream;
use crate::origin::Origin;
use crate::plan::{Course, Effective, Outcome, Plan, Readiness, Rules};
use crate::report::Line;
use crate::route::Table;
use crate::tally::Interval;

/// The data plane of one process.
#[derive(Debug)]
pub struct Plane {
    pub(crate) config: Config,
    table: Table,
    lanes: Vec<Arc<Lane>>,
    steering: Mutex<Steering>,
    upstreams: Mutex<BTreeMap<Origin, Weak<Upstream>>>,
    began: Instant,
    secret: RandomState,
    cohorts: AtomicU64,
}

#[derive(Debug)]
struct Steering {
    plan: Plan,
    /// One per lane.
    posts: Vec<Post>,
}

/// What is remembered of one lane.
#[derive(Debug)]
struct Post {
    lane: Arc<Lane>,
    effective: Effective,
    /// All that was counted.
    totals: Interval,
    /// Whether it was on trial when last asked.
    on_trial: bool,
}

/// One service, as its operator sees it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Standing {
    pub course: Course,
    pub effective: Effective,
    pub silence: Option<Duration>,
    pub stable: Readiness,
    pub candidate: Readiness,
    pub totals: Interval,
}

impl Plane {
    /// Everything on the listed stable.
    ///
    /// # Errors
    /// Every mistake in the routes.
    pub fn new(config: Config, partitions: Partitions) -> Result<Arc<Self>, Vec<String>> {
        let (listed, table) = config.table()?;
        let rules = Rules {
            follow_targets: config.follow_targets,
            lease: Duration::from_millis(config.lease_ms),
            partitions,
            region: config.region.clone(),
        };
        let secret = RandomState::new();
        let upstreams = Mutex::default();
        let lane = |(i, listed): (usize, &crate::plan::Listed)| {
            let view = View {
                weight: 0,
                stable: upstream(&upstreams, &listed.stable),
                candidate: None,
                affinity: None,
                slo: None,
                aside: Aside::default(),
            };
            Lane::new(listed.service.to_string(), secret.hash_one(i), view)
        };
        let lanes: Vec<Arc<Lane>> = listed.iter().enumerate().map(lane).collect();
        let post = |lane: &Arc<Lane>| Post {
            lane: Arc::clone(lane),
            effective: Effective::default(),
            totals: Interval::default(),
            on_trial: false,
        };
        let steering = Steering {
            posts: lanes.iter().map(post).collect(),
            plan: Plan::new(rules, listed),
        };
        let plane = Arc::new(Self {
            config,
            table,
            lanes,
            steering: Mutex::new(steering),
            upstreams,
            began: Instant::now(),
            secret,
            cohorts: AtomicU64::new(0),
        });
        plane.refresh();
        Ok(plane)
    }

    /// Follows a decision; `seq`: its sequence in the log.
    pub fn absorb(&self, decision: &Decision, seq: u64) -> Outcome {
        let (outcome, fault) = {
            let mut steering = self.steering();
            let outcome = steering.plan.absorb(decision, seq);
            (outcome, steering.plan.fault(decision).map(str::to_owned))
        };
        if outcome == Outcome::Followed {
            self.refresh();
            if let Some(fault) = fault {
                let (service, rollout) = (decision.service.as_str(), decision.rollout.as_str());
                tracing::warn!(
                    service,
                    rollout,
                    fault,
                    "everything stays on stable: a decision cannot be carried out"
                );
            }
        }
        outcome
    }

    /// Control of a partition lives.
    pub fn pulse(&self, partition: Partition) {
        let now = self.began.elapsed();
        self.steering().plan.pulse(partition, now);
        self.refresh();
    }

    /// Sets the weight of every service of this name by hand, for those who drive without a bus. `false`: there is none.
    pub fn set_weight(&self, service: &str, weight: u8) -> bool {
        let mut steering = self.steering();
        let mut found = false;
        for (i, lane) in self.lanes.iter().enumerate() {
            if lane.service == service {
                found |= steering.plan.set_weight(i, weight);
            }
        }
        drop(steering);
        self.refresh();
        found
    }

    /// Carries out what holds now. To be called at least twice a second: a lease lapses without anyone saying so.
    pub fn refresh(&self) {
        let now = self.began.elapsed();
        let mut steering = self.steering();
        let Steering { plan, posts } = &mut *steering;
        for (post, course) in posts.iter_mut().zip(plan.courses()) {
            let stable = upstream(&self.upstreams, &course.stable);
            let candidate = course
                .candidate
                .as_ref()
                .map(|origin| upstream(&self.upstreams, origin));
            let holds = plan.effective(course, now, stable.readiness(), readiness(candidate.as_ref()));
            if holds.suspended != post.effective.suspended {
                let service = &post.lane.service;
                tracing::warn!(
                    service,
                    suspended = holds.suspended,
                    "the lease of control changed"
                );
            }
            post.effective = holds;
            let order = course.order.as_ref();
            post.lane.set(View {
                // What was promoted is what users are on: its requests are those of the stable track.
                weight: if course.is_promoted() { 0 } else { holds.weight },
                stable,
                candidate,
                affinity: order.and_then(|order| order.affinity.clone()),
                slo: order.and_then(|order| order.slo_ms).map(milliseconds),
                aside: order
                    .filter(|_| !holds.suspended)
                    .map(|order| Aside::of(order, course.is_promoted()))
                    .unwrap_or_default(),
            });
        }
    }

    /// Takes what was counted since the last time: one line per service.
    #[must_use]
    pub fn rotate(&self) -> Vec<Line> {
        let mut steering = self.steering();
        let Steering { plan, posts } = &mut *steering;
        let mut lines = Vec::with_capacity(posts.len());
        for (post, course) in posts.iter_mut().zip(plan.courses()) {
            let counts = post.lane.tally.rotate();
            post.totals.add(&counts);
            let before = std::mem::replace(&mut post.on_trial, course.on_trial());
            let view = post.lane.view();
            lines.push(Line {
                project: course.listed.project.clone(),
                service: course.listed.service.clone(),
                counts,
                on_trial: post.on_trial || before,
                judges_latency: view.slo.is_some(),
                stable: view.stable.readiness(),
                candidate: view.candidate.as_ref().map(|c| c.readiness()),
                decision: course.order.as_ref().map(|order| order.id.clone()),
                weight: post.effective.weight,
                suspended: post.effective.suspended,
            });
        }
        lines
    }

    /// Every service, as its operator sees it.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let now = self.began.elapsed();
        let steering = self.steering();
        let mut standings = Vec::with_capacity(steering.posts.len());
        for (post, course) in steering.posts.iter().zip(steering.plan.courses()) {
            let view = post.lane.view();
            standings.push(Standing {
                course: course.clone(),
                effective: post.effective,
                silence: steering.plan.silence(course, now),
                stable: view.stable.readiness(),
                candidate: readiness(view.candidate.as_ref()),
                totals: post.totals.clone(),
            });
        }
        standings
    }

    /// Every target in use.
    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        let mut known = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, upstream| upstream.strong_count() > 0);
        known.values().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn lane(&self, host: &str, path: &str) -> Option<Arc<Lane>> {
        self.lanes.get(self.table.lane(host, path)?).cloned()
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.config.timeouts
    }

    /// The id of a new cohort: 128 bits that nobody can foresee.
    pub(crate) fn fresh_cohort(&self) -> String {
        let n = self.cohorts.fetch_add(1, Ordering::Relaxed);
        format!(
            "{:016x}{:016x}",
            self.secret.hash_one((n, 0_u8)),
            self.secret.hash_one((n, 1_u8))
        )
    }

    fn steering(&self) -> MutexGuard<'_, Steering> {
        self.steering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn readiness(upstream: Option<&Arc<Upstream>>) -> Readiness {
    upstream.map(|upstream| upstream.readiness()).unwrap_or_default()
}

fn milliseconds(ms: f64) -> Duration {
    // A day is beyond any objective; the bounds keep a wild number from being a panic.
    Duration::from_secs_f64(ms.clamp(0.0, 86_400_000.0) / 1_000.0)
}

/// The target there, and its pool; the same one for whoever asks, whichever track it serves.
fn upstream(known: &Mutex<BTreeMap<Origin, Weak<Upstream>>>, origin: &Origin) -> Arc<Upstream> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(upstream) = known.get(origin).and_then(Weak::upgrade) {
        return upstream;
    }
    let upstream = Upstream::new(origin.clone());
    known.insert(origin.clone(), Arc::downgrade(&upstream));
    upstream
}
