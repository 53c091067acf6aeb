//! What Prometheus scrapes: requests and pods by version, as the sample service and kube-state-metrics tell of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// How a version serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Good,
    Bad,
}

impl Version {
    /// Percent of failed and of slow requests.
    fn rates(self) -> (u64, u64) {
        match self {
            Self::Good => (0, 1),
            Self::Bad => (20, 30),
        }
    }
}

#[derive(Debug, Default, Clone)]
struct Served {
    good: u64,
    bad: u64,
    slow: u64,
    pods: (u64, u64),
}

#[derive(Debug, Default)]
struct Inner {
    /// What runs behind `stable` and behind `canary`.
    places: [Option<(String, Version)>; 2],
    served: BTreeMap<String, Served>,
}

/// What runs behind the two subsets, and what it has served.
#[derive(Debug, Default, Clone)]
pub(crate) struct Metrics(Arc<Mutex<Inner>>);

impl Metrics {
    /// Behind `stable`, and behind `canary`.
    pub(crate) fn set(&self, stable: (&str, Version), canary: (&str, Version)) {
        let place = |(revision, version): (&str, Version)| Some((revision.to_owned(), version));
        self.0.lock().unwrap().places = [place(stable), place(canary)];
    }

    fn of(&self, place: usize, change: impl FnOnce(&mut Served, Version)) {
        let mut inner = self.0.lock().unwrap();
        if let Some((revision, version)) = inner.places[place].clone() {
            change(inner.served.entry(revision).or_default(), version);
        }
    }

    /// Users have asked a place so often.
    pub(super) fn serve(&self, place: usize, requests: u64) {
        self.of(place, |served, version| {
            let (bad, slow) = version.rates();
            served.bad += requests * bad / 100;
            served.good += requests - requests * bad / 100;
            served.slow += requests * slow / 100;
        });
    }

    /// So many pods there are in a place, and so many of them are ready.
    pub(super) fn pods(&self, place: usize, all: u64, ready: u64) {
        self.of(place, |served, _| served.pods = (all, ready));
    }

    fn page(&self) -> String {
        let mut page = String::new();
        for (version, served) in &self.0.lock().unwrap().served {
            let Served {
                good,
                bad,
                slow,
                pods,
            } = served;
            let of = |more: &str| format!("{{version=\"{version}\",{more}}}");
            let all = good + bad;
            writeln!(page, "http_requests_total{} {good}", of("code=\"200\"")).unwrap();
            writeln!(page, "http_requests_total{} {bad}", of("code=\"500\"")).unwrap();
            for (le, count) in [("0.1", all - slow), ("0.5", all), ("+Inf", all)] {
                let of = of(&format!("le=\"{le}\""));
                writeln!(page, "http_request_duration_seconds_bucket{of} {count}").unwrap();
            }
            for pod in 0..pods.0 {
                let of = of(&format!("condition=\"true\",pod=\"{version}-{pod}\""));
                writeln!(page, "kube_pod_status_ready{of} {}", u64::from(pod < pods.1)).unwrap();
            }
        }
        page
    }

    /// Serves them on loopback; answers `host:port`.
    pub(super) async fn open(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let metrics = self.clone();
        let router = axum::Router::new().route(
            "/metrics",
            axum::routing::get(move || std::future::ready(metrics.page())),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}
