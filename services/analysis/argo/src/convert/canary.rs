//! The canary strategy: steps, background analysis.

use serde_json::{Map, Value as Json, json};

use super::beside::Beside;
use super::{Paper, flag, percent, routing, runs, trial, valid};
use crate::document::Rollout;
use crate::document::kinds::{Canary, ExperimentStep, Pause, Step};
use crate::duration;
use crate::plan::{self, Plan, When};
use crate::whole::IntOrString;

const PATH: &str = "spec.strategy.canary";
/// Most steps of a policy.
const MOST: usize = 100;

/// What the steps have become.
#[derive(Default)]
struct Course {
    steps: Vec<Json>,
    plan: Plan,
    beside: Beside,
    /// How many of Auspex's steps there are before each of Argo's.
    starts: Vec<usize>,
}

impl Course {
    fn push(&mut self, step: Json, planned: plan::Step) {
        self.steps.push(step);
        self.plan.steps.push(planned);
    }
}

pub(super) fn convert(
    canary: &Canary,
    rollout: &Rollout,
    paper: &mut Paper<'_>,
    spec: &mut Map<String, Json>,
) -> Plan {
    routing::check(canary, paper);
    services(canary, paper);
    if surge(canary.max_surge.as_ref()) == Some(0) && surge(canary.max_unavailable.as_ref()) == Some(0) {
        paper.refuse(
            format!("{PATH}.maxSurge"),
            "MaxSurge and MaxUnavailable both can not be zero",
        );
    }
    let mut course = Course::default();
    course.plan.mode = paper.mode;
    for (at, step) in canary.steps.iter().enumerate() {
        course.starts.push(course.steps.len());
        one(canary, (at, step), &mut course, paper);
    }
    if let Some(background) = &canary.analysis {
        let from = background.starting_step.unwrap_or(0);
        let from = usize::try_from(from).unwrap_or(0);
        let last = canary.steps.len();
        if last > 0 && from > last {
            paper.note(
                format!("{PATH}.analysis.startingStep"),
                format!("is {from}, of {last} steps: it never begins, as with Argo Rollouts"),
            );
        }
        let from = match course.starts.get(from) {
            Some(start) => *start,
            // Past the last step there is one place more, and no other.
            None => course.steps.len() + from.saturating_sub(last) * usize::from(last > 0),
        };
        let analysis = crate::document::kinds::Analysis {
            templates: background.templates.clone(),
            args: background.args.clone(),
            dry_run: background.dry_run.clone(),
            measurement_retention: background.measurement_retention.clone(),
            analysis_run_metadata: None,
        };
        let path = format!("{PATH}.analysis");
        let run = runs::of_analysis(&analysis, ("background", &path, When::Background(from)), paper);
        course.plan.runs.push(run);
    }
    if course.steps.len() > MOST {
        paper.refuse(
            format!("{PATH}.steps"),
            format!(
                "are {} after conversion, at most {MOST} are possible",
                course.steps.len()
            ),
        );
    }
    policy(canary, rollout, (paper, spec), &mut course);
    course.plan
}

