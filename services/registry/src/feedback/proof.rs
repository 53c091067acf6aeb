//! Whether what recalibration says takes the place of what the version says: proven first, watched then, given up when it no
//! longer helps.
//!
//! What is tried is an *offer*: a slope, an offset and a range that stand still for some outcomes. A score is held to the offer
//! that stood when it was made, so that nothing is compared with what was not known then, however late its outcome comes.
//!
//! *Not served*: a betting test (`auspex-judge`, `pairs`), which may be looked at after each outcome. What is bet on is how much
//! likelier the recalibration held what happened than the version did: were the version right, or the recalibration off the
//! other way, nobody would get rich by it. A stake of 1 is the likelihood ratio, whose logarithm is the lead in log-loss; that
//! lead must be there too, so that what goes the right way but too far is not served. When the world changes the evidence is
//! begun anew, and the k-th try must reach `k (k + 1) / alpha`: over all tries together a version that is right is ever overruled
//! with a probability of at most `alpha`.
//!
//! *Served*: the same the other way round, begun anew whenever nothing speaks against what is served, so that long merit hides no
//! change; at a thousand to one the version is read as it is again. What is right is taken back no sooner than once in a thousand
//! outcomes, on average.

use auspex_judge::pairs::{Gains, PairTest};
use auspex_proto::{Recalibration, Timestamp};
use serde::{Deserialize, Serialize};

use super::online::Online;
use crate::config::FeedbackConfig;

/// Outcomes for which an offer stands.
const STANDS: u64 = 20;
/// Evidence by which what is served is taken back.
const RUN: f64 = 1_000.0;
/// Probabilities are kept off 0 and 1 by this.
pub(super) const LEAST: f64 = 0.001;

/// How a recalibration stands. About 300 bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proof {
    /// What is tried, or served.
    pub offer: Option<Recalibration>,
    /// Since when it is served; `None`: it is not.
    pub since: Option<Timestamp>,
    /// Times that the evidence was begun anew.
    tries: u64,
    /// Outcomes since the offer was made.
    stood: u64,
    /// Changes of the world that are known of.
    drifts: u64,
    /// For it while it is not served, against it while it is.
    test: PairTest,
    /// By how much the log-loss of it was the lower over the same outcomes, in nats.
    lead: f64,
    /// Logarithm of the evidence when it was proven.
    proven: f64,
}

/// An outcome, and what was said of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// By the version itself.
    pub raw: f64,
    /// By its recalibration as it stood then; `None`: there was none.
    pub told: Option<f64>,
    /// What came of it.
    pub failed: bool,
    /// For how many of its kind it stands.
    pub weight: f64,
}

/// What an outcome has turned.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It is proven and served from now on.
    Serves {
        /// Logarithm of the evidence.
        log_e: f64,
    },
    /// What is served has learnt.
    Renewed,
    /// It is served no longer.
    Returns(Back),
}

/// Why a version is read as it is again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Back {
    /// The version tells more by itself; logarithm of the evidence.
    Worse(f64),
    /// Nothing has been heard for longer than an outcome is waited for.
    Stale,
    /// Figures of newer versions have taken its place.
    Forgotten,
}

impl Proof {
    /// What it would make of a probability; `None` before there is an offer.
    #[must_use]
    pub fn told(&self, raw: f64) -> Option<f64> {
        self.offer.map(|offer| offer.read(raw))
    }

