//! A rollout, field by field.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Analysis, Background, ExperimentStep};
use crate::whole::IntOrString;

argo!(
    /// A rollout.
    Rollout {
        /// `argoproj.io/v1alpha1`.
        api_version: String,
        /// `Rollout`.
        kind: String,
        /// Kubernetes' metadata.
        metadata: Json,
        /// What is wanted.
        spec: RolloutSpec,
        /// What Argo's controller has written.
        status: Option<Json>,
    }
);
argo!(
    /// What is wanted of a rollout.
    RolloutSpec {
        /// Pods; absent: 1.
        replicas: Option<i64>,
        /// Whose pods.
        selector: Option<Json>,
        /// The pods.
        template: Option<Json>,
        /// A Deployment whose pods are meant.
        workload_ref: Option<Json>,
        /// Seconds.
        min_ready_seconds: Option<i64>,
        /// How many revisions back need no steps.
        rollback_window: Option<RollbackWindow>,
        /// How.
        strategy: Strategy,
        /// Old ReplicaSets that are kept.
        revision_history_limit: Option<i64>,
        /// Nothing goes on.
        paused: Option<bool>,
        /// Seconds.
        progress_deadline_seconds: Option<i64>,
        /// Whether that aborts.
        progress_deadline_abort: Option<bool>,
        /// Pods older than that are restarted.
        restart_at: Option<Json>,
        /// How many runs are kept.
        analysis: Option<Json>,
    }
);
argo!(
    /// How many revisions back need no steps.
    RollbackWindow {
        /// So many.
        revisions: i64,
    }
);
argo!(
    /// Exactly one of the two.
    Strategy {
        /// Everything in one go.
        blue_green: Option<BlueGreen>,
        /// By steps.
        canary: Option<Canary>,
    }
);
argo!(
    /// Everything in one go.
    BlueGreen {
        /// Users' service.
        active_service: String,
        /// The preview's.
        preview_service: String,
        /// Pods of the preview.
        preview_replica_count: Option<i64>,
        /// Whether the switch needs no person; absent: it needs none.
        auto_promotion_enabled: Option<bool>,
        /// Seconds after which it needs none.
        auto_promotion_seconds: Option<i64>,
        /// Pods that may be missing.
        max_unavailable: Option<IntOrString>,
        /// Seconds for which the old pods stay; absent: 30.
        scale_down_delay_seconds: Option<i64>,
        /// Old ReplicaSets that stay.
        scale_down_delay_revision_limit: Option<i64>,
        /// Before the switch.
        pre_promotion_analysis: Option<Analysis>,
        /// After it.
        post_promotion_analysis: Option<Analysis>,
        /// Where pods run.
        anti_affinity: Option<Json>,
        /// Labels of the preview.
        preview_metadata: Option<Json>,
        /// Labels of what is active.
        active_metadata: Option<Json>,
        /// Seconds.
        abort_scale_down_delay_seconds: Option<i64>,
    }
);
argo!(
    /// By steps.
    Canary {
        /// The candidate's service.
        canary_service: String,
        /// The stable version's.
        stable_service: String,
        /// The steps.
        steps: Vec<Step>,
        /// Who routes.
        traffic_routing: Option<TrafficRouting>,
        /// Pods that may be missing.
        max_unavailable: Option<IntOrString>,
        /// Pods that may be too many.
        max_surge: Option<IntOrString>,
        /// In the background.
        analysis: Option<Background>,
        /// Where pods run.
        anti_affinity: Option<Json>,
        /// Labels of the candidate.
        canary_metadata: Option<Json>,
        /// Labels of the stable version.
        stable_metadata: Option<Json>,
        /// Seconds.
        scale_down_delay_seconds: Option<i64>,
        /// Old ReplicaSets that stay.
        scale_down_delay_revision_limit: Option<i64>,
        /// Seconds.
        abort_scale_down_delay_seconds: Option<i64>,
        /// Stable shrinks as the candidate grows.
        dynamic_stable_scale: Option<bool>,
        /// Two services that change roles.
        ping_pong: Option<Json>,
        /// At least so many pods.
        min_pods_per_replica_set: Option<i64>,
        /// When a step counts as scaled.
        replica_progress_threshold: Option<Json>,
    }
);
argo!(
    /// Who routes: any of these.
    TrafficRouting {
        /// Istio.
        istio: Option<Json>,
        /// NGINX Ingress.
        nginx: Option<Json>,
        /// AWS ALB.
        alb: Option<Json>,
        /// SMI.
        smi: Option<Json>,
        /// Ambassador.
        ambassador: Option<Json>,
        /// AWS App Mesh.
        app_mesh: Option<Json>,
        /// Traefik.
        traefik: Option<Json>,
        /// APISIX.
        apisix: Option<Json>,
        /// Others.
        plugins: Option<serde_json::Map<String, Json>>,
        /// Routes that steps make.
        managed_routes: Option<Vec<Named>>,
        /// What 100 % is called; absent: 100.
        max_traffic_weight: Option<i64>,
    }
);
argo!(
    /// A name.
    Named {
        /// It.
        name: String,
    }
);
argo!(
    /// One step.
    Step {
        /// The candidate's share.
        set_weight: Option<i64>,
        /// A wait.
        pause: Option<Pause>,
        /// A run that must succeed.
        analysis: Option<Analysis>,
        /// An experiment that must.
        experiment: Option<ExperimentStep>,
        /// The candidate's pods.
        set_canary_scale: Option<CanaryScale>,
        /// Users by header.
        set_header_route: Option<HeaderRoute>,
        /// Copies of requests.
        set_mirror_route: Option<MirrorRoute>,
        /// A plugin.
        plugin: Option<Json>,
    }
);
argo!(
    /// A wait.
    Pause {
        /// Seconds or a Go duration; absent: until a person resumes.
        duration: Option<IntOrString>,
    }
);
argo!(
    /// The candidate's pods.
    CanaryScale {
        /// A percentage.
        weight: Option<i64>,
        /// So many.
        replicas: Option<i64>,
        /// As its traffic.
        match_traffic_weight: Option<bool>,
    }
);
argo!(
    /// Users by header.
    HeaderRoute {
        /// Of managedRoutes.
        name: String,
        /// Which; none: the route goes.
        r#match: Vec<HeaderMatch>,
    }
);
argo!(
    /// A header's value.
    HeaderMatch {
        /// Its name.
        header_name: String,
        /// Its value.
        header_value: Option<TextMatch>,
    }
);
argo!(
    /// Exactly one of the three.
    TextMatch {
        /// All of it.
        exact: String,
        /// Its beginning.
        prefix: String,
        /// A pattern.
        regex: String,
    }
);
argo!(
    /// Copies of requests.
    MirrorRoute {
        /// Of managedRoutes.
        name: String,
        /// Which; none: the route goes.
        r#match: Vec<Json>,
        /// How many of 100; absent: all.
        percentage: Option<i64>,
    }
);
