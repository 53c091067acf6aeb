//! One of each fact.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use auspex_proto::command::{Ask, CheckReport};
use auspex_proto::decision::{Action, Affinity, MetricEvidence, Mode, Phase, Reason, TrackTarget, Versions};
use auspex_proto::event::{Body, Change, ChangeComplexity, ChangeStats};
use auspex_proto::intent::{By, Cohort, Match, RegionWeight, Scale, UserHash};
use auspex_proto::observation::{Applied, Value};
use auspex_proto::report::{Capacity, Drift, Verified};
use auspex_proto::rows::{FeatureRow, RowColumn, RowShape};
use auspex_proto::score::{Band, Contribution, Trial};
use auspex_proto::vector::{Feature, Status, schema_hash};
use auspex_proto::*;

mod recalibration;

pub(crate) fn meta() -> Meta {
    Meta {
        id: FactId::new("id-1").unwrap(),
        project: Project::new("acme/shop").unwrap(),
        time: Timestamp(1_700_000_000_000),
        cause: 7,
        source: "test".to_owned(),
    }
}

pub(crate) fn entity() -> Entity {
    Entity {
        kind: EntityKind::Deployment,
        id: "42".to_owned(),
        revision: Revision::new("abc123").unwrap(),
        service: Some(ServiceName::new("checkout").unwrap()),
    }
}

pub(crate) fn event() -> Event {
    let stats = ChangeStats {
        lines_added: Some(10.0),
        entropy: Some(1.5),
        ..ChangeStats::default()
    };
    let change = Change {
        revision: Revision::new("abc123").unwrap(),
        branch: "main".to_owned(),
        author: "ada".to_owned(),
        title: "Fix rounding".to_owned(),
        paths: vec!["src/price.rs".to_owned()],
        stats: Some(stats),
        authored: Some(Timestamp(1_699_999_000_000)),
        complexity: None,
    };
    Event {
        meta: meta(),
        body: Body::Change(change),
    }
}

pub(crate) fn observations() -> ObservationBatch {
    let observation = |metric: &str, value| Observation {
        service: ServiceName::new("checkout").unwrap(),
        track: Some(Track::Candidate),
        region: "eu".to_owned(),
        metric: metric.to_owned(),
        instance: "proxy-1".to_owned(),
        start: Timestamp(1_700_000_000_000),
        length: Duration::from_secs(1),
        value,
    };
    let histogram = Value::Histogram {
        bounds: vec![1.0, 10.0],
        counts: vec![1, 2, 3],
        sum: 55.5,
    };
    ObservationBatch {
        meta: meta(),
        observations: vec![
            observation("requests", Value::Counts { bad: 2, total: 9 }),
            observation("latency_ms", histogram),
            observation("cpu", Value::Gauge(0.25)),
        ],
        applied: vec![Applied {
            service: ServiceName::new("checkout").unwrap(),
            decision: Some(FactId::new("canary:9:0:acme/shop").unwrap()),
            weight: 10,
            suspended: false,
            instance: "proxy-1".to_owned(),
            report: RouterReport::default(),
        }],
        environment: String::new(),
    }
}

pub(crate) fn vector() -> FeatureVector {
    FeatureVector {
        meta: meta(),
        entity: entity(),
        feature_service: "change-risk@1".to_owned(),
        schema_hash: schema_hash(["files", "entropy"]),
        features: vec![
            Feature::present("files", 3.0),
            Feature::absent("entropy", Status::NotFound),
        ],
        context: vec![Feature::present("hour", 14.0)],
        wants_reasons: true,
    }
}

pub(crate) fn score() -> Score {
    Score {
        meta: meta(),
        entity: entity(),
        p_failure: 0.75,
        low: 0.5,
        high: 0.875,
        band: Band::High,
        model: "change-risk@1".to_owned(),
        schema_hash: schema_hash(["files", "entropy"]),
        reasons: vec![Contribution {
            feature: "files".to_owned(),
            value: 3.0,
            log_odds: 0.5,
        }],
        missing: vec!["entropy".to_owned()],
        mitigations: Vec::new(),
        trial: Trial::default(),
        recalibration: None,
    }
}