    /// Logarithm of the evidence: for it while it is not served, against it while it is.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.test.evidence().log_e_better
    }

    /// Notes an outcome that `online` has learnt, and says what follows.
    pub fn absorb(
        &mut self,
        outcome: &Compared,
        online: &Online,
        config: &FeedbackConfig,
        now: Timestamp,
    ) -> Option<Turn> {
        self.compare(outcome);
        self.stood += 1;
        let changed = self.drifts != online.drifts;
        self.drifts = online.drifts;
        let renewed = changed || self.stood >= STANDS || self.offer.is_none();
        if renewed && let Some(offer) = online.offer() {
            self.offer = Some(Recalibration {
                log_e: self.proven,
                ..offer
            });
            self.stood = 0;
        }
        if self.since.is_some() {
            return self.doubt().or(renewed.then_some(Turn::Renewed));
        }
        if changed {
            self.begin();
        }
        self.prove(config, now)
    }

    /// Bets on what is to be shown: on the recalibration while it is not served, on the version while it is.
    fn compare(&mut self, outcome: &Compared) {
        let Some(told) = outcome.told else { return };
        let (raw, told) = (kept(outcome.raw), kept(told));
        let (over, under) = match self.since {
            None => (told, raw),
            Some(_) => (raw, told),
        };
        let gains = Gains {
            failed: outcome.weight * (over / under - 1.0),
            passed: outcome.weight * ((1.0 - over) / (1.0 - under) - 1.0),
        };
        self.test.absorb(gains, outcome.failed);
        let ratio = if outcome.failed {
            told / raw
        } else {
            (1.0 - told) / (1.0 - raw)
        };
        self.lead += outcome.weight * ratio.ln();
    }

    fn prove(&mut self, config: &FeedbackConfig, now: Timestamp) -> Option<Turn> {
        let evidence = self.test.evidence();
        let tries = (self.tries + 1) as f64;
        let wanted = (tries * (tries + 1.0) / config.recalibration_alpha).ln();
        let proven = evidence.samples >= config.recalibration_least
            && evidence.log_e_better >= wanted
            && self.lead > 0.0;
        let offer = self.offer.as_mut().filter(|_| proven)?;
        offer.log_e = evidence.log_e_better;
        self.proven = evidence.log_e_better;
        self.since = Some(now);
        self.rest();
        Some(Turn::Serves {
            log_e: evidence.log_e_better,
        })
    }

    fn doubt(&mut self) -> Option<Turn> {
        let log_e = self.log_e();
        if log_e >= RUN.ln() && self.lead < 0.0 {
            return self.give_up(Back::Worse(log_e));
        }
        if log_e <= 0.0 {
            self.rest();
        }
        None
    }

    /// The version is read as it is again, when it is not anyway; proof begins anew.
    pub fn give_up(&mut self, why: Back) -> Option<Turn> {
        self.since.take()?;
        self.proven = 0.0;
        self.begin();
        Some(Turn::Returns(why))
    }

    fn begin(&mut self) {
        self.tries += 1;
        self.rest();
    }

    fn rest(&mut self) {
        (self.test, self.lead) = (PairTest::default(), 0.0);
    }
}

