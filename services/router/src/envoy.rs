//! Envoy, by its admin address: weights of clusters as runtime keys.
//!
//! Both weights go into one `runtime_modify`, with the number of the write beside them, so a flip has no moment in between. What was set so
//! is gone after a restart of Envoy, and the number with it: then it is set anew.

mod admin;
mod line;

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_proto::intent::{By, Cohort};
use futures::future::{BoxFuture, try_join_all};
use serde::{Deserialize, Serialize};
use url::Url;

use self::admin::{Counts, Runtime, Stats};
use self::line::Line;
use crate::registry::Site;
use crate::router::{
    Applied, Capabilities, Fault, Fence, Intent, Mark, Observed, Router, Shares, Verified, agree,
};

/// `[router.routes.envoy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Admin addresses, `http://host:port`, of Envoys with a runtime layer `admin_layer`. Several: all must hold the weight.
    pub admin: Vec<String>,
    /// Where stable is.
    pub stable: Place,
    /// Where the candidate is.
    pub candidate: Place,
    /// Instead of two weights: the key of the `runtime_fraction` of a route to the candidate's place, before the one to
    /// stable's.
    pub fraction_key: String,
    /// Routes of the configuration by which cohorts are told.
    pub cohorts: Vec<Told>,
}

/// One of the two places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// The cluster.
    pub cluster: String,
    /// The runtime key of its weight: `runtime_key_prefix` of the weighted clusters, a dot, the cluster.
    pub key: String,
    /// The key of the `runtime_fraction` of a mirror policy that copies requests to it; empty: there is none.
    pub mirror_key: String,
}

/// A route of Envoy's that matches a header or cookie and leads to one place, behind a `runtime_fraction` that is 0 by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Told {
    /// The header it matches; empty: a cookie.
    pub header: String,
    /// The cookie it matches.
    pub cookie: String,
    /// The value it matches; empty: any.
    pub value: String,
    /// Whether it leads to the place that is configured as stable; else to the candidate's.
    pub stable: bool,
    /// The key of its `runtime_fraction`.
    pub key: String,
}

/// One service at one Envoy, or at several.
#[derive(Debug)]
pub struct Envoy {
    settings: Settings,
    admins: Vec<Url>,
    client: reqwest::Client,
    limit: Duration,
    mark_key: String,
    counts: Counts,
}

impl Settings {
    /// Every mistake.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.admin.is_empty() {
            found.push("admin: is empty".to_owned());
        }
        for admin in &self.admin {
            if let Err(fault) = address(admin) {
                found.push(format!("admin: {fault}"));
            }
        }
        let places = [("stable", &self.stable), ("candidate", &self.candidate)];
        for (name, place) in places {
            if place.cluster.is_empty() {
                found.push(format!("{name}.cluster: is empty"));
            }
            if self.fraction_key.is_empty() && place.key.is_empty() {
                found.push(format!("{name}.key: is empty, and so is fraction_key"));
            }
        }
        if self.stable.cluster == self.candidate.cluster {
            found.push("candidate.cluster: is stable's too".to_owned());
        }
        for told in &self.cohorts {
            if told.key.is_empty() || told.header.is_empty() == told.cookie.is_empty() {
                found.push("cohorts: each wants a key, and one of header and cookie".to_owned());
            }
        }
        found
    }

    fn places(&self, swapped: bool) -> (&Place, &Place) {
        if swapped {
            (&self.candidate, &self.stable)
        } else {
            (&self.stable, &self.candidate)
        }
    }
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|fault| format!("{text:?} is not a URL: {fault}"))?;
    if url.scheme() != "http" || url.host().is_none() || !url.username().is_empty() {
        return Err(format!("{text:?} is not http://host:port"));
    }
    Ok(url)
}

impl Told {
    /// Whether a cohort is told by this route, as the places are now.
    fn tells(&self, cohort: &Cohort, swapped: bool) -> bool {
        let same = match &cohort.by {
            By::Header(m) => m.name.eq_ignore_ascii_case(&self.header) && m.value == self.value,
            By::Cookie(m) => m.name == self.cookie && m.value == self.value,
            By::User(_) => false,
        };
        same && cohort.stable == (self.stable != swapped)
    }
}

