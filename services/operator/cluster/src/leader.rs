//! Leading by a lease: one of several replicas works, and the next takes over when it is gone.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::Cluster;
use crate::fault::Fault;
use crate::lease::{Candidate, Claim, LEASES};
use crate::place::Place;

/// How leadership is held.
#[derive(Debug, Clone)]
pub struct Leadership {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub lease: String,
    /// This process, unique among all.
    pub name: String,
    /// How long a lease holds without being renewed.
    pub duration: Duration,
}

/// Strives for the lease until `stop` resolves, and tells whether it is held. A holder that could not renew for two thirds of
/// the duration says so before others may take over; a holder that stops frees the lease.
pub async fn lead(
    cluster: Cluster,
    of: Leadership,
    leads: watch::Sender<bool>,
    stop: impl Future<Output = ()>,
) {
    let place = LEASES.named(&of.namespace, &of.lease);
    let mut candidate = Candidate::new(of.name.clone(), of.duration);
    let begin = Instant::now();
    let (retry, give_up) = (of.duration / 6, of.duration / 3 * 2);
    let mut renewed = begin;
    tokio::pin!(stop);
    loop {
        let asked = Instant::now();
        let attempt = attempt(&cluster, &place, &mut candidate, begin.elapsed());
        tokio::pin!(attempt);
        let done = tokio::select! {
            done = &mut attempt => done,
            // An answer that keeps waiting is none: others may take over while it does.
            () = tokio::time::sleep_until(renewed + give_up) => {
                tell(&leads, false, &of);
                attempt.await
            }
        };
        match done {
            Ok(true) if asked.elapsed() < of.duration => {
                renewed = asked;
                tell(&leads, true, &of);
            }
            Ok(true) => {}
            Ok(false) | Err(Fault::Conflict(_)) => tell(&leads, false, &of),
            Err(fault) => {
                tracing::warn!(%fault, lease = of.lease, "the lease could not be read or renewed");
                if renewed.elapsed() >= give_up {
                    tell(&leads, false, &of);
                }
            }
        }
        let pause = tokio::time::sleep(retry);
        tokio::select! {
            () = &mut stop => break,
            () = pause => {}
        }
    }
    let led = *leads.borrow();
    tell(&leads, false, &of);
    if led
        && let Ok(Some(lease)) = cluster.get(&place).await
        && let Some(freed) = candidate.release(&lease)
        && let Err(fault) = cluster.replace(&place, &freed).await
    {
        tracing::debug!(%fault, "the lease could not be freed: it lapses");
    }
}

/// Whether the lease is ours after this look at it.
async fn attempt(
    cluster: &Cluster,
    place: &Place,
    candidate: &mut Candidate,
    now: Duration,
) -> Result<bool, Fault> {
    let read = cluster.get(place).await?;
    let stamp = format!("{:.6}", Timestamp::now());
    match candidate.look(read.as_ref(), now, &stamp) {
        Claim::Wait => Ok(false),
        Claim::Replace(lease) => cluster.replace(place, &lease).await.map(|_| true),
        Claim::Create(mut lease) => {
            if let Some(name) = lease.pointer_mut("/metadata").and_then(|m| m.as_object_mut()) {
                name.insert("name".to_owned(), place.name.clone().into());
            }
            let all = LEASES.all(&place.namespace);
            cluster.create(&all, &lease).await.map(|_| true)
        }
    }
}

fn tell(leads: &watch::Sender<bool>, now: bool, of: &Leadership) {
    leads.send_if_modified(|last| {
        let changes = *last != now;
        if changes {
            tracing::info!(leads = now, lease = of.lease, name = of.name, "leadership");
        }
        *last = now;
        changes
    });
}
