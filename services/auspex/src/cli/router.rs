//! `auspex router`: data planes outside, and what holds there.

use auspex_proto::wire::router_service_client::RouterServiceClient;
use auspex_proto::wire::{GetRouterRequest, ListRoutersRequest, RouteView};
use clap::Subcommand;
use serde_json::{Value, json};

use super::reach::Reach;
use super::{Output, print};
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// All of them: what is asked, what was read, whether it is verified
    List {
        /// Of this project
        #[arg(long)]
        project: Option<String>,
        /// Of this service
        #[arg(long)]
        service: Option<String>,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// One of them, with everything there is to know
    Status {
        /// Its name
        name: String,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut client = RouterServiceClient::new(reach.open().await?);
        match self {
            Self::List {
                project,
                service,
                output,
            } => {
                let request = ListRoutersRequest {
                    project: project.unwrap_or_default(),
                    service: service.unwrap_or_default(),
                };
                let routers = client.list(request).await?.into_inner().routers;
                match output {
                    Output::Text => print::text(&list(&routers)),
                    Output::Json => {
                        print::json(&Value::from(routers.iter().map(document).collect::<Vec<_>>()))
                    }
                }
            }
            Self::Status { name, output } => {
                let router = client.get(GetRouterRequest { name }).await?.into_inner();
                match output {
                    Output::Text => print::text(&status(&router)),
                    Output::Json => print::json(&document(&router)),
                }
            }
        }
    }
}

fn document(router: &RouteView) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let drift = router.drift.as_ref().map(|drift| {
        json!({
            "weight": drift.weight,
            "wanted": drift.wanted,
            "since_ms": drift.since_ms,
            "by": text(&drift.by),
        })
    });
    json!({
        "name": router.name,
        "project": router.project,
        "service": router.service,
        "kind": router.kind,
        "region": text(&router.region),
        "holder": text(&router.holder),
        "epoch": router.epoch,
        "rollout": text(&router.rollout),
        "decision": text(&router.decision_id),
        "weight": router.asked.then_some(router.weight),
        "observed_weight": router.observed.then_some(router.observed_weight),
        "verified": router.verified,
        "verified_by": text(&router.verified_by),
        "unverified_reason": text(&router.unverified_reason),
        "drift": drift,
        "suspended": router.suspended,
        "swapped": router.swapped,
        "fault": text(&router.fault),
        "note": text(&router.note),
        "can": router.can,
        "watchdog_ms": (router.watchdog_ms > 0).then_some(router.watchdog_ms),
        "without_control": router.without_control,
        "scaler": router.scaler,
        "flips": router.flips,
        "settled_ms": (router.settled_ms > 0).then_some(router.settled_ms),
    })
}

/// A weight, or a dash.
fn percent(known: bool, weight: u32) -> String {
    if known {
        format!("{weight} %")
    } else {
        "-".to_owned()
    }
}

/// What a person must know first.
fn state(router: &RouteView) -> String {
    match &router.drift {
        Some(drift) => format!("drift: {} %, not {} %", drift.weight, drift.wanted),
        None if !router.fault.is_empty() => format!("fault: {}", router.fault),
        None if router.suspended => "suspended: control is gone".to_owned(),
        None if router.holder.is_empty() => "nobody acts on it".to_owned(),
        None if !router.asked => "nothing asked yet".to_owned(),
        None => "as asked".to_owned(),
    }
}

fn list(routers: &[RouteView]) -> String {
    let head = [
        "NAME", "PROJECT", "SERVICE", "KIND", "WEIGHT", "READ", "VERIFIED", "STATE",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(routers.iter().map(|router| {
        vec![
            router.name.clone(),
            router.project.clone(),
            router.service.clone(),
            router.kind.clone(),
            percent(router.asked, router.weight),
            percent(router.observed, router.observed_weight),
            router.verified.clone(),
            state(router),
        ]
    }));
    print::table_or(
        &rows,
        "there are no such routes to data planes outside (`router.routes` names them)",
    )
}

fn status(router: &RouteView) -> String {
    let or_dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let verified = match router.unverified_reason.as_str() {
        "" => router.verified.clone(),
        why => format!("{} ({why})", router.verified),
    };
    let can = match router.can.as_slice() {
        [] => "weights alone".to_owned(),
        can => can.join(", "),
    };
    let mut rows = vec![
        ("name", router.name.clone()),
        ("service", format!("{} of {}", router.service, router.project)),
        ("kind", router.kind.clone()),
        ("state", state(router)),
        ("asked", percent(router.asked, router.weight)),
        ("read", percent(router.observed, router.observed_weight)),
        ("verified", verified),
        ("verified by", or_dash(&router.verified_by)),
        ("rollout", or_dash(&router.rollout)),
        ("decision", or_dash(&router.decision_id)),
        (
            "places",
            if router.swapped {
                "swapped"
            } else {
                "as configured"
            }
            .to_owned(),
        ),
        ("holder", or_dash(&router.holder)),
        ("epoch", router.epoch.to_string()),
        ("can", can),
        ("without control", router.without_control.clone()),
        ("flips", router.flips.to_string()),
    ];
    for (name, text) in [("region", &router.region), ("note", &router.note)] {
        if !text.is_empty() {
            rows.push((name, text.clone()));
        }
    }
    if let Some(drift) = router.drift.as_ref().filter(|drift| !drift.by.is_empty()) {
        rows.push(("moved by", drift.by.clone()));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, text)| format!("{name:width$}  {text}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use auspex_proto::wire::Drift;

    use super::*;

    fn router() -> RouteView {
        RouteView {
            name: "checkout-haproxy".to_owned(),
            project: "acme/shop".to_owned(),
            service: "checkout".to_owned(),
            kind: "haproxy".to_owned(),
            holder: "4711".to_owned(),
            asked: true,
            weight: 5,
            observed: true,
            observed_weight: 5,
            verified: "yes".to_owned(),
            ..RouteView::default()
        }
    }

    #[test]
    fn a_list_says_what_matters_first() {
        let drifted = RouteView {
            drift: Some(Drift {
                weight: 60,
                wanted: 5,
                ..Drift::default()
            }),
            observed_weight: 60,
            verified: "no".to_owned(),
            ..router()
        };
        let shown = list(&[router(), drifted]);
        let wanted = "\
NAME              PROJECT    SERVICE   KIND     WEIGHT  READ  VERIFIED  STATE
checkout-haproxy  acme/shop  checkout  haproxy  5 %     5 %   yes       as asked
checkout-haproxy  acme/shop  checkout  haproxy  5 %     60 %  no        drift: 60 %, not 5 %
";
        assert_eq!(shown, wanted);
        assert!(list(&[]).starts_with("there are no such routes"));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let value = document(&RouteView {
            observed: false,
            ..router()
        });
        assert_eq!(value["observed_weight"], Value::Null);
        assert_eq!(value["weight"], 5);
        assert_eq!(value["drift"], Value::Null);
        assert!(status(&router()).contains("read             5 %\n"));
    }
}
