//! What Argo Rollouts' own validation refuses of a rollout, its strategy's steps aside: with its field and its sentence.

use serde_json::Value as Json;

use super::Paper;
use crate::document::Rollout;
use crate::document::kinds::{AntiAffinity, Canary, Istio, PingPong, TextMatch, TrafficRouting};

/// Numbers of the spec, selector and template.
pub(super) fn spec(rollout: &Rollout, paper: &mut Paper<'_>) {
    let spec = &rollout.spec;
    for (field, value) in [
        ("replicas", spec.replicas),
        ("minReadySeconds", spec.min_ready_seconds),
        ("revisionHistoryLimit", spec.revision_history_limit),
        ("progressDeadlineSeconds", spec.progress_deadline_seconds),
    ] {
        if value.is_some_and(|value| value < 0) {
            paper.refuse(format!("spec.{field}"), "must be greater than or equal to 0");
        }
    }
    let ready = spec.min_ready_seconds.unwrap_or(0);
    if spec.progress_deadline_seconds.unwrap_or(600) <= ready {
        paper.refuse(
            "spec.progressDeadlineSeconds",
            "must be greater than minReadySeconds",
        );
    }
    match (&spec.workload_ref, &spec.selector) {
        (None, None) => paper.refuse("spec.selector", "Rollout has missing field '.spec.selector'"),
        (None, Some(selector))
            if selector.match_labels.is_empty() && selector.match_expressions.is_empty() =>
        {
            paper.refuse("spec.selector", "empty selector is invalid for deployment");
        }
        _ => {}
    }
    // As Argo has it: a template is empty when nobody has labelled it.
    let labelled = spec.template.as_ref().is_some_and(|template| {
        ["labels", "annotations"].iter().any(|field| {
            let given = template.pointer(&format!("/metadata/{field}"));
            given
                .and_then(Json::as_object)
                .is_some_and(|given| !given.is_empty())
        })
    });
    if spec.workload_ref.is_some() && labelled {
        paper.refuse(
            "spec.template",
            "template must be empty for workload reference rollout",
        );
    }
}

/// Where pods run: exactly one of two.
pub(super) fn anti_affinity(path: &str, given: Option<&AntiAffinity>, paper: &mut Paper<'_>) {
    let Some(given) = given else { return };
    let preferred = &given.preferred_during_scheduling_ignored_during_execution;
    let required = &given.required_during_scheduling_ignored_during_execution;
    if preferred.is_some() == required.is_some() {
        paper.refuse(path, "AntiAffinity must have exactly one strategy listed");
    }
    if preferred
        .as_ref()
        .is_some_and(|preferred| !(1..=100).contains(&preferred.weight))
    {
        paper.refuse(
            format!("{path}.weight"),
            "AntiAffinity weight must be between 1-100",
        );
    }
}

/// Services that change roles.
pub(super) fn ping_pong(canary: &Canary, (path, given): (&str, &PingPong), paper: &mut Paper<'_>) {
    let routers = |routing: &TrafficRouting| {
        let plugins = routing.plugins.as_ref().is_some_and(|all| !all.is_empty());
        routing.alb.is_some() || routing.istio.is_some() || plugins
    };
    if canary
        .traffic_routing
        .as_ref()
        .is_some_and(|routing| !routers(routing))
    {
        paper.refuse(
            path,
            "Ping-pong feature works with the ALB, Istio, and plugin-based traffic routers only",
        );
    }
    for (field, service) in [
        ("pingService", &given.ping_service),
        ("pongService", &given.pong_service),
    ] {
        if service.is_empty() {
            paper.refuse(
                format!("{path}.{field}"),
                "Ping service and Pong service must to be set to use Ping-Pong feature",
            );
        }
    }
    if given.ping_service == given.pong_service {
        paper.refuse(
            format!("{path}.pingService"),
            "This rollout uses the same service for the ping and pong services, but two different services are required.",
        );
    }
}

/// One route or several, not both and not none.
pub(super) fn istio(path: &str, istio: &Istio, paper: &mut Paper<'_>) {
    let several = istio.virtual_services.as_ref().is_some_and(|all| !all.is_empty());
    if istio.virtual_service.is_some() == several {
        paper.refuse(
            path,
            "either VirtualService or VirtualServices must be configured",
        );
    }
}

/// Exactly one way of comparing a text.
pub(super) fn text_match(path: &str, value: &TextMatch, paper: &mut Paper<'_>) -> bool {
    let all = [&value.exact, &value.prefix, &value.regex];
    match all.into_iter().filter(|text| !text.is_empty()).count() {
        1 => return true,
        0 => paper.refuse(
            path,
            "StringMatch value missed, match value must have one of the following: exact, regex, prefix",
        ),
        _ => paper.refuse(
            path,
            "StringMatch match value must have exactly one of the following: exact, regex, prefix",
        ),
    }
    false
}