impl Envoy {
    /// The route of this name.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(name: &str, settings: &Settings, site: Site) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(site.timeout)
            .connect_timeout(site.timeout)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            settings: settings.clone(),
            admins: settings
                .admin
                .iter()
                .filter_map(|admin| address(admin).ok())
                .collect(),
            client,
            limit: site.timeout,
            mark_key: format!("auspex.{name}.write"),
            counts: Counts::default(),
        })
    }

    /// Every key with its value.
    fn keys(&self, intent: &Intent) -> BTreeMap<String, String> {
        let (stable, candidate) = self.settings.places(intent.swapped);
        let shares = Shares::of(intent.weight);
        let mut keys = BTreeMap::new();
        if self.settings.fraction_key.is_empty() {
            keys.insert(stable.key.clone(), shares.stable.to_string());
            keys.insert(candidate.key.clone(), shares.candidate.to_string());
        } else {
            let there = if intent.swapped {
                shares.stable
            } else {
                shares.candidate
            };
            keys.insert(self.settings.fraction_key.clone(), there.to_string());
        }
        for told in &self.settings.cohorts {
            let on = intent
                .cohorts
                .iter()
                .any(|cohort| told.tells(cohort, intent.swapped));
            keys.insert(told.key.clone(), if on { "100" } else { "0" }.to_owned());
        }
        for place in [stable, candidate]
            .into_iter()
            .filter(|place| !place.mirror_key.is_empty())
        {
            let copies = if place.cluster == candidate.cluster {
                intent.mirror
            } else {
                0
            };
            keys.insert(place.mirror_key.clone(), copies.to_string());
        }
        keys
    }

    async fn bring(&self, admin: &Url, intent: &Intent, fence: &dyn Fence) -> Result<Observed, Fault> {
        let mut keys = self.keys(intent);
        keys.insert(self.mark_key.clone(), intent.mark.to_string());
        let mut url = join(admin, "runtime_modify");
        url.query_pairs_mut().extend_pairs(&keys);
        let line = Line::open(&url, self.limit).await?;
        fence.pass().await?;
        line.post(&url).await?;
        // Envoy answers its admin address one by one, and other services wait to be moved: no more is asked than has changed.
        let runtime = self.runtime(admin).await?;
        let stats = match self.counts.last(admin) {
            Some(stats) => stats,
            None => self.stats(admin).await?,
        };
        Ok(self.observed(admin, intent, (&runtime, &stats)))
    }

    async fn look(&self, admin: &Url, intent: &Intent) -> Result<Observed, Fault> {
        let (runtime, stats) = (self.runtime(admin).await?, self.stats(admin).await?);
        let mut observed = self.observed(admin, intent, (&runtime, &stats));
        let (stable, candidate) = self.settings.places(intent.swapped);
        observed.seen = self
            .counts
            .since(admin, (&stable.cluster, &candidate.cluster), &stats);
        Ok(observed)
    }

    async fn runtime(&self, admin: &Url) -> Result<Runtime, Fault> {
        let mut url = join(admin, "runtime");
        url.query_pairs_mut().append_pair("format", "json");
        Runtime::parse(&self.ask(self.client.get(url)).await?)
    }

    fn observed(&self, admin: &Url, intent: &Intent, (runtime, stats): (&Runtime, &Stats)) -> Observed {
        self.counts.keep(admin, stats);
        let (stable, candidate) = self.settings.places(intent.swapped);
        let mut observed = Observed {
            shares: self.shares(runtime, intent.swapped),
            mark: runtime.number(&self.mark_key).map_or(Mark::Missing, Mark::Write),
            beside: self.beside(runtime, intent),
            stable: stats.capacity(&stable.cluster),
            candidate: stats.capacity(&candidate.cluster),
            ..Observed::default()
        };
        if intent.mirror > 0 && candidate.mirror_key.is_empty() {
            observed.note = format!("no mirror policy leads to {}", candidate.cluster);
        }
        observed
    }

    fn shares(&self, runtime: &Runtime, swapped: bool) -> Option<Shares> {
        let whole = |key: &str| u32::try_from(runtime.number(key)?).ok();
        let (stable, candidate) = self.settings.places(swapped);
        if self.settings.fraction_key.is_empty() {
            return Some(Shares {
                stable: whole(&stable.key)?,
                candidate: whole(&candidate.key)?,
            });
        }
        let there = whole(&self.settings.fraction_key)?.min(100);
        let (stable, candidate) = if swapped {
            (there, 100 - there)
        } else {
            (100 - there, there)
        };
        Some(Shares { stable, candidate })
    }

    /// Whether cohorts and copies are as intended; a key that is not set is at its default, which is 0.
    fn beside(&self, runtime: &Runtime, intent: &Intent) -> Option<bool> {
        let weights = [
            &self.settings.stable.key,
            &self.settings.candidate.key,
            &self.settings.fraction_key,
        ];
        let keys = self.keys(intent);
        let mut beside = keys.iter().filter(|(key, _)| !weights.contains(key)).peekable();
        beside.peek()?;
        Some(beside.all(|(key, value)| runtime.number(key).unwrap_or(0).to_string() == *value))
    }

    async fn stats(&self, admin: &Url) -> Result<Stats, Fault> {
        let mut url = join(admin, "stats");
        let filter = admin::filter(&[&self.settings.stable.cluster, &self.settings.candidate.cluster]);
        url.query_pairs_mut()
            .append_pair("format", "json")
            .append_pair("filter", &filter);
        Stats::parse(&self.ask(self.client.get(url)).await?)
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<String, Fault> {
        let away = |fault: reqwest::Error| {
            let mut reason = fault.without_url().to_string();
            reason.insert_str(0, "Envoy's admin address: ");
            Fault::Away(reason)
        };
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let body = answer.text().await.map_err(away)?;
        match status.as_u16() {
            200..=299 => Ok(body),
            500..=599 => Err(Fault::Away(format!("Envoy answers {status}: {}", body.trim()))),
            _ => Err(Fault::Refused(format!("Envoy answers {status}: {}", body.trim()))),
        }
    }
}

