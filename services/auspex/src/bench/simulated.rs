//! Canary control in this process, on a log that is played to it: what the simulations have in common.

use std::time::Duration;

use auspex_canary::state::State;
use auspex_canary::{Config, Decide};
use auspex_chassis::{Input, Verb};
use auspex_proto::command::Ask;
use auspex_proto::observation::{Applied, Observation, Value};
use auspex_proto::{
    Command, Decision, Fact, FactId, Meta, ObservationBatch, Project, RolloutName, RouterReport, ServiceName,
    Tick, Timestamp, Track,
};

/// When simulations begin.
pub(super) const BEGIN: Timestamp = Timestamp(1_700_000_000_000);

/// Numbers that only look random: the same seed gives the same ones (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Within [0, 1).
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of `n` happen at this rate, by the gaps between them.
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    pub(super) fn of(&mut self, n: u64, rate: f64) -> u64 {
        if rate <= 0.0 || n == 0 {
            return 0;
        }
        let (mut at, mut count) = (0.0, 0);
        loop {
            at += ((1.0 - self.unit()).ln() / (-rate).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return count;
            }
            count += 1;
        }
    }
}

/// One project's control.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) state: State,
    pub(super) project: Project,
    /// Nothing has arrived and nothing was said since the last tick but one.
    pub(super) quiet: bool,
    seq: u64,
}

impl Played {
    pub(super) fn new(project: Project) -> Self {
        Self {
            state: State::default(),
            project,
            quiet: false,
            seq: 0,
        }
    }

    fn meta(&self, now: Timestamp) -> anyhow::Result<Meta> {
        Ok(Meta {
            id: FactId::new(format!("s-{}", self.seq + 1))?,
            project: self.project.clone(),
            time: now,
            cause: 0,
            source: "bench".to_owned(),
        })
    }

    fn absorb(&mut self, decide: &Decide, now: Timestamp, fact: &Fact) -> anyhow::Result<Vec<Decision>> {
        self.seq += 1;
        let input = Input {
            key: self.project.as_str(),
            fact,
            seq: self.seq,
            now,
        };
        let made = decide
            .absorb(&mut self.state, &input)
            .map_err(|reject| anyhow::anyhow!(reject.0))?;
        self.quiet = matches!(fact, Fact::Tick(_)) && made.is_empty();
        let decisions = made.into_iter().filter_map(|fact| match fact {
            Fact::Decision(decision) => Some(decision),
            _ => None,
        });
        Ok(decisions.collect())
    }

    /// Begins a rollout by its document.
    pub(super) fn start(
        &mut self,
        decide: &Decide,
        now: Timestamp,
        document: String,
    ) -> anyhow::Result<Vec<Decision>> {
        let fact = Fact::Command(Command {
            meta: self.meta(now)?,
            rollout: RolloutName::new("simulated")?,
            actor: "bench".to_owned(),
            note: String::new(),
            ask: Ask::Start { document },
        });
        self.absorb(decide, now, &fact)
    }

    pub(super) fn tick(&mut self, decide: &Decide, now: Timestamp) -> anyhow::Result<Vec<Decision>> {
        let fact = Fact::Tick(Tick {
            meta: self.meta(now)?,
            boundary: now,
            previous: Some(now - Duration::from_secs(1)),
        });
        self.absorb(decide, now, &fact)
    }

    /// What a proxy reports of an interval that ends now: (requests, failed) of stable and candidate, and its weight.
    pub(super) fn observe(
        &mut self,
        decide: &Decide,
        (service, now, length): (&str, Timestamp, Duration),
        (stable, candidate): ((u64, u64), (u64, u64)),
        weight: u8,
    ) -> anyhow::Result<()> {
        let service = ServiceName::new(service)?;
        let counts = |track, (total, bad): (u64, u64)| Observation {
            service: service.clone(),
            track: Some(track),
            region: String::new(),
            metric: "requests".to_owned(),
            instance: "proxy-1".to_owned(),
            start: now - length,
            length,
            value: Value::Counts { bad, total },
        };
        let fact = Fact::Observations(ObservationBatch {
            meta: self.meta(now)?,
            observations: vec![counts(Track::Stable, stable), counts(Track::Candidate, candidate)],
            applied: vec![Applied {
                service: service.clone(),
                decision: None,
                weight,
                suspended: false,
                instance: "proxy-1".to_owned(),
                report: RouterReport::default(),
            }],
            environment: String::new(),
        });
        self.absorb(decide, now, &fact).map(drop)
    }
}

/// A document of a service, with the rest of its spec in one line.
pub(super) fn document(service: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {{name: {service}}}, spec: {{service: {service}, score_wait: 0s, {spec}}}}}"
    )
}

/// Control as configured by default, with another prior and interval.
pub(super) fn control(base_rate: f64, interval: auspex_canary::document::Span) -> Decide {
    Decide::new(Config {
        base_rate,
        interval,
        ..Config::default()
    })
}
