//! What the table holds: every condition under which a healthy candidate tempts, and every change that must be found.

use super::counts::CountScene;
use super::latency::LatencyScene;
use super::portfolio::Quality;
use super::table::Cell;
use super::values::{Scene, Story};

/// How a cell is measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Share of healthy rollouts called worse.
    CountAlarms { scene: CountScene, each_look: bool },
    /// Median delay against the test that is told the effect, at most this ratio.
    CountDelay { scene: CountScene, most: f64 },
    /// Share found within the looks, at least this.
    CountFound { scene: CountScene, least: f64 },
    /// Share let through: healthy ones must be, those worse by the margin must not.
    CountPass { scene: CountScene, healthy: bool },
    /// Share of healthy series called worse.
    ValueAlarms { scene: Scene, each_look: bool },
    /// Share found, at least this; median among them, at most that; the ceiling for any rule.
    ValueFound {
        scene: Scene,
        least: f64,
        most: Option<f64>,
        ceiling: Option<f64>,
    },
    /// Share of healthy rollouts of several metrics called worse on any.
    Metrics { scene: Scene, metrics: u32 },
    /// Share called worse on latency: healthy without a floor, else found at least this.
    Latency { scene: LatencyScene, least: Option<f64> },
    /// Deployments with a prior.
    Year { quality: Quality, effect: f64 },
}

fn cell(name: impl Into<String>, kind: Kind) -> Cell {
    Cell {
        name: name.into(),
        kind,
    }
}

/// Every cell of the table, in its order.
#[must_use]
pub fn cells() -> Vec<Cell> {
    [
        count_alarms(),
        value_alarms(),
        count_power(),
        value_power(),
        latency(),
        years(),
    ]
    .concat()
}

fn count_alarms() -> Vec<Cell> {
    let plain = CountScene::default();
    let mut cells = Vec::new();
    let mut add = |name: &str, scene: CountScene| {
        cells.push(cell(
            format!("failures, {name}"),
            Kind::CountAlarms {
                scene,
                each_look: true,
            },
        ));
    };
    for share in [0.01, 0.05, 0.25] {
        add(
            &format!("{} % share", 100.0 * share),
            CountScene { share, ..plain },
        );
    }
    add("base 0.1 %", CountScene { base: 0.001, ..plain });
    add(
        "base 30 %",
        CountScene {
            base: 0.3,
            looks: 60,
            ..plain
        },
    );
    add(
        "split from 1 % to 50 % while rates swing fourfold",
        CountScene {
            share: 0.01,
            ramp: true,
            swing: true,
            ..plain
        },
    );
    for cluster in [2, 5, 10] {
        let scene = CountScene {
            cluster,
            history: 60,
            ..plain
        };
        add(
            &format!("clusters of {cluster}, 10 minutes of baseline before"),
            scene,
        );
        add(
            &format!("clusters of {cluster}, the same, 25 % share"),
            CountScene { share: 0.25, ..scene },
        );
    }
    for looks in [2, 5, 60] {
        add(&format!("{looks} looks"), CountScene { looks, ..plain });
    }
    cells.push(cell(
        "failures, one look",
        Kind::CountAlarms {
            scene: plain,
            each_look: false,
        },
    ));
    let worse = CountScene {
        effect: 1.25,
        base: 0.03,
        looks: 720,
        ..plain
    };
    cells.push(cell(
        "failures x1.25 at base 3 %",
        Kind::CountPass {
            scene: worse,
            healthy: false,
        },
    ));
    let far = CountScene {
        effect: 6.0,
        base: 0.001,
        looks: 720,
        ..plain
    };
    cells.push(cell(
        "failures x6 at base 0.1 %",
        Kind::CountPass {
            scene: far,
            healthy: false,
        },
    ));
    cells
}

/// Two hundred and forty points of a story without history.
fn scene(story: Story, phi: f64) -> Scene {
    Scene {
        story,
        phi,
        heavy: false,
        history: 0,
        points: 240,
    }
}

