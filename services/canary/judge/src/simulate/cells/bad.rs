//! Changes that must be found, candidates that may pass or may not, and what a prior buys.

use super::super::counts::CountScene;
use super::super::latency::LatencyScene;
use super::super::portfolio::Quality;
use super::super::series::{Bite, Pattern, SeriesScene};
use super::super::table::{Cell, Kind, Play};
use super::super::values::{Scene, Story};
use super::{cell, found, scene, series};

pub(super) fn cells() -> Vec<Cell> {
    let groups = [
        count_power(),
        value_power(),
        history_power(),
        series_power(),
        latency(),
        passes(),
        years(),
    ];
    groups.into_iter().flatten().collect()
}

fn count_power() -> Vec<Cell> {
    let plain = CountScene {
        looks: 2_000,
        ..CountScene::default()
    };
    let limits = [(1.5, 1.5), (2.0, 1.3), (3.0, 1.3), (5.0, 1.3), (10.0, 1.5)];
    let delays = limits.into_iter().map(|(effect, most)| {
        let scene = CountScene { effect, ..plain };
        cell(format!("failures x{effect} at 5 %"), Kind::Delay { scene, most })
    });
    let floors = [
        (0.01, 1.5, 12.0),
        (0.01, 2.0, 65.0),
        (0.01, 5.0, 99.0),
        (0.05, 1.5, 77.0),
        (0.05, 2.0, 99.0),
        (0.05, 5.0, 99.0),
        (0.25, 1.5, 99.0),
        (0.25, 2.0, 99.0),
        (0.25, 5.0, 99.0),
    ];
    let shares = floors.into_iter().map(|(share, effect, least)| {
        let play = Play::Counts {
            scene: CountScene {
                share,
                effect,
                looks: 360,
                ..plain
            },
            each_look: true,
        };
        cell(
            format!("failures x{effect} at {} %, one hour", 100.0 * share),
            found(play, least),
        )
    });
    // A baseline without failures has no ratio to be worse by: one failure in two hundred units of the candidate.
    let zero = CountScene {
        base: 1e-9,
        effect: 5e6,
        looks: 60,
        ..plain
    };
    let zero = cell(
        "failures of 0.5 % against none, ten minutes",
        found(
            Play::Counts {
                scene: zero,
                each_look: true,
            },
            90.0,
        ),
    );
    delays.chain(shares).chain([zero]).collect()
}

/// A story that must be found: least share, and greatest median where there is one.
fn value_found(name: &str, scene: Scene, least: f64, most: Option<f64>) -> Cell {
    let play = Play::Values {
        scene,
        each_look: true,
    };
    let kind = Kind::Found {
        play,
        least,
        most,
        ceiling: None,
    };
    cell(format!("values, {name}"), kind)
}

/// A shift of the level by `sd` standard deviations of a track: (sd, AR, points), least share found, ceiling for any rule.
fn level_found((sd, phi, points): (f64, f64, u32), least: f64, ceiling: f64, most: Option<f64>) -> Cell {
    let scene = Scene {
        points,
        ..scene(Story::Level(10.0 * sd), phi)
    };
    let play = Play::Values {
        scene,
        each_look: true,
    };
    let kind = Kind::Found {
        play,
        least,
        most,
        ceiling: Some(ceiling),
    };
    cell(format!("values, {sd} sd, AR({phi}), {points} points"), kind)
}

