//! An alert to try receivers with.

use auspex_proto::alert::{Cause, Status};
use auspex_proto::{Alert, sample};

pub(crate) fn alert(status: Status) -> Alert {
    let meta = sample::meta("alert-1", "acme/shop", 7).unwrap();
    Alert {
        title: "Rolled back: checkout v2".to_owned(),
        causes: vec![Cause {
            what: "errors".to_owned(),
            weight: 1.0,
            detail: "41 of 312".to_owned(),
        }],
        facts: vec![("harmed".to_owned(), "7 requests".to_owned())],
        receivers: vec!["team".to_owned()],
        ..sample::alert(meta, "auspex/acme/shop/checkout/rollout/checkout/v2", status)
    }
}
