//! The wiring: decisions and pulses in, one worker per route.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use auspex_chassis::{Follow, Followed, From, Group, House, Stop};
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Project, ServiceName, stage};
use tokio::time::timeout_at;

use crate::config::{Config, Route};
use crate::course::{Course, Outcome};
use crate::figures::Figures;
use crate::lane::{Lane, locked};
use crate::record::{Face, Record};
use crate::registry::{self, Site};
use crate::report::Reporter;
use crate::router::Router;
use crate::silence::Silence;
use crate::worker::{Hold, Terms, Trouble, Worker};

/// How often the silence of control is counted.
const TICK: Duration = Duration::from_millis(200);
/// Routes wait at most this long for the last decisions to be read.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Routes by the service that they split.
type Lanes = BTreeMap<(Project, ServiceName), Vec<Arc<Lane>>>;

/// Starts everything.
///
/// # Errors
/// When an adapter cannot be made, the bus is away, or its log has been replaced.
pub(crate) async fn start(house: &House, config: &Config) -> anyhow::Result<()> {
    let silence = Arc::new(Mutex::new(Silence::default()));
    let mut lanes = Lanes::new();
    let mut workers = Vec::new();
    for route in &config.routes {
        let router = registry::build(
            route,
            Site {
                timeout: config.timeout(),
            },
        );
        let worker = worker(house, config, (route, router.await?), &silence).await?;
        let course = worker.lane.course();
        lanes
            .entry((course.project, course.service))
            .or_default()
            .push(Arc::clone(&worker.lane));
        workers.push(worker);
    }
    let mut decisions = house.follow(&[FactKind::Decision], From::LastPerSubject).await?;
    listen(house, &silence).await?;
    catch_up(&lanes, &mut decisions).await?;
    house.spawn("router decisions", Group::Work, move |stop| async move {
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                followed = decisions.next() => absorb(&lanes, &followed?),
            }
        }
    });
    for worker in workers {
        house.spawn("router", Group::Output, move |stop| worker.run(stop));
    }
    Ok(())
}

/// Hears the pulses of control, and counts the time without them.
async fn listen(house: &House, silence: &Arc<Mutex<Silence>>) -> anyhow::Result<()> {
    let mut pulses = house.pulses().await.context("the heartbeats of control")?;
    let heard = Arc::clone(silence);
    house.spawn("router pulses", Group::Work, move |stop| async move {
        let beats = async {
            loop {
                let partition = pulses.next().await;
                locked(&heard).pulse(partition);
            }
        };
        until(&stop, beats).await;
        Ok(())
    });
    let counted = Arc::clone(silence);
    house.spawn("router silence", Group::Work, move |stop| async move {
        let ticks = async {
            let mut last = Instant::now();
            loop {
                tokio::time::sleep(TICK).await;
                locked(&counted).tick(last.elapsed());
                last = Instant::now();
            }
        };
        until(&stop, ticks).await;
        Ok(())
    });
    Ok(())
}

async fn until(stop: &Stop, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.requested() => {}
        () = work => {}
    }
}

/// Reads the last decision of each service before anybody acts.
async fn catch_up(lanes: &Lanes, decisions: &mut Follow) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + CATCH_UP;
    while let Ok(followed) = timeout_at(deadline, decisions.next()).await {
        let followed = followed?;
        absorb(lanes, &followed);
        if followed.behind == 0 {
            break;
        }
    }
    Ok(())
}

fn absorb(lanes: &Lanes, followed: &Followed) {
    let Fact::Decision(decision) = &followed.fact else {
        return;
    };
    let key = (decision.meta.project.clone(), decision.service.clone());
    for lane in lanes.get(&key).into_iter().flatten() {
        let outcome = lane.absorb(decision, followed.seq);
        if outcome == Outcome::Followed {
            let (service, weight, seq) = (decision.service.as_str(), decision.weight, followed.seq);
            tracing::info!(service, weight, seq, "a decision");
        }
    }
}

async fn worker(
    house: &House,
    config: &Config,
    (route, router): (&Route, Arc<dyn Router>),
    silence: &Arc<Mutex<Silence>>,
) -> anyhow::Result<Worker> {
    let name = route.name();
    let project = Project::new(&*route.project)?;
    let service = ServiceName::new(&*route.service)?;
    let partition = house.partitions().of(&project);
    let claim = house.claim::<Record>(stage::ROUTER, &project, &name).await?;
    let figures = Figures::new(house.metrics(), &name, &route.service, router.kind());
    let course = Course::new(project, service, &route.region);
    Ok(Worker {
        house: house.clone(),
        bus: house.bus().clone(),
        terms: Terms {
            name: name.clone(),
            slots: route.slots,
            face: face(route, router.as_ref(), config.lease_ms),
            check: Duration::from_millis(config.check_ms),
            patience: config.timeout() * 4,
        },
        router,
        claim,
        lane: Arc::new(Lane::new(course, partition, Arc::clone(silence))),
        reporter: Reporter {
            bus: house.bus().clone(),
            route: name,
            process: house.instance().to_owned(),
            region: route.region.clone(),
            count: 0,
            under_way: None,
        },
        figures,
        hold: Hold::None {
            again: tokio::time::Instant::now(),
        },
        record: Record::default(),
        unsaved: false,
        looked: None,
        trouble: Trouble::default(),
        told: None,
        writes: 0,
    })
}

fn face(route: &Route, router: &dyn Router, lease_ms: u64) -> Face {
    let can = router.capabilities();
    Face {
        project: route.project.clone(),
        service: route.service.clone(),
        kind: router.kind().to_owned(),
        region: route.region.clone(),
        verified_by: can.verified_by.unwrap_or_default().to_owned(),
        can: can.names(),
        watchdog_ms: if route.watchdog && can.weights {
            lease_ms
        } else {
            0
        },
        scaler: !can.weights,
    }
}
