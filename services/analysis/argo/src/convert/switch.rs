//! The blueGreen strategy.

use serde_json::{Map, Value as Json, json};

use super::{Paper, runs, valid};
use crate::document::Rollout;
use crate::document::kinds::BlueGreen;
use crate::plan::{Plan, Run, When};

const PATH: &str = "spec.strategy.blueGreen";

pub(super) fn convert(
    blue_green: &BlueGreen,
    rollout: &Rollout,
    paper: &mut Paper<'_>,
    spec: &mut Map<String, Json>,
) -> Plan {
    let same = blue_green.active_service == blue_green.preview_service;
    if blue_green.active_service.is_empty() {
        paper.refuse(
            format!("{PATH}.activeService"),
            "Rollout has missing field '.spec.strategy.blueGreen.activeService'",
        );
    } else if same {
        paper.refuse(
            format!("{PATH}.activeService"),
            "This rollout uses the same service for the active and preview services, but two different services are required.",
        );
    }
    let kept = rollout.spec.revision_history_limit.unwrap_or(10);
    if blue_green
        .scale_down_delay_revision_limit
        .is_some_and(|limit| kept < limit)
    {
        paper.refuse(
            format!("{PATH}.scaleDownDelayRevisionLimit"),
            "This rollout's revision history limit can not be smaller than the rollout's scale down limit",
        );
    }
    valid::anti_affinity(
        &format!("{PATH}.antiAffinity"),
        blue_green.anti_affinity.as_ref(),
        paper,
    );
    let mut plan = Plan {
        mode: paper.mode,
        ..Plan::default()
    };
    for (field, analysis, when) in [
        (
            "prePromotionAnalysis",
            &blue_green.pre_promotion_analysis,
            When::PrePromotion,
        ),
        (
            "postPromotionAnalysis",
            &blue_green.post_promotion_analysis,
            When::PostPromotion,
        ),
    ] {
        if let Some(analysis) = analysis {
            let path = format!("{PATH}.{field}");
            plan.runs
                .push(runs::of_analysis(analysis, (field, &path, when), paper));
        }
    }
    notes(blue_green, paper);
    spec.insert("strategy".to_owned(), strategy(blue_green));
    approvals(&plan, spec);
    spec.insert("min_samples".to_owned(), json!(0));
    plan
}

/// Before the switch, and before it is for good, the run has to approve; a person may in its place.
fn approvals(plan: &Plan, spec: &mut Map<String, Json>) {
    let point = |run: &Run| match run.when {
        When::PrePromotion => "promotion",
        _ => "end",
    };
    let approvals: Vec<Json> = plan
        .runs
        .iter()
        .map(|run| json!({"name": run.name, "at": point(run)}))
        .collect();
    if !approvals.is_empty() {
        spec.insert("gates".to_owned(), json!({"approvals": approvals}));
    }
}

fn strategy(blue_green: &BlueGreen) -> Json {
    let waits = blue_green.auto_promotion_seconds.unwrap_or(0).max(0);
    let automatic = blue_green.auto_promotion_enabled.unwrap_or(true) || waits > 0;
    json!({"blueGreen": {
        "preview": format!("{waits}s"),
        "autoPromotion": automatic,
        "postAnalysis": "0s",
        "scaleDownDelay": format!("{}s", blue_green.scale_down_delay_seconds.unwrap_or(30).max(0)),
    }})
}

fn notes(blue_green: &BlueGreen, paper: &mut Paper<'_>) {
    paper.note(
        format!("{PATH}.activeService"),
        "services are named in the router's configuration; a preview is a cohort: `cohorts` with a header or cookie",
    );
    for (field, given) in [
        ("previewReplicaCount", blue_green.preview_replica_count.is_some()),
        ("maxUnavailable", blue_green.max_unavailable.is_some()),
        ("antiAffinity", blue_green.anti_affinity.is_some()),
        ("previewMetadata", blue_green.preview_metadata.is_some()),
        ("activeMetadata", blue_green.active_metadata.is_some()),
        (
            "scaleDownDelayRevisionLimit",
            blue_green.scale_down_delay_revision_limit.is_some(),
        ),
        (
            "abortScaleDownDelaySeconds",
            blue_green.abort_scale_down_delay_seconds.is_some(),
        ),
    ] {
        if given {
            paper.note(
                format!("{PATH}.{field}"),
                "concerns ReplicaSets, which Auspex does not make: say it in the Deployments",
            );
        }
    }
    if blue_green.pre_promotion_analysis.is_some() {
        paper.note(
            format!("{PATH}.prePromotionAnalysis"),
            "the switch waits for the approval of this name, which the analysis gives when it has succeeded",
        );
    }
    if blue_green.post_promotion_analysis.is_some() {
        paper.note(
            format!("{PATH}.postPromotionAnalysis"),
            "stable is kept until the approval of this name, which the analysis gives when it has succeeded",
        );
    }
}