pub(crate) fn decision() -> Decision {
    let evidence = MetricEvidence {
        metric: "requests".to_owned(),
        verdict: "worse".to_owned(),
        reason: "evidence".to_owned(),
        log_e_worse: 5.0,
        log_e_safe: -3.0,
        effect: 8.0,
        low: 2.0,
        high: 20.0,
        candidate_bad: 9,
        candidate_total: 40,
        baseline_bad: 1,
        baseline_total: 700,
        diff_upper: 0.5,
        difference: false,
    };
    let target = |revision: &str| TrackTarget {
        revision: revision.to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
    };
    Decision {
        meta: meta(),
        rollout: RolloutName::new("checkout-42").unwrap(),
        service: ServiceName::new("checkout").unwrap(),
        mode: Mode::Act,
        phase: Phase::RolledBack,
        action: Action::RollBack,
        reason: Reason::EvidenceWorse,
        reason_text: "9 of 40 requests failed".to_owned(),
        weight: 0,
        previous_weight: 5,
        acts: true,
        prior: 0.75,
        prior_is_base_rate: false,
        posterior: 0.99,
        evidence: vec![evidence],
        harmed: 9,
        versions: Versions {
            model: "m".to_owned(),
            policy: "p".to_owned(),
            features: "f".to_owned(),
        },
        stable: target("old"),
        candidate: target("abc123"),
        number: 4,
        affinity: Some(Affinity::Cookie("user".to_owned())),
        slo_ms: Some(250.0),
        score: Some(FactId::new("scoring:8:0:x").unwrap()),
        intent: None,
        step: None,
    }
}

