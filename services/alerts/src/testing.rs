//! An alert to try receivers with.

use auspex_proto::alert::{Cause, Kind, Severity, Status};
use auspex_proto::{Alert, FactId, Meta, Project, ServiceName, Timestamp};

pub(crate) fn alert(status: Status) -> Alert {
    let name = |text: &str| ServiceName::new(text).ok();
    Alert {
        meta: Meta {
            id: FactId::derived("alerts", 7, "acme/shop", 0),
            project: Project::new("acme/shop").unwrap(),
            time: Timestamp(1_700_000_000_000),
            cause: 7,
            source: "alerts".to_owned(),
        },
        kind: Kind::RolledBack,
        severity: Severity::Error,
        status,
        dedup_key: "auspex/acme/shop/checkout/rollout/checkout/v2".to_owned(),
        title: "Rolled back: checkout v2".to_owned(),
        text: "What: it was rolled back".to_owned(),
        service: name("checkout"),
        rollout: "checkout".to_owned(),
        causes: vec![Cause {
            what: "errors".to_owned(),
            weight: 1.0,
            detail: "41 of 312".to_owned(),
        }],
        facts: vec![("harmed".to_owned(), "7 requests".to_owned())],
        receivers: vec!["team".to_owned()],
    }
}
