//! Policies on the same simulated traffic: fixed steps, Flagger's loop, and Auspex's own. The figures do not depend on the
//! machine. `--svg FILE` writes the plot of docs/policies.md.

mod plot;

use std::time::Duration;

use auspex_canary::document::Span;
use auspex_proto::Project;
use auspex_proto::decision::Phase;

use super::row::{Better, Row};
use super::simulated::{BEGIN, Chance, Played, control, document};

/// A rollout is given up on after so long.
const LONGEST: u64 = 1_800;
const SEED: u64 = 11;
/// Requests a second, both tracks together.
const TRAFFIC: u64 = 200;
/// Share of requests that fail in stable.
const USUAL: f64 = 0.005;

/// Who drives.
#[derive(Debug, Clone, Copy)]
enum Driver {
    /// Weights by the clock, and nobody looks: 10, 25, 50 % for a minute each.
    Clock,
    /// Flagger's loop: 10 points a minute up to 50, success at least 99 %, rolled back at the fifth failed check.
    Loop,
    /// Auspex, with this policy.
    Auspex(&'static str),
}

const DRIVERS: [(&str, Driver); 6] = [
    ("fixed steps", Driver::Clock),
    ("Flagger's loop", Driver::Loop),
    (
        "auspex steps",
        Driver::Auspex(
            "policy: {steps: [{setWeight: 10}, {pause: {duration: 60s}}, {setWeight: 25}, {pause: {duration: 60s}}, {setWeight: 50}, {pause: {duration: 60s}}]}",
        ),
    ),
    ("auspex adaptive", Driver::Auspex("policy: {adaptive: {}}")),
    (
        "auspex classic",
        Driver::Auspex("policy: {adaptive: {preset: classic}}"),
    ),
    ("auspex budget", Driver::Auspex("policy: {budget: {}}")),
];

/// A kind of candidate: its name, the share of its requests that fail, what the score said before.
const CANDIDATES: [(&str, f64, f64); 5] = [
    ("sound", USUAL, 0.1),
    ("sound, feared", USUAL, 0.6),
    ("twice the errors", 2.0 * USUAL, 0.3),
    ("6 % errors", 0.06, 0.3),
    ("30 % errors", 0.3, 0.3),
];

/// How the rollouts of one driver with one kind of candidate went.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) driver: &'static str,
    pub(super) candidate: &'static str,
    pub(super) harmed: f64,
    /// Of those promoted.
    pub(super) seconds: f64,
    pub(super) promoted: f64,
    pub(super) rolled_back: f64,
}

struct One {
    phase: Option<Phase>,
    seconds: f64,
    harmed: f64,
}

