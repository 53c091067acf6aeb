//! Deployments and incidents of each service.

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::Timestamp;
use auspex_proto::event::{Deployment, DeploymentState, DeploymentStatus, Incident};
use serde::{Deserialize, Serialize};

use super::{key, make_room};
use crate::streams::Ending;

/// How many services are remembered.
const SERVICES: usize = 32;
/// How many deployments of a service; 45 bytes each.
const PER_SERVICE: usize = 32;
/// How far back rates look.
const WINDOW: Duration = Duration::from_secs(90 * 86_400);
/// How many incidents are remembered; 30 bytes each.
const INCIDENTS: usize = 64;

/// Deployments by hash of the service and of their id, and incidents by hash of their id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deployments {
    #[serde(rename = "s")]
    services: BTreeMap<u64, BTreeMap<u64, Deployed>>,
    #[serde(rename = "i")]
    incidents: BTreeMap<u64, Episode>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Deployed {
    /// When it was asked for; until that is known, when it was first heard of.
    #[serde(rename = "t")]
    at: Timestamp,
    #[serde(rename = "a")]
    announced: bool,
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    ended: Option<(End, Timestamp)>,
}

/// How a deployment ended; the worse word counts, whatever the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum End {
    #[serde(rename = "s")]
    Success,
    #[serde(rename = "f")]
    Failure,
    #[serde(rename = "r")]
    RolledBack,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Episode {
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    service: Option<u64>,
    #[serde(rename = "t")]
    used: Timestamp,
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    opened: Option<Timestamp>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    resolved: Option<Timestamp>,
}

/// How deployments went, as known at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Record {
    /// How many came to an end.
    pub concluded: usize,
    /// Share that failed or were rolled back, 0..=1; `None` without any.
    pub failure_rate: Option<f64>,
    /// Share that were rolled back, 0..=1; `None` without any.
    pub rollback_rate: Option<f64>,
    /// Hours since the last failure or rollback ended.
    pub hours_since_failure: Option<f64>,
    /// Hours since the deployment before was asked for.
    pub hours_since_deployment: Option<f64>,
}

fn end(state: DeploymentState) -> Option<End> {
    match state {
        DeploymentState::Success => Some(End::Success),
        DeploymentState::Failure | DeploymentState::Error => Some(End::Failure),
        DeploymentState::RolledBack => Some(End::RolledBack),
        DeploymentState::Pending | DeploymentState::InProgress | DeploymentState::Inactive => None,
    }
}

impl Deployments {
    /// Whether a deployment has come to an end in this state.
    #[must_use]
    pub fn concludes(state: DeploymentState) -> bool {
        end(state).is_some()
    }

    /// Notes that a deployment was asked for; `false` when that was known.
    pub fn ask(&mut self, deployment: &Deployment, at: Timestamp) -> bool {
        let deployed = self.entry(deployment.service.as_str(), &deployment.deployment_id, at);
        let new = !deployed.announced;
        if new {
            deployed.announced = true;
            deployed.at = at;
        }
        new
    }

    /// Notes how a deployment goes; answers how it ended when that is news.
    pub fn status(&mut self, status: &DeploymentStatus, at: Timestamp) -> Option<Ending> {
        let end = end(status.state)?;
        let since_failure = status
            .service
            .as_ref()
            .and_then(|service| self.since_failure(service.as_str(), &status.deployment_id, at));
        let deployed = match &status.service {
            Some(service) => Some(self.entry(service.as_str(), &status.deployment_id, at)),
            None => {
                let id = key(&status.deployment_id);
                self.services.values_mut().find_map(|all| all.get_mut(&id))
            }
        };
        let deployed = deployed?;
        let worse = match deployed.ended {
            None => true,
            // The first time it was said counts.
            Some((old, when)) => end > old || (end == old && at < when),
        };
        // Said earlier than it was known is no news of how it ended.
        let news = deployed.ended.is_none_or(|(old, _)| end > old);
        if worse {
            deployed.ended = Some((end, at));
        }
        news.then(|| Ending {
            failed: end != End::Success,
            rolled_back: end == End::RolledBack,
            minutes: deployed
                .announced
                .then(|| at.since(deployed.at).as_secs_f64() / 60.0),
            since_failure,
        })
    }

