//! One service in the data plane: where its requests go at this moment, and what they got.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use auspex_proto::Track;
use auspex_proto::decision::Affinity;
use http::HeaderMap;
use http::header::COOKIE;

use crate::aside::Aside;
use crate::link::Upstream;
use crate::split;
use crate::tally::Tally;

/// One service in the data plane.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its name, which salts the cohorts.
    pub(crate) service: String,
    pub(crate) tally: Tally,
    turn: AtomicU64,
    copies: AtomicU64,
    samples: AtomicU64,
    view: RwLock<Arc<View>>,
}

/// Where a service's requests go at this moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The candidate's share of what comes, 0..=100.
    pub(crate) weight: u8,
    pub(crate) stable: Arc<Upstream>,
    pub(crate) candidate: Option<Arc<Upstream>>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) slo: Option<Duration>,
    pub(crate) aside: Aside,
}

/// Where one request goes.
pub(crate) struct Choice {
    pub(crate) track: Track,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) slo: Option<Duration>,
    /// The cookie to set: its name, and the new cohort.
    pub(crate) cookie: Option<(String, String)>,
    /// Who gets a copy.
    pub(crate) copy: Option<Arc<Upstream>>,
    /// Whether it is sampled; `None`: as its sender says.
    pub(crate) sampled: Option<bool>,
}

impl Lane {
    /// `turn`: where its sequence begins, so that not every proxy sends its first requests the same way.
    pub(crate) fn new(service: String, turn: u64, view: View) -> Arc<Self> {
        Arc::new(Self {
            service,
            tally: Tally::default(),
            turn: AtomicU64::new(turn),
            copies: AtomicU64::new(turn),
            samples: AtomicU64::new(turn),
            view: RwLock::new(Arc::new(view)),
        })
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Where this request goes. `fresh` makes the id of a new cohort.
    pub(crate) fn choose(&self, headers: &HeaderMap, fresh: impl FnOnce() -> String) -> Choice {
        let view = self.view();
        let mut choice = Choice {
            track: Track::Stable,
            upstream: Arc::clone(&view.stable),
            slo: view.slo,
            cookie: None,
            copy: None,
            sampled: view
                .aside
                .sampled(|| self.samples.fetch_add(1, Ordering::Relaxed)),
        };
        let Some(candidate) = &view.candidate else {
            return choice;
        };
        if let Some(track) = view.aside.cohort(headers) {
            choice.track = track;
        } else if view.weight > 0 {
            self.by_weight(&view, headers, fresh, &mut choice);
        }
        if choice.track == Track::Candidate {
            choice.upstream = Arc::clone(candidate);
        } else if view
            .aside
            .is_copied(|| self.copies.fetch_add(1, Ordering::Relaxed))
        {
            choice.copy = Some(Arc::clone(candidate));
        }
        choice
    }

    fn by_weight(
        &self,
        view: &View,
        headers: &HeaderMap,
        fresh: impl FnOnce() -> String,
        choice: &mut Choice,
    ) {
        choice.track = match &view.affinity {
            Some(Affinity::Cookie(name)) => {
                let cookies = headers
                    .get_all(COOKIE)
                    .iter()
                    .filter_map(|value| value.to_str().ok());
                match cookies
                    .into_iter()
                    .find_map(|text| split::cohort_in_cookies(text, name))
                {
                    Some(cohort) => split::by_cohort(cohort.as_bytes(), &self.service, view.weight),
                    None => {
                        let cohort = fresh();
                        let track = split::by_cohort(cohort.as_bytes(), &self.service, view.weight);
                        choice.cookie = Some((name.clone(), cohort));
                        track
                    }
                }
            }
            Some(Affinity::Header(name)) => match headers.get(name) {
                Some(cohort) => split::by_cohort(cohort.as_bytes(), &self.service, view.weight),
                None => self.by_turn(view.weight),
            },
            None => self.by_turn(view.weight),
        };
    }

    fn by_turn(&self, weight: u8) -> Track {
        split::by_turn(self.turn.fetch_add(1, Ordering::Relaxed), weight)
    }
}