fn value_alarms() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |name: String, scene: Scene| {
        cells.push(cell(
            format!("values, {name}"),
            Kind::ValueAlarms {
                scene,
                each_look: true,
            },
        ));
    };
    for phi in [0.0, 0.5, 0.8, 0.9] {
        add(format!("AR({phi})"), scene(Story::Level(0.0), phi));
        add(
            format!("AR({phi}), t3"),
            Scene {
                heavy: true,
                ..scene(Story::Level(0.0), phi)
            },
        );
    }
    add("AR(0.95)".to_owned(), scene(Story::Level(0.0), 0.95));
    for points in [2, 3, 5, 10, 60] {
        add(
            format!("AR(0.8), {points} points"),
            Scene {
                points,
                ..scene(Story::Level(0.0), 0.8)
            },
        );
    }
    add(
        "common trend, walk and shock".to_owned(),
        scene(Story::CommonShock, 0.9),
    );
    add("common factor".to_owned(), scene(Story::CommonFactor, 0.9));
    add("lognormal".to_owned(), scene(Story::Lognormal, 0.8));
    for (rate, stay) in [(0.05, 0.0), (0.2, 0.0), (0.1, 0.8), (0.35, 0.8)] {
        add(
            format!("mostly zero, {rate} staying {stay}"),
            scene(Story::Inflated(rate, stay), 0.0),
        );
    }
    for (phi, white) in [(0.9, 1.0), (0.9, 4.0), (0.97, 1.0), (0.97, 4.0)] {
        let scene = Scene {
            history: 120,
            ..scene(Story::SlowUnderWhite(white), phi)
        };
        add(
            format!("AR({phi}) under white noise x{white}, 120 points before"),
            scene,
        );
    }
    for phi in [0.0, 0.9] {
        let scene = Scene {
            heavy: true,
            history: 120,
            ..scene(Story::Level(0.0), phi)
        };
        add(format!("AR({phi}), t3, 120 points before"), scene);
    }
    cells.push(cell(
        "values, AR(0.8), one look",
        Kind::ValueAlarms {
            scene: scene(Story::Level(0.0), 0.8),
            each_look: false,
        },
    ));
    for metrics in [4, 10] {
        let scene = Scene {
            points: 60,
            ..scene(Story::Level(0.0), 0.8)
        };
        cells.push(cell(
            format!("{metrics} metrics of values, AR(0.8)"),
            Kind::Metrics { scene, metrics },
        ));
    }
    cells
}

fn count_power() -> Vec<Cell> {
    let plain = CountScene {
        looks: 2_000,
        ..CountScene::default()
    };
    let mut cells = Vec::new();
    for (effect, most) in [(1.5, 1.5), (2.0, 1.3), (3.0, 1.3), (5.0, 1.3), (10.0, 1.5)] {
        let scene = CountScene { effect, ..plain };
        cells.push(cell(
            format!("failures x{effect} at 5 %"),
            Kind::CountDelay { scene, most },
        ));
    }
    for (share, effect, least) in [
        (0.01, 2.0, 66.0),
        (0.01, 5.0, 99.0),
        (0.05, 1.5, 77.0),
        (0.05, 2.0, 99.0),
        (0.25, 1.5, 99.0),
        (0.25, 2.0, 99.0),
    ] {
        let scene = CountScene {
            share,
            effect,
            looks: 360,
            ..plain
        };
        let name = format!("failures x{effect} at {} %, one hour", 100.0 * share);
        cells.push(cell(name, Kind::CountFound { scene, least }));
    }
    let flawless = CountScene {
        base: 0.0,
        looks: 48,
        ..plain
    };
    cells.push(cell(
        "flawless tracks at 5 %, 1,200 units",
        Kind::CountPass {
            scene: flawless,
            healthy: true,
        },
    ));
    let equal = CountScene {
        base: 0.01,
        share: 0.25,
        looks: 360,
        ..plain
    };
    cells.push(cell(
        "equal tracks at 25 %, one hour",
        Kind::CountPass {
            scene: equal,
            healthy: true,
        },
    ));
    cells
}

