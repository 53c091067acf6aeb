//! How often a sender may come: a bucket of tokens per address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// As many addresses are told apart; when there are more, those that have been quiet longest are forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// Buckets of tokens: each refills at a rate, up to a burst.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_second: f64,
    burst: f64,
    buckets: Mutex<BTreeMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(per_second: f64, burst: f64) -> Self {
        Self {
            per_second,
            burst,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token; else says how long until there is one.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_ADDRESSES && !buckets.contains_key(&network(address)) {
            self.forget(&mut buckets, now);
        }
        let bucket = buckets.entry(network(address)).or_insert(Bucket {
            tokens: self.burst,
            at: now,
        });
        let tokens = self.refilled(bucket, now);
        *bucket = Bucket { tokens, at: now };
        if tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - tokens) / self.per_second))
    }

    fn refilled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + elapsed * self.per_second).min(self.burst)
    }

    /// Drops every full bucket: it says nothing that a new one would not. If none is full, drops the quietest tenth.
    fn forget(&self, buckets: &mut BTreeMap<IpAddr, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.refilled(bucket, now) < self.burst);
        if buckets.len() < MAX_ADDRESSES {
            return;
        }
        let mut by_age: Vec<(Instant, IpAddr)> = buckets.iter().map(|(ip, b)| (b.at, *ip)).collect();
        by_age.sort();
        for (_, address) in by_age.iter().take(MAX_ADDRESSES / 10) {
            buckets.remove(address);
        }
    }
}

/// One IPv6 customer has a network of addresses: they share a bucket.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let limiter = Limiter::new(2.0, 3.0);
        let (a, b) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let start = Instant::now();
        for _ in 0..3 {
            limiter.admit(a, start).unwrap();
        }
        assert_eq!(limiter.admit(a, start), Err(Duration::from_millis(500)));
        limiter.admit(b, start).unwrap();
        limiter.admit(a, start + Duration::from_millis(501)).unwrap();
        assert!(limiter.admit(a, start + Duration::from_millis(502)).is_err());
    }

    #[test]
    fn addresses_are_bounded_and_a_network_shares_a_bucket() {
        let limiter = Limiter::new(1.0, 2.0);
        let now = Instant::now();
        for n in 0..25_000_u32 {
            limiter.admit(IpAddr::V4(n.into()), now).unwrap();
        }
        assert!(limiter.buckets.lock().unwrap().len() <= MAX_ADDRESSES);
        let of = |text: &str| limiter.admit(text.parse().unwrap(), now);
        of("2001:db8::1").unwrap();
        of("2001:db8::2").unwrap();
        assert!(of("2001:db8::3").is_err());
        of("2001:db8:0:1::1").unwrap();
    }
}
