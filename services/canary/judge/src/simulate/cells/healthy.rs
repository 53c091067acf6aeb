//! Healthy candidates that tempt: the share called worse is at most alpha.

use super::super::counts::CountScene;
use super::super::series::{Pattern, SeriesScene};
use super::super::table::{Cell, Kind, Play};
use super::super::values::{Scene, Story};
use super::{cell, scene, series};

pub(super) fn cells() -> Vec<Cell> {
    let groups = [
        count_alarms(),
        cluster_alarms(),
        value_alarms(),
        tempting_alarms(),
        history_alarms(),
        series_alarms(),
        beyond_alarms(),
        peer_alarms(),
    ];
    groups.into_iter().flatten().collect()
}

fn count_alarms() -> Vec<Cell> {
    let plain = CountScene::default();
    let ramp = CountScene {
        share: 0.01,
        ramp: true,
        swing: true,
        ..plain
    };
    let scenes = [
        ("1 % share", CountScene { share: 0.01, ..plain }),
        ("5 % share", plain),
        ("25 % share", CountScene { share: 0.25, ..plain }),
        ("base 0.1 %", CountScene { base: 0.001, ..plain }),
        (
            "base 30 %",
            CountScene {
                base: 0.3,
                looks: 60,
                ..plain
            },
        ),
        ("split from 1 % to 50 % while rates swing fourfold", ramp),
        ("2 looks", CountScene { looks: 2, ..plain }),
        ("5 looks", CountScene { looks: 5, ..plain }),
        ("60 looks", CountScene { looks: 60, ..plain }),
    ];
    let each = scenes.map(|(name, scene)| {
        (
            name,
            Play::Counts {
                scene,
                each_look: true,
            },
        )
    });
    let one = (
        "one look after an hour",
        Play::Counts {
            scene: plain,
            each_look: false,
        },
    );
    each.into_iter()
        .chain([one])
        .map(|(name, play)| cell(format!("failures, {name}"), Kind::Alarms { play }))
        .collect()
}

fn cluster_alarms() -> Vec<Cell> {
    let pairs = [2, 5, 10]
        .into_iter()
        .flat_map(|cluster| [0.05, 0.25].map(|share| (cluster, share)));
    let alarms = pairs.map(|(cluster, share)| {
        let scene = CountScene {
            cluster,
            share,
            history: 60,
            ..CountScene::default()
        };
        let name = format!(
            "failures in clusters of {cluster}, {} % share, 60 baseline intervals before",
            100.0 * share
        );
        cell(
            name,
            Kind::Alarms {
                play: Play::Counts {
                    scene,
                    each_look: true,
                },
            },
        )
    });
    alarms.collect()
}

fn value_alarm(name: &str, scene: Scene) -> Cell {
    cell(
        format!("values, {name}"),
        Kind::Alarms {
            play: Play::Values {
                scene,
                each_look: true,
            },
        },
    )
}

fn value_alarms() -> Vec<Cell> {
    let mut cells = Vec::new();
    for phi in [0.0, 0.5, 0.8, 0.9, 0.95, 0.98] {
        let scene = scene(Story::Level(0.0), phi);
        cells.push(value_alarm(&format!("AR({phi})"), scene));
        cells.push(value_alarm(
            &format!("AR({phi}), t3"),
            Scene { heavy: true, ..scene },
        ));
    }
    let correlated = scene(Story::Level(0.0), 0.8);
    for points in [2, 3, 5, 10, 60] {
        cells.push(value_alarm(
            &format!("AR(0.8), {points} points"),
            Scene { points, ..correlated },
        ));
    }
    let play = Play::Values {
        scene: correlated,
        each_look: false,
    };
    cells.push(cell("values, AR(0.8), one look", Kind::Alarms { play }));
    for metrics in [4, 10] {
        let play = Play::Metrics {
            scene: Scene {
                points: 60,
                ..correlated
            },
            metrics,
        };
        cells.push(cell(
            format!("{metrics} metrics of values, AR(0.8)"),
            Kind::Alarms { play },
        ));
    }
    cells
}

fn tempting_alarms() -> Vec<Cell> {
    let shock = scene(Story::CommonShock, 0.9);
    let factor = scene(Story::CommonFactor, 0.9);
    vec![
        value_alarm("common trend, walk and shock", shock),
        value_alarm("common trend, walk and shock, t3", Scene { heavy: true, ..shock }),
        value_alarm("common factor", factor),
        value_alarm(
            "common factor, t3",
            Scene {
                heavy: true,
                ..factor
            },
        ),
        value_alarm("lognormal, AR(0.8)", scene(Story::Lognormal, 0.8)),
        value_alarm("mostly zero, 5 %", scene(Story::Inflated(0.05, 0.0), 0.0)),
        value_alarm("mostly zero, 20 %", scene(Story::Inflated(0.2, 0.0), 0.0)),
        value_alarm(
            "mostly zero, 10 %, persistent",
            scene(Story::Inflated(0.1, 0.8), 0.0),
        ),
        value_alarm(
            "mostly zero, 35 %, persistent",
            scene(Story::Inflated(0.35, 0.8), 0.0),
        ),
    ]
}

