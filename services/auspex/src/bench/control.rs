//! Ten thousand rollouts in one process, through an hour of simulated time: who is touched by a tick, what is saved, how much
//! is remembered, and whether any rollout was forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use auspex_canary::Decide;
use auspex_canary::document::Span;
use auspex_canary::state::Rollout;
use auspex_chassis::Verb;
use auspex_proto::decision::{Phase, Reason};
use auspex_proto::{Project, Timestamp};

use super::row::{Better, Row, quantile};
use super::simulated::{BEGIN, Chance, Played, control, document};

/// Rollouts in a project.
const PER_PROJECT: usize = 10;
/// Seconds between reports of a proxy.
const INTERVAL: u64 = 10;

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    let (projects, seconds) = if quick { (100, 900) } else { (1_000, 3_600) };
    tokio::task::spawn_blocking(move || all(projects, seconds)).await?
}

/// What one of ten rollouts does, by its place in its project; the first has traffic, the others wait for something.
fn spec(at: usize, seconds: u64) -> String {
    let third = seconds / 3;
    match at {
        0 => "policy: {budget: {}}".to_owned(),
        1 => format!(
            "min_samples: 0, policy: {{steps: [{{setWeight: 10}}, {{pause: {{duration: {third}s}}}}, {{setWeight: 50}}, {{pause: {{duration: {third}s}}}}]}}"
        ),
        2 => format!(
            "min_samples: 0, deadline: {}s, policy: {{steps: [{{setWeight: 5}}, {{pause: {{}}}}]}}",
            2 * third
        ),
        3 => format!("min_samples: 0, bake: {{duration: {third}s}}, policy: {{steps: [{{setWeight: 50}}]}}"),
        4 => "gates: {approvals: [{name: go, at: start}]}".to_owned(),
        5 => "gates: {ticket: {}}".to_owned(),
        6 => "gates: {dependencies: []}, policy: {steps: [{setWeight: 5}, {pause: {}}]}".to_owned(),
        _ => format!(
            "min_samples: 0, policy: {{steps: [{{pause: {{duration: {}s}}}}, {{setWeight: 100}}]}}",
            60 * at
        ),
    }
}

/// How each has to stand at the end; `None`: it may wait for a person.
fn wanted(at: usize) -> Option<Phase> {
    match at {
        0 | 1 | 3 | 7.. => Some(Phase::Promoted),
        _ => None,
    }
}

#[derive(Default)]
struct Sums {
    touched: u64,
    changed: u64,
    /// Saved, though nothing had arrived, nothing was open and nothing was said.
    idle: u64,
    saved_bytes: u64,
    ticks: Vec<f64>,
    bytes: Vec<(u64, f64)>,
}

fn all(projects: usize, seconds: u64) -> anyhow::Result<Vec<Row>> {
    let decide = control(0.1, Span::seconds(INTERVAL));
    let mut keys: BTreeMap<usize, Played> = BTreeMap::new();
    for at in 0..projects {
        let mut played = Played::new(Project::new(format!("bench/{at}"))?);
        for place in 0..PER_PROJECT {
            played.start(
                &decide,
                BEGIN,
                document(&format!("s{place}"), &spec(place, seconds)),
            )?;
        }
        keys.insert(at, played);
    }
    let mut chance = Chance(7);
    let mut sums = Sums::default();
    let mut due: BTreeSet<(Timestamp, usize)> = BTreeSet::new();
    let mut when: BTreeMap<usize, Timestamp> = BTreeMap::new();
    for (at, played) in &keys {
        plan(&decide, *at, played, &mut due, &mut when);
    }
    for second in 1..=seconds {
        let now = BEGIN + Duration::from_secs(second);
        if second % INTERVAL == 0 {
            for (at, played) in &mut keys {
                if traffic(&decide, played, now, &mut chance)? {
                    plan(&decide, *at, played, &mut due, &mut when);
                }
            }
        }
        tick(&decide, now, &mut keys, (&mut due, &mut when), &mut sums)?;
        if second % (seconds / 6) == 0 {
            sums.bytes.push((second, size(&keys)?));
        }
    }
    rows(&keys, projects, seconds, &sums)
}

/// The chassis' own way: a key is touched when its due time has come.
fn plan(
    decide: &Decide,
    at: usize,
    played: &Played,
    due: &mut BTreeSet<(Timestamp, usize)>,
    when: &mut BTreeMap<usize, Timestamp>,
) {
    if let Some(old) = when.remove(&at) {
        due.remove(&(old, at));
    }
    if let Some(next) = decide.due(&played.state) {
        due.insert((next, at));
        when.insert(at, next);
    }
}

fn traffic(
    decide: &Decide,
    played: &mut Played,
    now: Timestamp,
    chance: &mut Chance,
) -> anyhow::Result<bool> {
    let Some(weight) = played.state.active.get("s0").map(|rollout| rollout.weight) else {
        return Ok(false);
    };
    let total = 500;
    let candidate = chance.of(total, f64::from(weight) / 100.0);
    let stable = total - candidate;
    let bad = (chance.of(stable, 0.002), chance.of(candidate, 0.002));
    let length = Duration::from_secs(INTERVAL);
    played.observe(
        decide,
        ("s0", now, length),
        ((stable, bad.0), (candidate, bad.1)),
        weight,
    )?;
    Ok(true)
}