fn join(admin: &Url, path: &str) -> Url {
    let mut url = admin.clone();
    url.set_path(&format!("{}/{path}", admin.path().trim_end_matches('/')));
    url
}

impl Router for Envoy {
    fn kind(&self) -> &'static str {
        "envoy"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: true,
            header: self.settings.cohorts.iter().any(|told| !told.header.is_empty()),
            cookie: self.settings.cohorts.iter().any(|told| !told.cookie.is_empty()),
            user: false,
            mirror: !self.settings.candidate.mirror_key.is_empty(),
            scale: false,
            atomic: true,
            verified_by: Some("runtime values read back; requests per cluster beside them"),
        }
    }

    fn cannot(&self, cohort: &Cohort, swapped: bool) -> Option<String> {
        let told = self
            .settings
            .cohorts
            .iter()
            .any(|told| told.tells(cohort, swapped));
        (!told).then(|| "no route of it is configured (envoy.cohorts)".to_owned())
    }

    fn apply<'a>(
        &'a self,
        intent: &'a Intent,
        fence: &'a dyn Fence,
    ) -> BoxFuture<'a, Result<Applied, Fault>> {
        Box::pin(async move {
            let all = self.admins.iter().map(|admin| self.bring(admin, intent, fence));
            let observed = agree(&try_join_all(all).await?, intent);
            Ok(Applied {
                verified: Verified::by(&observed, intent),
                observed: Some(observed),
            })
        })
    }

    fn read<'a>(&'a self, intent: &'a Intent) -> BoxFuture<'a, Result<Observed, Fault>> {
        Box::pin(async move {
            let all = self.admins.iter().map(|admin| self.look(admin, intent));
            Ok(agree(&try_join_all(all).await?, intent))
        })
    }
}

#[cfg(test)]
mod tests;
