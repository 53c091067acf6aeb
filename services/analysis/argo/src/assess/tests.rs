use super::*;
use crate::phase::Phase::{Error, Failed, Inconclusive, NoData, Pending, Running, Successful};

fn metric(text: &str) -> Metric {
    serde_json::from_str(text).unwrap()
}

fn standing(phases: &[Phase]) -> Standing {
    Standing {
        phase: Phase::Pending,
        last: phases.last().copied(),
        counters: Counters::of(phases),
        terminating: false,
    }
}

const S: Phase = Successful;
const F: Phase = Failed;
const I: Phase = Inconclusive;
const E: Phase = Error;

/// A metric, its measurements, its phase and the rule that decides.
const CASES: &[(&str, &[Phase], Phase, Rule)] = &[
    // 2: nothing measured.
    ("{}", &[], Pending, Rule::NotStarted),
    // 3: in flight, whatever came before.
    (
        "{\"count\":5,\"interval\":\"5s\"}",
        &[F, Running],
        Running,
        Rule::InFlight,
    ),
    // 4: limits, each at and beyond.
    ("{}", &[F], Failed, Rule::FailureLimit),
    (
        "{\"failureLimit\":1,\"count\":3,\"interval\":\"5s\"}",
        &[F],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"failureLimit\":1,\"count\":3,\"interval\":\"5s\"}",
        &[F, S, F],
        Failed,
        Rule::FailureLimit,
    ),
    (
        "{\"failureLimit\":\"1\",\"count\":\"3\",\"interval\":\"5s\"}",
        &[F, F],
        Failed,
        Rule::FailureLimit,
    ),
    ("{}", &[I], Inconclusive, Rule::InconclusiveLimit),
    (
        "{\"inconclusiveLimit\":1,\"interval\":\"5s\"}",
        &[I],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"inconclusiveLimit\":1,\"interval\":\"5s\"}",
        &[I, I],
        Inconclusive,
        Rule::InconclusiveLimit,
    ),
    ("{}", &[E, E, E, E], Running, Rule::GoesOn),
    ("{}", &[E, E, E, E, E], Error, Rule::ConsecutiveErrorLimit),
    (
        "{\"consecutiveErrorLimit\":0}",
        &[E],
        Error,
        Rule::ConsecutiveErrorLimit,
    ),
    (
        "{\"interval\":\"5s\"}",
        &[E, E, E, E, S, E],
        Running,
        Rule::GoesOn,
    ),
    // Later limits overwrite: Error beats Inconclusive beats Failed.
    ("{}", &[F, I], Inconclusive, Rule::InconclusiveLimit),
    (
        "{\"consecutiveErrorLimit\":0}",
        &[F, I, E],
        Error,
        Rule::ConsecutiveErrorLimit,
    ),
    (
        "{\"consecutiveErrorLimit\":0}",
        &[F, E],
        Error,
        Rule::ConsecutiveErrorLimit,
    ),
    // 5: enough good ones in a row.
    (
        "{\"consecutiveSuccessLimit\":2,\"interval\":\"5s\"}",
        &[S, S],
        Successful,
        Rule::ConsecutiveSuccessLimit,
    ),
    (
        "{\"consecutiveSuccessLimit\":2,\"interval\":\"5s\",\"failureLimit\":5}",
        &[S, F, S],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"consecutiveSuccessLimit\":2,\"interval\":\"5s\"}",
        &[S, E, S],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"consecutiveSuccessLimit\":2,\"interval\":\"5s\",\"failureLimit\":0}",
        &[F, S, S],
        Failed,
        Rule::FailureLimit,
    ),
    // 6: the count is reached.
    (
        "{\"count\":2,\"interval\":\"5s\"}",
        &[S, S],
        Successful,
        Rule::CountReached,
    ),
    (
        "{\"count\":2,\"interval\":\"5s\",\"failureLimit\":1}",
        &[S, F],
        Successful,
        Rule::CountReached,
    ),
    (
        "{\"count\":2,\"interval\":\"5s\"}",
        &[S, E],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"count\":3,\"interval\":\"5s\",\"failureLimit\":1,\"consecutiveSuccessLimit\":2}",
        &[S, F, S],
        Inconclusive,
        Rule::CountReached,
    ),
    (
        "{\"count\":3,\"interval\":\"5s\",\"failureLimit\":-1,\"consecutiveSuccessLimit\":2}",
        &[S, F, S],
        Failed,
        Rule::CountReached,
    ),
    (
        "{\"failureLimit\":-1,\"consecutiveSuccessLimit\":2,\"interval\":\"5s\"}",
        &[F, F, F, S, S],
        Successful,
        Rule::ConsecutiveSuccessLimit,
    ),
    // Effective count: neither, interval alone, count 0.
    ("{}", &[S], Successful, Rule::CountReached),
    ("{\"interval\":\"5s\"}", &[S, S, S], Running, Rule::GoesOn),
    ("{\"count\":0}", &[S], Successful, Rule::CountReached),
    ("{\"count\":0,\"interval\":\"5s\"}", &[S], Running, Rule::GoesOn),
    (
        "{\"count\":1,\"interval\":\"5s\"}",
        &[S],
        Successful,
        Rule::CountReached,
    ),
    // Errors are no part of the count, and only they count in a row.
    (
        "{\"count\":2,\"interval\":\"5s\",\"consecutiveErrorLimit\":1}",
        &[S, E, F, E, S],
        Failed,
        Rule::FailureLimit,
    ),
    (
        "{\"count\":3,\"interval\":\"5s\",\"failureLimit\":1,\"consecutiveErrorLimit\":1}",
        &[E, F, E, S],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"interval\":\"5s\",\"inconclusiveLimit\":3}",
        &[E, E, E, E, I, E, E, E, E],
        Running,
        Rule::GoesOn,
    ),
    (
        "{\"consecutiveErrorLimit\":\"1\"}",
        &[E, E],
        Error,
        Rule::ConsecutiveErrorLimit,
    ),
    // Whatever is not good begins the row of good ones anew.
    (
        "{\"consecutiveSuccessLimit\":2,\"interval\":\"5s\",\"inconclusiveLimit\":2}",
        &[S, I, S],
        Running,
        Rule::GoesOn,
    ),
    // A limit that is passed counts before good ones in a row do, and before the count.
    (
        "{\"consecutiveSuccessLimit\":1,\"interval\":\"5s\",\"inconclusiveLimit\":0}",
        &[I, S],
        Inconclusive,
        Rule::InconclusiveLimit,
    ),
    (
        "{\"count\":2,\"interval\":\"5s\"}",
        &[S, F],
        Failed,
        Rule::FailureLimit,
    ),
    (
        "{\"count\":2,\"interval\":\"5s\",\"inconclusiveLimit\":1}",
        &[I, S],
        Successful,
        Rule::CountReached,
    ),
    // Good ones in a row count before the count does, also with its last one.
    (
        "{\"count\":3,\"interval\":\"5s\",\"failureLimit\":1,\"consecutiveSuccessLimit\":2}",
        &[F, S, S],
        Successful,
        Rule::ConsecutiveSuccessLimit,
    ),
    // Texts that are no numbers are 0.
    ("{\"failureLimit\":\"some\"}", &[F], Failed, Rule::FailureLimit),
    (
        "{\"count\":\"many\",\"interval\":\"5s\"}",
        &[S, S],
        Running,
        Rule::GoesOn,
    ),
    // Safe mode: no data is retried, and an outcome of its own.
    ("{}", &[NoData], Running, Rule::GoesOn),
    ("{}", &[NoData, S], Successful, Rule::CountReached),
    (
        "{}",
        &[NoData, NoData, NoData, NoData, NoData],
        NoData,
        Rule::NoDataLimit,
    ),
];

