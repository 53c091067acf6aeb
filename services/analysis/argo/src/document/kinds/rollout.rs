//! A rollout, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::routing::{HeaderRoute, MirrorRoute, PingPong, TrafficRouting};
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
        selector: Option<Selector>,
        /// The pods.
        template: Option<Json>,
        /// A Deployment whose pods are meant.
        workload_ref: Option<Workload>,
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
        analysis: Option<KeptRuns>,
    }
);
argo!(
    /// Whose pods.
    Selector {
        /// Labels that they have.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        match_labels: BTreeMap<String, String>,
        /// What holds of their labels.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        match_expressions: Vec<Expression>,
    }
);
argo!(
    /// What holds of a label.
    Expression {
        /// The label.
        key: String,
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        operator: String,
        /// Its values.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        values: Vec<String>,
    }
);
argo!(
    /// A workload whose pods are meant.
    Workload {
        /// Its version.
        api_version: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// `never`, `onsuccess` or `progressively`.
        scale_down: String,
    }
);
argo!(
    /// How many runs are kept.
    KeptRuns {
        /// Good ones.
        successful_run_history_limit: Option<i64>,
        /// Others.
        unsuccessful_run_history_limit: Option<i64>,
    }
);
argo!(
    /// Labels and annotations of pods.
    PodMetadata {
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
    }
);
argo!(
    /// Where pods run: exactly one of the two.
    AntiAffinity {
        /// Rather not beside the other version's.
        preferred_during_scheduling_ignored_during_execution: Option<Preferred>,
        /// Never beside them.
        required_during_scheduling_ignored_during_execution: Option<Required>,
    }
);
argo!(
    /// How much rather.
    Preferred {
        /// 1..=100.
        weight: i64,
    }
);
argo!(
    /// Nothing more is to be said.
    Required {}
);
argo!(
    /// When a step counts as scaled.
    Threshold {
        /// `Percent` or `Pods`.
        r#type: String,
        /// So many.
        value: i64,
    }
);
argo!(
    /// A plugin of Argo's.
    Plugin {
        /// Its name.
        name: String,
        /// What it is told.
        config: Json,
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
        anti_affinity: Option<AntiAffinity>,
        /// Labels of the preview.
        preview_metadata: Option<PodMetadata>,
        /// Labels of what is active.
        active_metadata: Option<PodMetadata>,
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
        anti_affinity: Option<AntiAffinity>,
        /// Labels of the candidate.
        canary_metadata: Option<PodMetadata>,
        /// Labels of the stable version.
        stable_metadata: Option<PodMetadata>,
        /// Seconds.
        scale_down_delay_seconds: Option<i64>,
        /// Old ReplicaSets that stay.
        scale_down_delay_revision_limit: Option<i64>,
        /// Seconds.
        abort_scale_down_delay_seconds: Option<i64>,
        /// Stable shrinks as the candidate grows.
        dynamic_stable_scale: Option<bool>,
        /// Two services that change roles.
        ping_pong: Option<PingPong>,
        /// At least so many pods.
        min_pods_per_replica_set: Option<i64>,
        /// When a step counts as scaled.
        replica_progress_threshold: Option<Threshold>,
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
        plugin: Option<Plugin>,
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