fn tick(
    decide: &Decide,
    now: Timestamp,
    keys: &mut BTreeMap<usize, Played>,
    (due, when): (&mut BTreeSet<(Timestamp, usize)>, &mut BTreeMap<usize, Timestamp>),
    sums: &mut Sums,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let later = due.split_off(&(now + Duration::from_millis(1), 0));
    let ready = std::mem::replace(due, later);
    for (_, at) in ready {
        when.remove(&at);
        let Some(played) = keys.get_mut(&at) else { continue };
        let open = |rollout: &Rollout| rollout.window.due(rollout.terms.beat()).is_some();
        let quiet = played.quiet && !played.state.active.values().any(|one| open(one));
        let before = rmp_serde::to_vec_named(&played.state)?;
        played.tick(decide, now)?;
        let after = rmp_serde::to_vec_named(&played.state)?;
        sums.touched += 1;
        if after != before {
            sums.changed += 1;
            sums.idle += u64::from(quiet && played.quiet);
            sums.saved_bytes += u64::try_from(after.len())?;
        }
        plan(decide, at, played, due, when);
    }
    sums.ticks.push(begun.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "bytes stay far below 2^53")]
fn size(keys: &BTreeMap<usize, Played>) -> anyhow::Result<f64> {
    let sizes = keys
        .values()
        .map(|played| rmp_serde::to_vec_named(&played.state).map(|bytes| bytes.len()));
    let sum: usize = sizes.sum::<Result<usize, _>>()?;
    Ok(sum as f64)
}

/// How many rollouts did not end as they had to, and how many sound ones were rolled back on evidence.
fn endings(keys: &BTreeMap<usize, Played>) -> (u32, u32) {
    let (mut missed, mut unlucky) = (0_u32, 0_u32);
    for played in keys.values() {
        for place in 0..PER_PROJECT {
            let service = format!("s{place}");
            let ended = played
                .state
                .ended
                .iter()
                .rev()
                .find(|ended| ended.service.as_str() == service);
            let right = match (wanted(place), ended) {
                (Some(phase), Some(ended)) => {
                    let chance = ended
                        .last
                        .as_ref()
                        .is_some_and(|last| last.reason == Reason::EvidenceWorse);
                    unlucky += u32::from(chance);
                    ended.phase == phase || chance
                }
                (Some(_), None) => false,
                (None, _) => true,
            };
            if !right {
                let how = ended.map_or_else(
                    || {
                        played
                            .state
                            .active
                            .get(&service)
                            .map(|rollout| format!("{:?}", rollout.phase))
                    },
                    |ended| {
                        ended
                            .last
                            .as_ref()
                            .map(|last| format!("{:?}: {}", last.reason, last.reason_text))
                    },
                );
                eprintln!("auspex: {} {service} is missed: {how:?}", played.project);
            }
            missed += u32::from(!right);
        }
    }
    (missed, unlucky)
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn rows(
    keys: &BTreeMap<usize, Played>,
    projects: usize,
    seconds: u64,
    sums: &Sums,
) -> anyhow::Result<Vec<Row>> {
    let (missed, unlucky) = endings(keys);
    let every = (projects as u64 * seconds) as f64;
    let (first, last) = (
        sums.bytes.get(1).map_or(1.0, |b| b.1),
        sums.bytes.last().map_or(1.0, |b| b.1),
    );
    Ok(vec![
        Row::told(
            "rollouts in one process",
            (projects * PER_PROJECT) as f64,
            "rollouts",
        ),
        Row::told("simulated time", seconds as f64, "s"),
        Row::told("rollouts missed", f64::from(missed), "rollouts").floor(0.0, Better::Less),
        Row::told(
            "sound ones rolled back on evidence",
            f64::from(unlucky),
            "rollouts",
        )
        .beside(projects as f64, "those with traffic")
        .floor(0.01, Better::Less),
        Row::told("keys touched by ticks", sums.touched as f64, "keys")
            .beside(every, "every key at every tick")
            .floor(0.5, Better::Less),
        Row::told("touched keys saved", sums.changed as f64, "keys")
            .beside(sums.touched as f64, "all that were touched"),
        Row::told("saved though nothing had happened", sums.idle as f64, "keys").floor(0.0, Better::Less),
        Row::told("saved", sums.saved_bytes as f64 / 1e6, "MB"),
        Row::told("state remembered at the end", last / 1e6, "MB")
            .beside(first / 1e6, "after a third of the time")
            .floor(1.1, Better::Less),
        Row::told("a tick over all keys, p50", quantile(&sums.ticks, 0.5), "ms"),
        Row::told("a tick over all keys, p99", quantile(&sums.ticks, 0.99), "ms")
            .floor(1_000.0, Better::Less),
    ])
}