fn value_power() -> Vec<Cell> {
    let of = |story, phi, points| Scene {
        points,
        ..scene(story, phi)
    };
    let errors = of(Story::ErrorsAgainstZero, 0.0, 60);
    let half = |phi| of(Story::HalfHundredfold, phi, 60);
    let seven = of(Story::SevenOfTen, 0.0, 30);
    let spikes = of(Story::ThreeSpikes, 0.0, 240);
    let constants = of(Story::Constants, 0.0, 60);
    vec![
        level_found((2.0, 0.0, 60), 95.0, 100.0, Some(32.0)),
        level_found((2.0, 0.5, 60), 25.0, 98.0, None),
        level_found((2.0, 0.5, 240), 95.0, 100.0, Some(85.0)),
        level_found((2.0, 0.8, 240), 50.0, 100.0, None),
        level_found((1.0, 0.0, 60), 55.0, 100.0, None),
        level_found((1.0, 0.0, 240), 98.0, 100.0, None),
        level_found((1.0, 0.5, 240), 85.0, 100.0, None),
        value_found(
            "errors 0,0,3,0,5,2,0,0,4,6 against zeros",
            errors,
            95.0,
            Some(27.0),
        ),
        value_found("30 of 60 a hundredfold, AR(0)", half(0.0), 95.0, None),
        value_found("30 of 60 a hundredfold, AR(0.5)", half(0.5), 95.0, None),
        value_found("seven of ten at 100 against ones, 30 points", seven, 80.0, None),
        value_found("three spikes an hour, 240 points", spikes, 75.0, None),
        value_found("constants 100 against 1", constants, 100.0, Some(8.0)),
    ]
}

fn history_power() -> Vec<Cell> {
    let before = |phi, points| Scene {
        history: 120,
        points,
        ..scene(Story::Level(20.0), phi)
    };
    let name = |phi: f64| format!("120 points before, 2 sd, AR({phi})");
    let spikes = Scene {
        history: 120,
        ..scene(Story::ThreeSpikes, 0.0)
    };
    // Far beyond what the history has shown, and looked at once, long after it began.
    let late = Play::Values {
        scene: Scene {
            story: Story::Level(150.0),
            ..before(0.0, 240)
        },
        each_look: false,
    };
    vec![
        value_found(&name(0.0), before(0.0, 60), 95.0, Some(13.0)),
        value_found(&name(0.5), before(0.5, 60), 80.0, None),
        value_found(&name(0.8), before(0.8, 240), 80.0, None),
        value_found(
            "120 points before, three spikes an hour, 240 points",
            spikes,
            90.0,
            Some(160.0),
        ),
        cell(
            "values, 120 points before, 15 sd, AR(0), one look after 240 points",
            found(late, 99.0),
        ),
    ]
}

/// A series whose change bites at once, late, or slowly. Standard deviation 10, level 200.
fn series_power() -> Vec<Cell> {
    use Pattern::{Days, Flat, Zeros};
    let late = |name: &str, pattern, (phi, heavy), bite, least| {
        let scene = SeriesScene {
            phi,
            heavy,
            bite,
            ..series(pattern)
        };
        let tails = if heavy { ", t3" } else { "" };
        let name = format!("one series, {}, AR({phi}){tails}, {name}", pattern.name());
        cell(name, Kind::Late { scene, least })
    };
    let (plain, close, heavy, both) = ((0.5, false), (0.8, false), (0.5, true), (0.8, true));
    let pass = |bite| Play::SeriesPass {
        scene: SeriesScene {
            phi: 0.5,
            bite,
            ..series(Flat)
        },
    };
    vec![
        late("2 sd at once", Flat, plain, Bite::Step(0, 20.0), 99.0),
        late("2 sd at once", Flat, both, Bite::Step(0, 20.0), 95.0),
        late("2 sd at once", Days, close, Bite::Step(0, 20.0), 65.0),
        late("4 sd at once", Days, close, Bite::Step(0, 40.0), 98.0),
        late("2 sd after 60 points", Flat, plain, Bite::Step(60, 20.0), 95.0),
        late("4 sd after 60 points", Flat, both, Bite::Step(60, 40.0), 95.0),
        late("4 sd after 180 points", Flat, heavy, Bite::Step(180, 40.0), 95.0),
        late("4 sd after 60 points", Days, close, Bite::Step(60, 40.0), 85.0),
        late(
            "4 sd in 200 points, drifting",
            Flat,
            close,
            Bite::Drift(0.2),
            90.0,
        ),
        late("3 more after 60 points", Zeros, plain, Bite::Step(60, 3.0), 90.0),
        cell(
            "let through: one series, AR(0.5), 240 points",
            found(pass(Bite::Never), 95.0),
        ),
        cell(
            "worse by the margin: one series, AR(0.5), a quarter higher",
            Kind::Slips {
                play: pass(Bite::Step(0, 50.0)),
            },
        ),
    ]
}

