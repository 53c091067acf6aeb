//! A sample service: a small shop over real sockets, each version with its own habits.
//!
//! A version knows its own habits and nothing of rollouts. Habits are repeatable: the n-th request of a version meets the
//! same fate in every run.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The header by which a version says which one it is.
pub const VERSION_HEADER: &str = "x-version";

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Habits {
    /// Share of requests that fail, 0..=1.
    pub errors: f64,
    /// Usual time to an answer.
    pub usual: Duration,
    /// Share of requests that take `slow` instead, 0..=1.
    pub slow_share: f64,
    /// Time of a slow answer.
    pub slow: Duration,
}

impl Habits {
    /// A version as it should be: quick, and an error now and then as every service has them.
    #[must_use]
    pub fn healthy() -> Self {
        Self {
            errors: 0.002,
            usual: Duration::from_millis(3),
            slow_share: 0.001,
            slow: Duration::from_millis(400),
        }
    }

    /// A version with a regression: every fifth request fails, and many are slow.
    #[must_use]
    pub fn broken() -> Self {
        Self {
            errors: 0.2,
            usual: Duration::from_millis(12),
            slow_share: 0.2,
            slow: Duration::from_millis(400),
        }
    }
}

/// A running version; it ends with this value.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Shop {
    /// Starts a version on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn open(version: &str, habits: Habits) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let version: Arc<str> = version.into();
        let served = Arc::new(Served::default());
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (version, served) = (Arc::clone(&version), Arc::clone(&served));
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let (version, served) = (Arc::clone(&version), Arc::clone(&served));
                    async move {
                        if request.uri().path() == "/metrics" {
                            return Ok(Response::new(Full::new(Bytes::from(served.shown(&version)))));
                        }
                        answer(version, habits, &served).await
                    }
                });
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    // A client that goes away in the middle is no fault of the shop's.
                    http.serve_connection(TokioIo::new(stream), service).await.ok();
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, task })
    }

    /// Where it is found.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a version has answered, for those who scrape it.
#[derive(Debug, Default)]
struct Served {
    turns: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
}

impl Served {
    /// In the format of Prometheus.
    fn shown(&self, version: &str) -> String {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        format!(
            "# TYPE shop_requests_total counter\nshop_requests_total{{version=\"{version}\",code=\"200\"}} {}\n\
             shop_requests_total{{version=\"{version}\",code=\"500\"}} {}\n",
            count(&self.good),
            count(&self.bad)
        )
    }
}

async fn answer(
    version: Arc<str>,
    habits: Habits,
    served: &Served,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let turn = served.turns.fetch_add(1, Ordering::Relaxed);
    let is_slow = chance(turn, 1) < habits.slow_share;
    tokio::time::sleep(if is_slow { habits.slow } else { habits.usual }).await;
    let failed = chance(turn, 2) < habits.errors;
    let counter = if failed { &served.bad } else { &served.good };
    counter.fetch_add(1, Ordering::Relaxed);
    let (status, body) = if failed {
        (StatusCode::INTERNAL_SERVER_ERROR, "{\"error\":\"out of stock\"}")
    } else {
        (StatusCode::OK, "{\"order\":\"placed\"}")
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    if let Ok(value) = http::HeaderValue::from_str(&version) {
        response.headers_mut().insert(VERSION_HEADER, value);
    }
    Ok(response)
}

/// A number within 0..1 that looks drawn, the same for the same turn and salt (splitmix64).
#[allow(clippy::cast_precision_loss, reason = "53 bits are kept")]
fn chance(turn: u64, salt: u64) -> f64 {
    let mut z = turn
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(salt.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_kept_and_repeatable() {
        let failed = |rate: f64| (0..10_000).filter(|turn| chance(*turn, 2) < rate).count();
        assert_eq!(failed(0.0), 0);
        assert_eq!(failed(1.0), 10_000);
        assert!((1_800..2_200).contains(&failed(0.2)), "{}", failed(0.2));
        assert!((10..35).contains(&failed(0.002)), "{}", failed(0.002));
    }

    #[tokio::test]
    async fn a_version_says_which_one_it_is() {
        let habits = Habits {
            errors: 1.0,
            slow_share: 0.0,
            ..Habits::healthy()
        };
        let shop = Shop::open("v2", habits).await.unwrap();
        let answer = reqwest::get(shop.url()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 500);
        assert_eq!(answer.headers()[VERSION_HEADER], "v2");
    }
}