#[test]
fn every_line_of_the_order() {
    for (text, phases, phase, rule) in CASES {
        let said = assess(&metric(text), &standing(phases));
        assert_eq!(
            (said.phase, said.rule),
            (*phase, *rule),
            "{text} {phases:?}: {}",
            said.reason
        );
    }
}

#[test]
fn a_run_that_ends_calls_what_goes_on_successful() {
    let ending = |phases: &[Phase]| {
        let standing = Standing {
            terminating: true,
            ..standing(phases)
        };
        assess(&metric("{\"interval\":\"5s\"}"), &standing).phase
    };
    assert_eq!(ending(&[]), Successful);
    assert_eq!(ending(&[S]), Successful);
    assert_eq!(ending(&[F]), Failed);
    assert_eq!(ending(&[S, Running]), Running);
}

#[test]
fn what_is_completed_stays() {
    for phase in [Successful, Failed, Error, Inconclusive] {
        let standing = Standing {
            phase,
            ..standing(&[F, F, E])
        };
        assert_eq!(assess(&metric("{}"), &standing).phase, phase);
    }
}

#[test]
fn counters_are_argos() {
    let counters = Counters::of(&[S, S, E, I, F, E, E]);
    let expected = Counters {
        count: 4,
        successful: 2,
        failed: 1,
        inconclusive: 1,
        error: 3,
        consecutive_error: 2,
        ..Counters::default()
    };
    assert_eq!(counters, expected);
    assert_eq!(Counters::of(&[E, S, S]).consecutive_success, 2);
    assert_eq!(Counters::of(&[S, S, E]).consecutive_success, 0);
    assert_eq!(Counters::of(&[E, E, I]).consecutive_error, 0);
}