/// A probability kept off 0 and 1, so that one certain mistake does not decide for good.
fn kept(p: f64) -> f64 {
    p.clamp(LEAST, 1.0 - LEAST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A version whose word is held against its recalibration, with every outcome known `delay` scores later.
    struct World {
        online: Online,
        proof: Proof,
        waiting: std::collections::VecDeque<(f64, Option<f64>, bool)>,
        seed: u64,
        /// Outcomes, turns and how often it was served at a score.
        turns: Vec<(u64, Turn)>,
        scored: u64,
        /// Squared errors of the version, of what was served, and of the later rate alone.
        errors: (f64, f64),
        failures: f64,
    }

    impl World {
        fn new(seed: u64) -> Self {
            Self {
                online: Online::default(),
                proof: Proof::default(),
                waiting: std::collections::VecDeque::new(),
                seed,
                turns: Vec::new(),
                scored: 0,
                errors: (0.0, 0.0),
                failures: 0.0,
            }
        }

        fn chance(&mut self) -> f64 {
            self.seed = self
                .seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Scores, of which the log-odds of failure are off by `shift`.
        fn play(&mut self, scores: u64, shift: f64, delay: usize) {
            let config = FeedbackConfig::default();
            for _ in 0..scores {
                let z = -0.9 + 2.2 * (self.chance() + self.chance() + self.chance() - 1.5);
                let p = 1.0 / (1.0 + (-z).exp());
                let failed = self.chance() < 1.0 / (1.0 + (-(z + shift)).exp());
                let y = if failed { 1.0 } else { 0.0 };
                let told = self.proof.told(p);
                let served = told.filter(|_| self.proof.since.is_some()).unwrap_or(p);
                self.errors.0 += (p - y) * (p - y);
                self.errors.1 += (served - y) * (served - y);
                self.failures += y;
                self.scored += 1;
                self.waiting.push_back((p, told, failed));
                if self.waiting.len() <= delay {
                    continue;
                }
                let Some((p, told, failed)) = self.waiting.pop_front() else {
                    continue;
                };
                self.online.learn(p, failed, 1.0);
                let outcome = Compared {
                    raw: p,
                    told,
                    failed,
                    weight: 1.0,
                };
                let turn = self.proof.absorb(&outcome, &self.online, &config, Timestamp(1));
                if let Some(turn) = turn.filter(|turn| *turn != Turn::Renewed) {
                    self.turns.push((self.scored, turn));
                }
            }
        }

        fn serves(&self) -> bool {
            self.proof.since.is_some()
        }
    }

    #[test]
    fn when_failures_halve_it_is_served_and_what_is_served_stays_below_the_base_rate() {
        for seed in 1..=20 {
            let mut world = World::new(seed);
            world.play(1_200, -1.1, 40);
            let n = world.scored as f64;
            let rate = world.failures / n;
            let (raw, served) = (world.errors.0 / n, world.errors.1 / n);
            let base = rate * (1.0 - rate);
            assert!(world.serves(), "{seed}: {:?}", world.proof);
            // From the first score on, the time without proof included.
            assert!(served < raw && served < base, "{seed}: {served} {raw} {base}");
            // Once it has settled: the version alone is worse than the rate, what is served better.
            (world.errors, world.failures, world.scored) = ((0.0, 0.0), 0.0, 0);
            world.play(3_000, -1.1, 40);
            let n = world.scored as f64;
            let rate = world.failures / n;
            let (raw, served, base) = (world.errors.0 / n, world.errors.1 / n, rate * (1.0 - rate));
            assert!(raw > base && served < base, "{seed}: {served} {raw} {base}");
        }
    }

    #[test]
    fn a_version_that_is_right_is_next_to_never_overruled() {
        let overruled = (1..=300)
            .filter(|seed| {
                let mut world = World::new(*seed);
                world.play(2_000, 0.0, 40);
                !world.turns.is_empty()
            })
            .count();
        // At most 5 % ever, whenever one looks; in fact far less.
        assert!(overruled <= 15, "{overruled} of 300");
    }

    #[test]
    fn it_returns_when_the_version_is_right_again() {
        let mut returned = 0;
        for seed in 1..=20 {
            let mut world = World::new(seed);
            world.play(1_500, -1.1, 40);
            assert!(world.serves(), "{seed}");
            (world.errors, world.scored) = ((0.0, 0.0), 0);
            world.play(3_000, 0.0, 40);
            returned += usize::from(
                world
                    .turns
                    .iter()
                    .any(|(_, turn)| matches!(turn, Turn::Returns(_))),
            );
            // Returned or relearnt: either way little is lost by having served.
            let n = world.scored as f64;
            assert!(
                world.errors.1 / n < world.errors.0 / n + 0.01,
                "{seed}: {:?}",
                world.errors
            );
        }
        assert!(returned >= 15, "{returned} of 20");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes, the same gives the same, numbers stay numbers, and an offer reads within 0..=1.
        #[test]
        fn any_row_of_outcomes_is_borne(
            rows in prop::collection::vec((0.0_f64..=1.0, any::<bool>(), prop_oneof![Just(1.0), Just(50.0)]), 0..400),
        ) {
            let play = || {
                let (mut online, mut proof, mut turns) = (Online::default(), Proof::default(), Vec::new());
                for (p, failed, weight) in &rows {
                    let outcome = Compared { raw: *p, told: proof.told(*p), failed: *failed, weight: *weight };
                    online.learn(*p, *failed, *weight);
                    let config = FeedbackConfig::default();
                    turns.extend(proof.absorb(&outcome, &online, &config, Timestamp(1)));
                }
                (online, proof, turns)
            };
            let (online, proof, turns) = play();
            prop_assert_eq!(&(online, proof.clone(), turns), &play());
            prop_assert!(proof.log_e().is_finite());
            if let Some(offer) = proof.offer {
                prop_assert!(offer.from <= offer.to && offer.slope > 0.0);
                prop_assert!(offer.variances.iter().all(|v| v.is_finite()));
                prop_assert!((0.0..=1.0).contains(&offer.read(0.5)));
            }
        }
    }
}
