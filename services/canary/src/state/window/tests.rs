use auspex_proto::ServiceName;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const BEAT: Beat = Beat {
    width: SECOND,
    lateness: SECOND,
};

/// A tick of every second.
fn at(second: i64) -> Now {
    Now {
        boundary: Timestamp(1_000 * second),
        previous: Timestamp(1_000 * (second - 1)),
    }
}

fn observed(start: i64, instance: &str, bad: u64) -> Observation {
    Observation {
        service: ServiceName::new("a").unwrap(),
        track: Some(Track::Candidate),
        region: String::new(),
        metric: "requests".to_owned(),
        instance: instance.to_owned(),
        start: Timestamp(start),
        length: SECOND,
        value: Value::Counts { bad, total: 10 },
    }
}

#[test]
fn instances_add_up_and_repeats_do_not() {
    let mut window = Window::from(Timestamp(10_000), SECOND);
    for seen in [
        observed(10_000, "a", 1),
        observed(10_000, "b", 2),
        observed(10_000, "a", 1),
    ] {
        window.add(
            (&seen, Track::Candidate),
            (SECOND, MOST_SEEN),
            &[],
            Timestamp(11_050),
        );
    }
    assert!(window.close(at(11), BEAT).is_empty(), "late ones may still come");
    assert_eq!(window.due(BEAT), Some(Timestamp(12_000)));
    let closed = window.close(at(12), BEAT);
    assert_eq!(closed.len(), 1);
    assert_eq!(
        (
            closed[0].1.requests.candidate_bad,
            closed[0].1.requests.candidate_total
        ),
        (3, 20)
    );
    let mut add = |start, now| {
        let seen = observed(start, "c", 1);
        window.add(
            (&seen, Track::Candidate),
            (SECOND, MOST_SEEN),
            &[],
            Timestamp(now),
        );
        window.late
    };
    assert_eq!(add(10_000, 12_050), 1);
    assert_eq!(
        add(900_000, 12_050),
        2,
        "far ahead: a broken clock must not fill the state"
    );
    assert_eq!(add(899_000, 900_050), 2, "after a silence of any length");
}

#[test]
fn silence_changes_nothing_and_what_comes_too_late_in_it_is_late_all_the_same() {
    let mut window = Window::from(Timestamp(10_000), SECOND);
    let before = window.clone();
    for second in 11..200 {
        assert_eq!(window.close(at(second), BEAT), []);
    }
    assert_eq!(window, before);
    for start in [150_000, 198_000] {
        let seen = observed(start, "a", 1);
        window.add(
            (&seen, Track::Candidate),
            (SECOND, MOST_SEEN),
            &[],
            Timestamp(199_500),
        );
    }
    let closed: Vec<i64> = window
        .close(at(200), BEAT)
        .iter()
        .map(|(start, _)| start.0)
        .collect();
    assert_eq!((closed, window.late), (vec![198_000], 1));
    // Where nobody looked before, nothing was over before.
    let seen = observed(299_000, "a", 1);
    window.add(
        (&seen, Track::Candidate),
        (SECOND, MOST_SEEN),
        &[],
        Timestamp(900_000),
    );
    let now = Now {
        boundary: Timestamp(900_000),
        previous: Timestamp(200_000),
    };
    assert_eq!((window.close(now, BEAT).len(), window.late), (1, 1));
}

#[test]
fn the_state_is_bounded_whoever_reports() {
    let mut window = Window::from(Timestamp(0), SECOND);
    for n in 0..3_000 {
        let seen = observed(n % 60 * 1_000, &format!("instance-{n}"), 1);
        window.add(
            (&seen, Track::Candidate),
            (SECOND, MOST_SEEN),
            &[],
            Timestamp(60_000),
        );
    }
    let size = rmp_serde::to_vec_named(&window).unwrap().len();
    assert!(size < 24_000, "{size}");
}

#[test]
fn listed_metrics_have_a_room_of_their_own() {
    let listed: Vec<Listed> = (0..3)
        .map(|n| serde_yaml_ng::from_str(&format!("{{name: m{n}}}")).unwrap())
        .collect();
    let bounds: Vec<f64> = (0..200).map(f64::from).collect();
    let mut window = Window::from(Timestamp(0), SECOND);
    for n in 0..3_000 {
        for metric in 0..4 {
            let mut seen = observed(n % 60 * 1_000, &format!("instance-{n}"), 1);
            seen.metric = format!("m{metric}");
            seen.value = match metric {
                0 => Value::Histogram {
                    bounds: bounds.clone(),
                    counts: vec![1 << 30; 201],
                    sum: 1.0,
                },
                1 => Value::Gauge(0.1),
                _ => Value::Counts { bad: 1, total: 2 },
            };
            window.add(
                (&seen, Track::Candidate),
                (SECOND, MOST_SEEN),
                &listed,
                Timestamp(60_000),
            );
        }
    }
    let cells = |at| window.open.values().filter_map(move |i| i.listed.get(&at));
    for (at, most) in [(0, 6_500), (1, 4_000), (2, 10_000)] {
        let sizes = cells(at).map(|cell| rmp_serde::to_vec_named(cell).unwrap().len());
        let size = sizes.sum::<usize>();
        assert!(size < most, "{at}: {size}");
    }
    let told = [1, 2, 3].map(|at| cells(at).map(Cell::told).sum::<usize>());
    assert_eq!(told, [MOST_TOLD, MOST_TOLD, 0], "what is not listed is not kept");
    let late = window.late;
    let seen = observed(1_000, "a", 1);
    window.add(
        (&seen, Track::Candidate),
        (SECOND, MOST_SEEN),
        &listed,
        Timestamp(60_000),
    );
    assert_eq!(window.late, late, "there is room for requests");
}