fn history_alarms() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (phi, white, history) in [
        (0.9, 1.0, 120),
        (0.9, 4.0, 120),
        (0.97, 1.0, 120),
        (0.97, 4.0, 120),
        (0.9, 1.0, 30),
        (0.97, 1.0, 30),
    ] {
        let name =
            format!("AR({phi}) under white noise of {white} times its variance, {history} points before");
        cells.push(value_alarm(
            &name,
            Scene {
                history,
                ..scene(Story::SlowUnderWhite(white), phi)
            },
        ));
    }
    for phi in [0.0, 0.5, 0.9] {
        let scene = Scene {
            heavy: true,
            history: 120,
            ..scene(Story::Level(0.0), phi)
        };
        cells.push(value_alarm(&format!("AR({phi}), t3, 120 points before"), scene));
    }
    for history in [60, 120] {
        let scene = Scene {
            history,
            ..scene(Story::Inflated(0.1, 0.8), 0.0)
        };
        cells.push(value_alarm(
            &format!("mostly zero, 10 %, persistent, {history} points before"),
            scene,
        ));
    }
    for rate in [0.001, 0.005, 0.02] {
        let scene = Scene {
            history: 480,
            ..scene(Story::RareSpikes(rate), 0.0)
        };
        let name = format!(
            "a hundredfold in {} % of either track's intervals, 480 points before",
            100.0 * rate
        );
        cells.push(value_alarm(&name, scene));
    }
    cells
}

/// One series with nobody beside it, 240 points (five minutes apart) after the change.
fn series_alarms() -> Vec<Cell> {
    use Pattern::{Days, Few, Flat, Hours, Skewed, Weeks, Zeros};
    let scenes = [
        (Flat, 0.0, false),
        (Flat, 0.5, false),
        (Flat, 0.8, false),
        (Flat, 0.9, false),
        (Flat, 0.98, false),
        (Flat, 0.5, true),
        (Flat, 0.8, true),
        (Days, 0.0, false),
        (Days, 0.5, false),
        (Days, 0.8, false),
        (Days, 0.8, true),
        (Weeks, 0.8, false),
        (Zeros, 0.0, false),
        (Zeros, 0.8, false),
        (Hours, 0.0, false),
        (Hours, 0.8, true),
        (Few, 0.0, false),
        (Skewed, 0.8, false),
    ];
    let alarm = |name: String, scene| {
        let play = Play::Series { scene };
        cell(format!("one series, {name}"), Kind::Alarms { play })
    };
    let each = scenes.into_iter().map(|(pattern, phi, heavy)| {
        let scene = SeriesScene {
            phi,
            heavy,
            ..series(pattern)
        };
        let tails = if heavy { ", t3" } else { "" };
        alarm(format!("{}, AR({phi}){tails}", pattern.name()), scene)
    });
    let two_weeks = SeriesScene {
        days: 14,
        phi: 0.5,
        ..series(Weeks)
    };
    let long = SeriesScene {
        after: 720,
        phi: 0.5,
        ..series(Days)
    };
    each.chain([
        alarm("days and weeks, two weeks before, AR(0.5)".to_owned(), two_weeks),
        alarm("days, AR(0.5), 720 points".to_owned(), long),
    ])
    .collect()
}

/// Healthy series that nothing in the judge allows for: told, so that nobody takes them for safe.
fn beyond_alarms() -> Vec<Cell> {
    let beyond = |pattern: Pattern| {
        let scene = SeriesScene {
            phi: 0.0,
            ..series(pattern)
        };
        let play = Play::Series { scene };
        cell(
            format!("beyond what is assumed: one series, {}", pattern.name()),
            Kind::Told { play },
        )
    };
    [Pattern::Walk, Pattern::Jumps].map(beyond).to_vec()
}

/// What a test that takes intervals for independent says of the same paths.
fn peer_alarms() -> Vec<Cell> {
    let peer = |phi: f64| {
        let play = Play::Peer {
            scene: scene(Story::Level(0.0), phi),
        };
        cell(
            format!("values, AR({phi}), GrowthBook's sequential test"),
            Kind::Told { play },
        )
    };
    [0.0, 0.5, 0.8].map(peer).to_vec()
}