fn value_power() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |name: &str, scene: Scene, floor: (f64, Option<f64>), ceiling: Option<f64>| {
        let (least, most) = floor;
        cells.push(cell(
            format!("values, {name}"),
            Kind::ValueFound {
                scene,
                least,
                most,
                ceiling,
            },
        ));
    };
    let level = |by, phi, points| Scene {
        points,
        ..scene(Story::Level(by), phi)
    };
    add(
        "2 sd, AR(0), 60 points",
        level(20.0, 0.0, 60),
        (95.0, Some(32.0)),
        Some(100.0),
    );
    add(
        "2 sd, AR(0.5), 60 points",
        level(20.0, 0.5, 60),
        (25.0, None),
        Some(98.0),
    );
    add(
        "2 sd, AR(0.5), 240 points",
        level(20.0, 0.5, 240),
        (95.0, Some(85.0)),
        Some(100.0),
    );
    add(
        "2 sd, AR(0.8), 240 points",
        level(20.0, 0.8, 240),
        (50.0, None),
        Some(100.0),
    );
    add(
        "1 sd, AR(0), 60 points",
        level(10.0, 0.0, 60),
        (55.0, None),
        Some(100.0),
    );
    add(
        "1 sd, AR(0), 240 points",
        level(10.0, 0.0, 240),
        (98.0, None),
        Some(100.0),
    );
    add(
        "1 sd, AR(0.5), 240 points",
        level(10.0, 0.5, 240),
        (85.0, None),
        Some(100.0),
    );
    let of = |story, phi, points| Scene {
        points,
        ..scene(story, phi)
    };
    add(
        "errors 0,0,3,0,5,2,0,0,4,6 against zeros",
        of(Story::ErrorsAgainstZero, 0.0, 60),
        (95.0, Some(27.0)),
        None,
    );
    add(
        "30 of 60 a hundredfold, scattered",
        of(Story::HalfHundredfold, 0.0, 60),
        (95.0, None),
        None,
    );
    add(
        "the same, AR(0.5)",
        of(Story::HalfHundredfold, 0.5, 60),
        (95.0, None),
        None,
    );
    add(
        "seven of ten at 100 against ones, 30 points",
        of(Story::SevenOfTen, 0.0, 30),
        (80.0, None),
        None,
    );
    add(
        "three spikes an hour, 240 points",
        of(Story::ThreeSpikes, 0.0, 240),
        (75.0, None),
        None,
    );
    add(
        "constants 100 against 1",
        of(Story::Constants, 0.0, 60),
        (100.0, Some(8.0)),
        None,
    );
    let before = |by, phi, points| Scene {
        history: 120,
        ..level(by, phi, points)
    };
    add(
        "120 points before, 2 sd, AR(0.5), 60 points",
        before(20.0, 0.5, 60),
        (80.0, None),
        None,
    );
    add(
        "120 points before, 2 sd, AR(0), 60 points",
        before(20.0, 0.0, 60),
        (95.0, Some(13.0)),
        None,
    );
    cells
}

fn latency() -> Vec<Cell> {
    let plain = LatencyScene {
        share: 0.05,
        ramp: false,
        tail: false,
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
    let of = |name: &str, scene, least| cell(name, Kind::Latency { scene, least });
    vec![
        of("latency at 5 %", plain, None),
        of(
            "latency, split from 1 % to 50 % while it falls by a third",
            ramp,
            None,
        ),
        of("latency, p99 doubled at 5 %, ten minutes", tail, Some(99.0)),
        of(
            "latency, p99 doubled at 25 %, three minutes",
            LatencyScene {
                share: 0.25,
                looks: 18,
                ..tail
            },
            Some(99.0),
        ),
    ]
}

fn years() -> Vec<Cell> {
    let mut cells = Vec::new();
    for effect in [2.0, 3.0, 5.0] {
        let kind = Kind::Year {
            quality: Quality::Good,
            effect,
        };
        cells.push(cell(
            format!("a year with a good prior, bad changes x{effect}"),
            kind,
        ));
    }
    for (name, quality) in [
        ("no", Quality::Absent),
        ("a shuffled", Quality::Shuffled),
        ("an adversarial", Quality::Adversarial),
    ] {
        cells.push(cell(
            format!("a year with {name} prior"),
            Kind::Year { quality, effect: 3.0 },
        ));
    }
    cells
}