/// A decision that asks for everything a router or scaler may be asked for.
pub(crate) fn decision_with_intent() -> Decision {
    let cohort = |name: &str, by| Cohort {
        name: name.to_owned(),
        by,
        stable: name == "partners",
    };
    let pair = |name: &str, value: &str| Match {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let users = UserHash {
        header: String::new(),
        cookie: "uid".to_owned(),
        share: 0.125,
        salt: "s".to_owned(),
    };
    let scale = |percent, replicas| Some(Scale { percent, replicas });
    Decision {
        phase: Phase::Baking,
        action: Action::Bake,
        reason: Reason::Switched,
        intent: Some(Intent {
            cohorts: vec![
                cohort("staff", By::Header(pair("x-staff", ""))),
                cohort("partners", By::Cookie(pair("partner", "yes"))),
                cohort("some", By::User(users)),
            ],
            mirror: 5,
            stable: scale(100, 4),
            candidate: scale(50, 2),
            sampling: Some(0.25),
            regions: vec![RegionWeight {
                region: "eu".to_owned(),
                weight: 100,
            }],
        }),
        ..decision()
    }
}

/// A router that tells everything.
pub(crate) fn observations_with_report() -> ObservationBatch {
    let mut batch = observations();
    batch.observations.clear();
    let capacity = |percent, ready| {
        Some(Capacity {
            percent,
            ready,
            wanted: 4,
        })
    };
    batch.applied[0].report = RouterReport {
        router: "envoy".to_owned(),
        verified: Verified::No,
        drift: Some(Drift {
            weight: 30,
            wanted: 10,
            since: Timestamp(1_700_000_000_000),
            by: "somebody".to_owned(),
        }),
        stable: capacity(100, 4),
        candidate: capacity(25, 1),
        region: "eu".to_owned(),
        fault: "no such cluster".to_owned(),
        scaler: false,
    };
    batch
}

/// What was added later, each under the name of its own file.
pub(crate) fn later() -> Vec<(&'static str, Fact)> {
    let mut at_a_step = decision();
    at_a_step.step = Some(0);
    let command = |ask| {
        Fact::Command(Command {
            meta: meta(),
            rollout: RolloutName::new("checkout-42").unwrap(),
            actor: "ada".to_owned(),
            note: "because".to_owned(),
            ask,
        })
    };
    let approve = Ask::Approve {
        gate: "go".to_owned(),
        ticket: "CHG-1".to_owned(),
    };
    let report = Ask::Report(CheckReport {
        check: "smoke".to_owned(),
        attempt: 2,
        passed: true,
        detail: "200".to_owned(),
        started_ms: 1_700_000_000_000,
    });
    let mut measured = event();
    if let Body::Change(change) = &mut measured.body {
        change.complexity = Some(ChangeComplexity {
            sum: 21.0,
            mean: 1.75,
            deviation: 0.5,
        });
    }
    let placed = ObservationBatch {
        environment: "production".to_owned(),
        ..observations()
    };
    vec![
        ("score_recalibrated", Fact::Score(recalibration::recalibrated())),
        ("model_recalibration", Fact::Model(recalibration::reading())),
        ("event_complexity", Fact::Event(measured)),
        ("observation_environment", Fact::Observations(placed)),
        ("decision_intent", Fact::Decision(decision_with_intent())),
        ("decision_step", Fact::Decision(at_a_step)),
        (
            "observation_report",
            Fact::Observations(observations_with_report()),
        ),
        ("command_approve", command(approve)),
        ("command_retry", command(Ask::Retry)),
        ("command_undo", command(Ask::Undo)),
        ("command_report", command(report)),
    ]
}

pub(crate) fn alert() -> Alert {
    Alert {
        meta: meta(),
        kind: alert::Kind::RolledBack,
        severity: alert::Severity::Error,
        status: alert::Status::Firing,
        dedup_key: "auspex/acme/shop".to_owned(),
        title: "rolled back".to_owned(),
        text: "why".to_owned(),
        service: Some(ServiceName::new("checkout").unwrap()),
        rollout: "checkout-42".to_owned(),
        causes: vec![alert::Cause {
            what: "change".to_owned(),
            weight: 0.5,
            detail: "3 files".to_owned(),
        }],
        facts: vec![("harmed".to_owned(), "9".to_owned())],
        receivers: vec!["slack".to_owned()],
    }
}

pub(crate) fn rows() -> FeatureRows {
    let column = |name: &str, text| RowColumn {
        name: name.to_owned(),
        text,
        keep: 18,
        half_life: Duration::from_secs(3_600),
    };
    FeatureRows {
        meta: meta(),
        source: "orders".to_owned(),
        shape: RowShape {
            columns: vec![column("amount", false), column("coupon", true)],
            hops: [true, false, true],
            memory: Some(Duration::from_secs(86_400)),
        },
        rows: vec![FeatureRow {
            entity: "service=shop".to_owned(),
            event: Timestamp(1_000),
            created: Timestamp(2_000),
            id: 7,
            numbers: vec![Some(9.5)],
            texts: vec![None],
        }],
    }
}

pub(crate) fn all() -> Vec<Fact> {
    let command = Command {
        meta: meta(),
        rollout: RolloutName::new("checkout-42").unwrap(),
        actor: "ada".to_owned(),
        note: "because".to_owned(),
        ask: Ask::Promote { full: true },
    };
    let model = Model {
        meta: meta(),
        name: "change-risk".to_owned(),
        version: "1".to_owned(),
        location: "file:///models".to_owned(),
        sha256: "ab".repeat(32),
        schema_hash: schema_hash(["files"]),
        alias: "champion".to_owned(),
        percent: 0,
        experiment: String::new(),
        removed: false,
        actor: String::new(),
        note: String::new(),
        recalibration: None,
    };
    let tick = Tick {
        meta: meta(),
        boundary: Timestamp(2_000),
        previous: Some(Timestamp(1_000)),
    };
    vec![
        Fact::Event(event()),
        Fact::Observations(observations()),
        Fact::Vector(vector()),
        Fact::Score(score()),
        Fact::Decision(decision()),
        Fact::Alert(alert()),
        Fact::Command(command),
        Fact::Model(model),
        Fact::Tick(tick),
        Fact::Rows(rows()),
    ]
}