    /// Minutes since the last conclusion of another deployment of the service, when that was a failure.
    fn since_failure(&self, service: &str, except: &str, at: Timestamp) -> Option<f64> {
        let except = key(except);
        let all = self.services.get(&key(service))?.iter();
        let ended = all
            .filter(|(id, _)| **id != except)
            .filter_map(|(_, deployed)| deployed.ended);
        let (end, when) = ended
            .filter(|(_, when)| *when <= at)
            .max_by_key(|(_, when)| *when)?;
        (end != End::Success).then(|| at.since(when).as_secs_f64() / 60.0)
    }

    fn entry(&mut self, service: &str, id: &str, at: Timestamp) -> &mut Deployed {
        let service = key(service);
        if !self.services.contains_key(&service) {
            make_room(&mut self.services, SERVICES, |all| {
                all.values().map(|d| d.at).max().unwrap_or_default()
            });
        }
        let all = self.services.entry(service).or_default();
        let id = key(id);
        if !all.contains_key(&id) {
            make_room(all, PER_SERVICE, |deployed| deployed.at);
        }
        all.entry(id).or_insert_with(|| Deployed {
            at,
            ..Deployed::default()
        })
    }

    /// How deployments of a service (of all, when `None`) had gone at a time, the one with this id left out.
    #[must_use]
    pub fn record(&self, service: Option<&str>, except: Option<&str>, at: Timestamp) -> Record {
        let (service, except) = (service.map(key), except.map(key));
        let services = self
            .services
            .iter()
            .filter(|(name, _)| service.is_none_or(|s| s == **name));
        let known = services
            .flat_map(|(_, all)| all)
            .filter(|(id, _)| Some(**id) != except)
            .map(|(_, d)| d);
        let known = known.filter(|d| d.at <= at && at.since(d.at) <= WINDOW);
        let (mut record, mut failed, mut rolled_back) = (Record::default(), 0_usize, 0_usize);
        let hours = |since: Timestamp| at.since(since).as_secs_f64() / 3_600.0;
        let nearer = |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old.min(new)));
        for deployed in known {
            record.hours_since_deployment = nearer(record.hours_since_deployment, hours(deployed.at));
            let Some((end, when)) = deployed.ended.filter(|(_, when)| *when <= at) else {
                continue;
            };
            record.concluded += 1;
            if end != End::Success {
                failed += 1;
                record.hours_since_failure = nearer(record.hours_since_failure, hours(when));
            }
            rolled_back += usize::from(end == End::RolledBack);
        }
        let share = |part: usize| (record.concluded > 0).then(|| part as f64 / record.concluded as f64);
        record.failure_rate = share(failed);
        record.rollback_rate = share(rolled_back);
        record
    }

    /// Notes that an incident opened or closed.
    pub fn incident(&mut self, incident: &Incident, at: Timestamp) {
        let id = key(&incident.incident_id);
        if !self.incidents.contains_key(&id) {
            make_room(&mut self.incidents, INCIDENTS, |episode| episode.used);
        }
        let episode = self.incidents.entry(id).or_default();
        episode.used = episode.used.max(at);
        episode.service = episode
            .service
            .or(incident.service.as_ref().map(|s| key(s.as_str())));
        let slot = if incident.resolved {
            &mut episode.resolved
        } else {
            &mut episode.opened
        };
        *slot = Some(slot.map_or(at, |old| old.min(at)));
    }

    /// How many incidents were open at a time: those of the service and those of none (all, when `None` is asked).
    #[must_use]
    pub fn open_incidents(&self, service: Option<&str>, at: Timestamp) -> usize {
        let service = service.map(key);
        let bears = |e: &&Episode| service.is_none() || e.service.is_none() || e.service == service;
        let open = |e: &&Episode| e.opened.is_some_and(|o| o <= at) && e.resolved.is_none_or(|r| r > at);
        self.incidents.values().filter(bears).filter(open).count()
    }
}