fn policy(
    canary: &Canary,
    rollout: &Rollout,
    (paper, spec): (&mut Paper<'_>, &mut Map<String, Json>),
    course: &mut Course,
) {
    if course.steps.is_empty() {
        rolling(canary, rollout, (paper, spec), course);
    } else {
        spec.insert("policy".to_owned(), json!({"steps": course.steps}));
    }
    // Argo's schedule alone is enough to promote.
    spec.insert("min_samples".to_owned(), json!(0));
    let cohorts = std::mem::take(&mut course.beside).into_cohorts(canary, paper);
    if !cohorts.is_empty() {
        spec.insert("cohorts".to_owned(), json!(cohorts));
    }
    let dynamic = canary.dynamic_stable_scale == Some(true);
    // Sizes follow weights where somebody scales: Argo has no place for that but `dynamicStableScale`.
    if flag(rollout, "scale", paper) || dynamic {
        let replicas = rollout.spec.replicas.unwrap_or(1);
        spec.insert(
            "scale".to_owned(),
            json!({"replicas": replicas, "dynamic": dynamic}),
        );
    }
}

/// Without steps Argo exchanges pods batch by batch.
fn rolling(
    canary: &Canary,
    rollout: &Rollout,
    (paper, spec): (&mut Paper<'_>, &mut Map<String, Json>),
    course: &mut Course,
) {
    if canary.traffic_routing.is_some() || canary.analysis.is_some() {
        course.push(json!({"setWeight": 100}), plan::Step::Weight(100));
        spec.insert("policy".to_owned(), json!({"steps": course.steps}));
        paper.note(format!("{PATH}.steps"), "there are none: everything in one go");
        return;
    }
    let replicas = rollout.spec.replicas.unwrap_or(1).max(1);
    let share = |field: Option<&IntOrString>| match field {
        None => 25,
        Some(IntOrString::Text(text)) => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse().ok())
            .unwrap_or(25),
        Some(IntOrString::Int(pods)) => pods.saturating_mul(100) / replicas,
    };
    let batch = share(canary.max_surge.as_ref()).saturating_add(share(canary.max_unavailable.as_ref()));
    let batch = percent(batch).max(1);
    spec.insert(
        "strategy".to_owned(),
        json!({"rolling": {"batch": batch, "pause": "0s"}}),
    );
    paper.note(
        format!("{PATH}.steps"),
        format!("there are none: a rolling update, {batch} % at a time (maxSurge and maxUnavailable)"),
    );
}

fn surge(field: Option<&IntOrString>) -> Option<i64> {
    field.map(|field| match field {
        IntOrString::Int(value) => *value,
        IntOrString::Text(text) => text.trim_end_matches('%').parse().unwrap_or(0),
    })
}

fn services(canary: &Canary, paper: &mut Paper<'_>) {
    valid::anti_affinity(
        &format!("{PATH}.antiAffinity"),
        canary.anti_affinity.as_ref(),
        paper,
    );
    if let Some(services) = &canary.ping_pong {
        valid::ping_pong(canary, (&format!("{PATH}.pingPong"), services), paper);
        paper.note(
            format!("{PATH}.pingPong"),
            "the places of a route change roles after a promotion: [[router.routes]] slots = \"swap\"",
        );
    }
    for (field, given) in [
        ("minPodsPerReplicaSet", canary.min_pods_per_replica_set.is_some()),
        (
            "replicaProgressThreshold",
            canary.replica_progress_threshold.is_some(),
        ),
        (
            "scaleDownDelayRevisionLimit",
            canary.scale_down_delay_revision_limit.is_some(),
        ),
        (
            "abortScaleDownDelaySeconds",
            canary.abort_scale_down_delay_seconds.is_some(),
        ),
        ("antiAffinity", canary.anti_affinity.is_some()),
        ("canaryMetadata", canary.canary_metadata.is_some()),
        ("stableMetadata", canary.stable_metadata.is_some()),
    ] {
        if given {
            paper.note(
                format!("{PATH}.{field}"),
                "concerns ReplicaSets, which Auspex does not make: say it in the Deployments",
            );
        }
    }
}

/// At most one of the four that exclude each other, and at least one of all.
fn is_one_thing(step: &Step) -> bool {
    let exclusive = [
        step.set_weight.is_some(),
        step.pause.is_some(),
        step.experiment.is_some(),
        step.analysis.is_some(),
    ];
    let others = [
        step.set_canary_scale.is_some(),
        step.set_header_route.is_some(),
        step.set_mirror_route.is_some(),
        step.plugin.is_some(),
    ];
    match exclusive.iter().filter(|given| **given).count() {
        0 => others.contains(&true),
        many => many == 1,
    }
}

fn one(canary: &Canary, (at, step): (usize, &Step), course: &mut Course, paper: &mut Paper<'_>) {
    let path = format!("{PATH}.steps[{at}]");
    if !is_one_thing(step) {
        paper.refuse(
            path,
            "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause",
        );
        return;
    }
    if step.plugin.is_some() {
        let reason = "step plugins of Argo Rollouts are Go binaries, which Auspex does not run";
        paper.refuse(format!("{path}.plugin"), reason);
    }
    if step.set_canary_scale.is_some() {
        if canary.traffic_routing.is_none() {
            paper.refuse(
                format!("{PATH}.trafficRouting"),
                "SetCanaryScale requires TrafficRouting to be set",
            );
        }
        paper.note(
            format!("{path}.setCanaryScale"),
            "Auspex scales the candidate with its weight, where auspex.dev/scale or dynamicStableScale asks for it; a size of its own is not kept",
        );
    }
    if let Some(route) = &step.set_header_route {
        let path = format!("{path}.setHeaderRoute");
        let headers = routing::header(canary, (&path, route), paper);
        if let Some(step) = course.beside.header(&route.name, headers) {
            course.push(step, plan::Step::Beside);
        }
    }
    if let Some(route) = &step.set_mirror_route {
        let path = format!("{path}.setMirrorRoute");
        let percent = routing::mirror(canary, (&path, route), paper);
        if let Some(step) = course.beside.mirror(&route.name, percent) {
            course.push(step, plan::Step::Beside);
        }
    }
    if let Some(weight) = step.set_weight {
        set_weight(canary, (weight, &path), course, paper);
    }
    if let Some(wait) = &step.pause {
        pause(wait, &path, course, paper);
    }
    if let Some(analysis) = &step.analysis {
        let name = format!("step-{at}");
        let when = When::Step(course.steps.len());
        let path = format!("{path}.analysis");
        let run = runs::of_analysis(analysis, (&name, &path, when), paper);
        course.plan.runs.push(run);
        course.push(json!({"pause": {}, "analysis": name}), plan::Step::Run(name));
    }
    if let Some(experiment) = &step.experiment {
        experiment_step(canary, (at, experiment), course, paper);
    }
}

fn set_weight(canary: &Canary, (weight, path): (i64, &str), course: &mut Course, paper: &mut Paper<'_>) {
    let routing = canary.traffic_routing.as_ref();
    let most = routing
        .and_then(|routing| routing.max_traffic_weight)
        .unwrap_or(100);
    if weight < 0 || weight > most {
        paper.refuse(
            format!("{path}.setWeight"),
            format!("SetWeight needs to be between 0 and {most}"),
        );
        return;
    }
    let share = weight.saturating_mul(100) / most.max(1);
    if share.saturating_mul(most) != weight.saturating_mul(100) {
        paper.note(
            format!("{path}.setWeight"),
            format!("{weight} of {most} is {share} %: weights are whole percentages"),
        );
    }
    let share = percent(share);
    course.push(json!({"setWeight": share}), plan::Step::Weight(share));
}

fn pause(wait: &Pause, path: &str, course: &mut Course, paper: &mut Paper<'_>) {
    let seconds = match &wait.duration {
        None => {
            course.push(json!({"pause": {}}), plan::Step::Person);
            return;
        }
        Some(IntOrString::Int(seconds)) => Some(*seconds),
        Some(IntOrString::Text(text)) => crate::expr::whole(text).or_else(|| {
            let nanoseconds = duration::parse(text).ok()?;
            Some(nanoseconds / 1_000_000_000)
        }),
    };
    match seconds.filter(|seconds| *seconds >= 0) {
        None => paper.refuse(
            format!("{path}.pause.duration"),
            "Duration needs to be greater than 0",
        ),
        Some(seconds) => {
            let span = format!("{seconds}s");
            course.push(json!({"pause": {"duration": span}}), plan::Step::Pause(span));
        }
    }
}

fn experiment_step(
    canary: &Canary,
    (at, experiment): (usize, &ExperimentStep),
    course: &mut Course,
    paper: &mut Paper<'_>,
) {
    let path = format!("{PATH}.steps[{at}].experiment");
    trial::templates(canary, (&path, &experiment.templates), paper);
    paper.note(
        format!("{path}.templates"),
        "Auspex starts no pods for an experiment: candidate and stable are compared as they are",
    );
    let name = format!("step-{at}");
    let when = When::Step(course.steps.len());
    let lasts = plan::Experiment {
        duration: experiment.duration.clone(),
        required: experiment
            .analyses
            .iter()
            .any(|analysis| analysis.required_for_completion == Some(true)),
    };
    let nobody_ends_it = lasts.duration.is_empty() && !lasts.required;
    let trial = trial::Trial {
        analyses: &experiment.analyses,
        dry_run: &experiment.dry_run,
        retention: &[],
        templates: &experiment.templates,
    };
    let run = trial::of_experiment(&trial, (&name, &path, when), lasts, paper);
    if nobody_ends_it {
        paper.note(
            path,
            "without a duration and without analyses that are required it goes on until a person resumes",
        );
    }
    course.plan.runs.push(run);
    course.push(json!({"pause": {}, "analysis": name}), plan::Step::Run(name));
}
