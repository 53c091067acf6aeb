//! What only looks random: requests, failures alone and in clusters, and other metrics.

use auspex_proto::observation::{Observation, Value};
use auspex_proto::{Decision, Timestamp};

use super::{Second, Stage};

/// Numbers that only look random: the same seed gives the same ones (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Within [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of `n` happen at this rate, by the gaps between them.
    pub fn of(&mut self, n: u64, rate: f64) -> u64 {
        if rate <= 0.0 || n == 0 {
            return 0;
        }
        if rate >= 1.0 {
            return n;
        }
        let (mut at, mut count) = (0.0, 0);
        loop {
            at += (1.0 - self.unit()).ln() / (-rate).ln_1p();
            at = at.floor() + 1.0;
            if at > n as f64 {
                return count;
            }
            count += 1;
        }
    }
}

/// How another metric behaves in stable and candidate.
#[derive(Debug, Clone, Copy)]
pub enum Extra {
    /// Means of a value per interval: both tracks swing together by a tenth, each by a twentieth.
    Gauge([f64; 2]),
    /// Milliseconds around 20, and 3 % that are this many times 100 to 200.
    Tail([f64; 2]),
    /// Shares of bad units among requests.
    Counts([f64; 2]),
}

fn latency(units: u64, factor: f64, chance: &mut Chance) -> Value {
    let bounds: Vec<f64> = (0..40).map(|k| 5.0 * 1.15_f64.powi(k)).collect();
    let (mut counts, mut sum) = (vec![0; bounds.len() + 1], 0.0);
    for _ in 0..units {
        let slow = chance.unit() < 0.03;
        let ms = if slow {
            factor * (100.0 + 100.0 * chance.unit())
        } else {
            20.0 * (0.4 * chance.normal()).exp()
        };
        counts[bounds.partition_point(|bound| *bound < ms)] += 1;
        sum += ms;
    }
    Value::Histogram { bounds, counts, sum }
}

impl Chance {
    /// Mean 0, variance 1, by the sum of twelve.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// How many of `n` are hit at this rate when causes hit `size` of them at once.
    pub fn clusters(&mut self, n: u64, rate: f64, size: u64) -> u64 {
        (self.of(n, rate / size as f64) * size).min(n)
    }
}

/// How a service and its candidate behave.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    pub rps: f64,
    pub stable: f64,
    pub candidate: f64,
    pub slow: Option<(f64, f64)>,
}

impl Stage {
    /// What both tracks report of a metric, of a track that served somebody.
    pub(super) fn observed(
        &mut self,
        name: &str,
        extra: Extra,
        units: [u64; 2],
        start: Timestamp,
    ) -> Vec<Observation> {
        let blank = self.batch(start, Second::default()).observations;
        let common = self.noise.normal();
        let mut out = Vec::new();
        for (at, seen) in blank.into_iter().enumerate().filter(|(at, _)| units[*at] > 0) {
            let noise = &mut self.noise;
            let value = match extra {
                Extra::Gauge(means) => Value::Gauge(means[at] * (1.0 + 0.05 * noise.normal() + 0.1 * common)),
                Extra::Tail(factors) => latency(units[at], factors[at], noise),
                Extra::Counts(rates) => Value::Counts {
                    bad: noise.of(units[at], rates[at]),
                    total: units[at],
                },
            };
            out.push(Observation {
                metric: name.to_owned(),
                value,
                ..seen
            });
        }
        out
    }

    /// A second of random requests at the present weight; the harm done in it, and what was said.
    pub fn chance(&mut self, nature: Nature, chance: &mut Chance) -> (u64, Vec<Decision>) {
        let total = chance.of(2 * nature.rps as u64, 0.5);
        let candidate = chance.of(total, f64::from(self.weight()) / 100.0);
        let stable = total - candidate;
        let bad = (
            chance.of(stable, nature.stable),
            chance.of(candidate, nature.candidate),
        );
        let slow = nature
            .slow
            .map(|(s, c)| (chance.of(stable, s), chance.of(candidate, c)));
        let said = self.second(Second {
            stable: (stable, bad.0),
            candidate: (candidate, bad.1),
            slow,
        });
        (bad.1, said)
    }
}