pub(super) async fn measure(quick: bool, svg: Option<std::path::PathBuf>) -> anyhow::Result<Vec<Row>> {
    let rollouts = if quick { 20 } else { 200 };
    let outcomes = tokio::task::spawn_blocking(move || all(rollouts)).await??;
    if let Some(file) = svg {
        std::fs::write(&file, plot::drawn(&outcomes))?;
    }
    Ok(outcomes.iter().flat_map(rows).collect())
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let name = |what: &str| format!("{}, {}: {what}", outcome.candidate, outcome.driver);
    let sound = outcome.candidate.starts_with("sound");
    // The preset has thresholds of its own, which know no alpha.
    let ours = outcome.driver.starts_with("auspex") && outcome.driver != "auspex classic";
    let false_back = Row::told(name("false rollbacks"), outcome.rolled_back, "share");
    let missed = Row::told(name("promoted all the same"), outcome.promoted, "share");
    let mut out = vec![Row::told(name("harmed requests"), outcome.harmed, "requests")];
    if sound {
        out.push(Row::told(name("time to 100 %"), outcome.seconds, "s"));
        // Law 8, and two standard errors of 200 rollouts.
        out.push(if ours {
            false_back.floor(0.025, Better::Less)
        } else {
            false_back
        });
    } else {
        let judged = ours && outcome.candidate.ends_with("% errors");
        out.push(if judged {
            missed.floor(0.02, Better::Less)
        } else {
            missed
        });
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn all(rollouts: u64) -> anyhow::Result<Vec<Outcome>> {
    let mut out = Vec::new();
    for (candidate, rate, prior) in CANDIDATES {
        for (driver, how) in DRIVERS {
            let mut outcome = Outcome {
                driver,
                candidate,
                ..Outcome::default()
            };
            for at in 0..rollouts {
                // Everybody meets the same traffic.
                let mut chance = Chance(SEED + 1_000 * at);
                let one = match how {
                    Driver::Clock => simple(rate, &mut chance, |_, _| false, &[(10, 60), (25, 60), (50, 60)]),
                    Driver::Loop => simple(
                        rate,
                        &mut chance,
                        |bad, total| total > 0 && bad as f64 / total as f64 > 0.01,
                        &[(10, 60), (20, 60), (30, 60), (40, 60), (50, 60)],
                    ),
                    Driver::Auspex(spec) => auspex(spec, (rate, prior), &mut chance)?,
                };
                let n = rollouts as f64;
                outcome.harmed += one.harmed / n;
                match one.phase {
                    Some(Phase::Promoted) => {
                        outcome.promoted += 1.0 / n;
                        outcome.seconds += one.seconds;
                    }
                    Some(_) => outcome.rolled_back += 1.0 / n,
                    None => {}
                }
            }
            outcome.seconds /= (outcome.promoted * rollouts as f64).max(1.0);
            out.push(outcome);
        }
    }
    Ok(out)
}

/// One second: (requests, failed) of stable and candidate.
fn second(weight: u8, rate: f64, chance: &mut Chance) -> ((u64, u64), (u64, u64)) {
    let candidate = chance.of(TRAFFIC, f64::from(weight) / 100.0);
    let stable = TRAFFIC - candidate;
    (
        (stable, chance.of(stable, USUAL)),
        (candidate, chance.of(candidate, rate)),
    )
}

/// Bad answers beyond what stable would have given.
#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn harm((total, bad): (u64, u64), rate: f64) -> f64 {
    if rate > USUAL {
        (bad as f64 - USUAL * total as f64).max(0.0)
    } else {
        0.0
    }
}

/// A controller without statistics: a check at the end of each step; at the fifth failed check it goes back.
fn simple(rate: f64, chance: &mut Chance, fails: impl Fn(u64, u64) -> bool, steps: &[(u8, u64)]) -> One {
    let (mut harmed, mut seconds, mut failed, mut at) = (0.0, 0.0, 0, 0);
    while let Some((weight, length)) = steps.get(at) {
        let mut sum = (0, 0);
        for _ in 0..*length {
            let (_, candidate) = second(*weight, rate, chance);
            sum = (sum.0 + candidate.0, sum.1 + candidate.1);
            harmed += harm(candidate, rate);
            seconds += 1.0;
        }
        if fails(sum.1, sum.0) {
            failed += 1;
            if failed >= 5 {
                return One {
                    phase: Some(Phase::RolledBack),
                    seconds,
                    harmed,
                };
            }
        } else {
            at += 1;
        }
    }
    // What was promoted harms until somebody notices: a quarter of an hour is kind.
    for _ in 0..900 {
        harmed += harm(second(100, rate, chance).1, rate);
    }
    One {
        phase: Some(Phase::Promoted),
        seconds,
        harmed,
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn auspex(spec: &str, (rate, prior): (f64, f64), chance: &mut Chance) -> anyhow::Result<One> {
    let decide = control(prior, Span::seconds(1));
    let mut played = Played::new(Project::new("bench/one")?);
    played.start(&decide, BEGIN, document("s", spec))?;
    let mut harmed = 0.0;
    for at in 1..=LONGEST {
        let now = BEGIN + Duration::from_secs(at);
        let said = played.tick(&decide, now)?;
        if let Some(last) = said.last().filter(|last| last.phase.is_terminal()) {
            if last.phase == Phase::Promoted {
                for _ in 0..900 {
                    harmed += harm(second(100, rate, chance).1, rate);
                }
            }
            return Ok(One {
                phase: Some(last.phase),
                seconds: at as f64,
                harmed,
            });
        }
        let weight = played.state.active.get("s").map_or(0, |rollout| rollout.weight);
        let (stable, candidate) = second(weight, rate, chance);
        harmed += harm(candidate, rate);
        let end = now + Duration::from_secs(1);
        played.observe(
            &decide,
            ("s", end, Duration::from_secs(1)),
            (stable, candidate),
            weight,
        )?;
    }
    Ok(One {
        phase: None,
        seconds: LONGEST as f64,
        harmed,
    })
}
