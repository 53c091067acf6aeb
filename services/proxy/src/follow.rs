//! The wiring to the bus: decisions and pulses in, observations out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use auspex_chassis::{Follow, Followed, From, Group, House, Stop};
use auspex_proto::subject::FactKind;
use auspex_proto::{Fact, Track};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backlog::Backlog;
use crate::health;
use crate::plane::Plane;
use crate::report::{self, Frame, Line};
use crate::second::Second;
use crate::serve::serve;

/// A lease lapses without anyone saying so: it is looked after this often.
const REFRESH: Duration = Duration::from_millis(200);

/// Users wait in the listener's queue at most this long for the last decisions to be read. A proxy that begins before it
/// knows them sends everything to the listed stable, which after a promotion is the older version.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The last reports have this long to leave when the process stops.
const FLUSH: Duration = Duration::from_secs(2);

/// Starts everything. `listener`: users' traffic; already bound.
///
/// # Errors
/// When the bus is away, or its log has been replaced.
pub async fn start(house: &House, plane: &Arc<Plane>, listener: TcpListener) -> anyhow::Result<()> {
    let mut decisions = house.follow(&[FactKind::Decision], From::LastPerSubject).await?;
    let mut pulses = house.pulses().await.context("the heartbeats of control")?;
    let beating = Arc::clone(plane);
    house.spawn("proxy pulses", Group::Work, move |stop| async move {
        let beats = async {
            loop {
                beating.pulse(pulses.next().await);
            }
        };
        until(&stop, beats).await;
        Ok(())
    });
    catch_up(plane, &mut decisions).await?;
    let following = Arc::clone(plane);
    house.spawn("proxy decisions", Group::Work, move |stop| async move {
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                followed = decisions.next() => absorb(&following, &followed?),
            }
        }
    });
    let checking = Arc::clone(plane);
    house.spawn("proxy health", Group::Work, move |stop| async move {
        until(&stop, health::watch(checking)).await;
        Ok(())
    });
    let refreshing = Arc::clone(plane);
    house.spawn("proxy leases", Group::Work, move |stop| async move {
        let refresh = async {
            loop {
                tokio::time::sleep(REFRESH).await;
                refreshing.refresh();
            }
        };
        until(&stop, refresh).await;
        Ok(())
    });
    let reporting = (house.clone(), Arc::clone(plane));
    house.spawn("proxy reports", Group::Output, move |stop| async move {
        report(&reporting.0, &reporting.1, &stop).await;
        Ok(())
    });
    let serving = Arc::clone(plane);
    house.spawn("proxy traffic", Group::Intake, move |stop| async move {
        let cut = serve(listener, serving, async move { stop.requested().await }).await?;
        if cut > 0 {
            tracing::warn!(cut, "connections had to be cut at the end");
        }
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

/// Reads the last decision of each service before the first user is served.
async fn catch_up(plane: &Plane, decisions: &mut Follow) -> anyhow::Result<()> {
    let deadline = Instant::now() + CATCH_UP;
    while let Ok(followed) = timeout_at(deadline, decisions.next()).await {
        let followed = followed?;
        absorb(plane, &followed);
        if followed.behind == 0 {
            break;
        }
    }
    Ok(())
}

fn absorb(plane: &Plane, followed: &Followed) {
    if let Fact::Decision(decision) = &followed.fact {
        let outcome = plane.absorb(decision, followed.seq);
        let (service, weight, seq) = (decision.service.as_str(), decision.weight, followed.seq);
        tracing::info!(service, weight, seq, ?outcome, "a decision");
    }
}

/// Reports each second, and what is left at the end.
async fn report(house: &House, plane: &Plane, stop: &Stop) {
    let dropped = house.metrics().counter(
        "auspex_proxy_reports_dropped_total",
        "Observation batches that the bus did not take in time",
    );
    let backlog = Backlog::new(dropped);
    let mut second = Second::begin(house.now());
    let ticking = async {
        loop {
            tokio::time::sleep(Second::wait(house.now())).await;
            if let Some(interval) = second.end(house.now()) {
                rotate(house, plane, &backlog, interval);
            }
        }
    };
    tokio::select! {
        () = stop.requested() => {}
        () = ticking => {}
        () = backlog.publish(house.bus()) => {}
    }
    if let Some(interval) = second.cut(house.now()) {
        rotate(house, plane, &backlog, interval);
    }
    if timeout(FLUSH, backlog.drain(house.bus())).await.is_err() {
        tracing::warn!("the last reports could not be published");
    }
}

fn rotate(
    house: &House,
    plane: &Plane,
    backlog: &Backlog,
    (start, length): (auspex_proto::Timestamp, Duration),
) {
    let lines = plane.rotate();
    let frame = Frame {
        instance: house.instance().to_owned(),
        region: plane.config.region.clone(),
        environment: plane.config.environment.clone(),
        start,
        length,
    };
    figures(house, &lines);
    for batch in report::batches(&frame, &lines) {
        backlog.push(Fact::Observations(batch));
    }
}

fn figures(house: &House, lines: &[Line]) {
    let metrics = house.metrics();
    for line in lines {
        let service = line.service.as_str();
        for (track, counts) in [
            (Track::Stable, &line.counts.stable),
            (Track::Candidate, &line.counts.candidate),
        ] {
            let track = match track {
                Track::Stable => "stable",
                Track::Candidate => "candidate",
            };
            for (outcome, count) in [
                ("good", counts.good),
                ("bad", counts.bad),
                ("aborted", counts.aborted),
            ] {
                let labels = [("service", service), ("track", track), ("outcome", outcome)];
                let help = "Requests by how they ended";
                metrics
                    .counter_with("auspex_proxy_requests_total", help, &labels)
                    .inc_by(count);
            }
        }
        let labels = [("service", service)];
        let weight = metrics.gauge_with("auspex_proxy_weight", "The candidate's share in percent", &labels);
        weight.set(f64::from(line.weight));
        let help = "1 while control is gone and everything goes to stable";
        let suspended = metrics.gauge_with("auspex_proxy_suspended", help, &labels);
        suspended.set(f64::from(u8::from(line.suspended)));
    }
}