fn latency() -> Vec<Cell> {
    let plain = LatencyScene {
        share: 0.05,
        ramp: false,
        tail: false,
        slower: 1.0,
        looks: 120,
    };
    let ramp = LatencyScene {
        share: 0.01,
        ramp: true,
        ..plain
    };
    let tail = LatencyScene {
        tail: true,
        looks: 60,
        ..plain
    };
    let quick = LatencyScene {
        share: 0.25,
        looks: 18,
        ..tail
    };
    let alarms = |scene| Kind::Alarms {
        play: Play::Latency { scene },
    };
    vec![
        cell("latency at 5 %", alarms(plain)),
        cell(
            "latency, split from 1 % to 50 % while it falls by a third",
            alarms(ramp),
        ),
        cell(
            "latency, p99 doubled at 5 %, ten minutes",
            found(Play::Latency { scene: tail }, 99.0),
        ),
        cell(
            "latency, p99 doubled at 25 %, three minutes",
            found(Play::Latency { scene: quick }, 99.0),
        ),
    ]
}

fn passes() -> Vec<Cell> {
    let counts = |base, share, effect, looks| Play::CountPass {
        scene: CountScene {
            base,
            share,
            effect,
            looks,
            ..CountScene::default()
        },
    };
    let level = |by, phi| Play::ValuePass {
        scene: Scene {
            points: 60,
            ..scene(Story::Level(by), phi)
        },
    };
    let latency = |slower| {
        let scene = LatencyScene {
            share: 0.25,
            ramp: false,
            tail: false,
            slower,
            looks: 60,
        };
        Play::LatencyPass { scene }
    };
    let pass = |name: &str, play, least| cell(format!("let through: {name}"), found(play, least));
    let slip = |name: &str, play| cell(format!("worse by the margin: {name}"), Kind::Slips { play });
    vec![
        pass(
            "flawless tracks at 5 %, 1,200 units",
            counts(0.0, 0.05, 1.0, 48),
            100.0,
        ),
        pass(
            "failures of 1 % in both, 25 % share, one hour",
            counts(0.01, 0.25, 1.0, 360),
            95.0,
        ),
        pass(
            "values, AR(0), sd 10 % of the mean, 60 points",
            level(0.0, 0.0),
            95.0,
        ),
        pass(
            "values, AR(0.5), sd 10 % of the mean, 60 points",
            level(0.0, 0.5),
            30.0,
        ),
        pass("latency, 25 % share, ten minutes", latency(1.0), 95.0),
        slip("failures x1.25 at base 3 %", counts(0.03, 0.05, 1.25, 720)),
        slip("failures x6 at base 0.1 %", counts(0.001, 0.05, 6.0, 720)),
        slip("values, AR(0), a quarter higher", level(25.0, 0.0)),
        slip("values, AR(0.8), a quarter higher", level(25.0, 0.8)),
        slip("latency a third slower", latency(1.34)),
    ]
}

fn years() -> Vec<Cell> {
    let good = [2.0, 3.0, 5.0].map(|effect| {
        let kind = Kind::Year {
            quality: Quality::Good,
            effect,
        };
        cell(format!("a year with a good prior, bad changes x{effect}"), kind)
    });
    let others = [
        ("no", Quality::Absent),
        ("a shuffled", Quality::Shuffled),
        ("an adversarial", Quality::Adversarial),
    ];
    let others = others.map(|(name, quality)| {
        cell(
            format!("a year with {name} prior, bad changes x3"),
            Kind::Year { quality, effect: 3.0 },
        )
    });
    good.into_iter().chain(others).collect()
}
