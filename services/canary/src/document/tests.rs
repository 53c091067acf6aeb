use super::*;

const FULL: &str = "
apiVersion: auspex.dev/v1
kind: Rollout
metadata: { name: checkout, project: acme/shop }
spec:
  service: checkout
  mode: act
  tracks:
    stable: { revision: aaa, url: 'http://127.0.0.1:8001' }
    candidate: { revision: bbb, url: 'http://127.0.0.1:8002' }
  criticality: high
  policy:
    steps:
      - setWeight: 10
      - pause: { duration: 30s }
      - setWeight: 50
      - pause: {}
  limits: { error_rate: 0.2, slow_rate: 0.05, harmed: 100 }
  slo_ms: 250
  alpha: 0.01
  score_wait: 5
  affinity: { cookie: auspex }
";

fn wrong(old: &str, new: &str) -> String {
    assert!(FULL.contains(old), "{old}");
    Document::parse(&FULL.replace(old, new)).unwrap_err().to_string()
}

#[test]
fn a_full_document_reads_and_writes_back() {
    let document = Document::parse(FULL).unwrap();
    assert_eq!(document.metadata.project.as_deref(), Some("acme/shop"));
    assert_eq!(document.spec.score_wait, Some(Span::seconds(5)));
    let steps = document.spec.policy.steps.clone().unwrap();
    assert_eq!(steps[1].pause.as_ref().unwrap().duration, Some(Span::seconds(30)));
    assert_eq!(steps[3].pause.as_ref().unwrap().duration, None);
    let text = serde_yaml_ng::to_string(&document).unwrap();
    assert_eq!(Document::parse(&text).unwrap(), document);
}

#[test]
fn the_least_document_is_short() {
    let text = "{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {name: a}, spec: {service: a}}";
    assert!(Document::parse(text).is_ok());
}

#[test]
fn an_error_names_line_and_field() {
    let unknown = wrong("criticality: high", "critikality: high");
    assert!(
        unknown.contains("critikality") && unknown.contains("line"),
        "{unknown}"
    );
    let typed = wrong("slo_ms: 250", "slo_ms: quick");
    assert!(typed.contains("slo_ms") && typed.contains("line"), "{typed}");
    let span = wrong("duration: 30s", "duration: soon");
    assert!(span.contains("duration") && span.contains("soon"), "{span}");
}

#[test]
fn every_fault_of_content_is_reported_at_once() {
    let text = FULL
        .replace("setWeight: 10", "setWeight: 110")
        .replace("alpha: 0.01", "alpha: 2")
        .replace("cookie: auspex", "cookie: a, header: b")
        .replace("auspex.dev/v1", "argoproj.io/v1alpha1")
        .replace("http://127.0.0.1:8001", "ftp://x");
    let Err(Fault::Wrong(found)) = Document::parse(&text) else {
        panic!("must be refused");
    };
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found.iter().any(|f| f.contains("spec.policy.steps[0]")),
        "{found:?}"
    );
}

#[test]
fn one_policy_at_most() {
    let both = wrong("  policy:\n", "  policy:\n    budget: {}\n");
    assert!(both.contains("more than one"), "{both}");
}

#[test]
fn listed_metrics_are_checked_one_by_one() {
    let listing = |metrics: &str| {
        Document::parse(&FULL.replace(
            "  slo_ms: 250\n",
            &format!("  slo_ms: 250\n  metrics: {metrics}\n"),
        ))
    };
    let least =
        listing("[{name: latency_ms}, {name: kpi, direction: decrease, critical: true, weight: 2}]").unwrap();
    let [latency, kpi] = least.spec.metrics.as_slice() else {
        panic!("two are listed");
    };
    assert_eq!(
        (latency.weight, latency.critical, latency.direction),
        (1.0, false, None)
    );
    assert!(kpi.critical && kpi.weight == 2.0);
    let text = serde_yaml_ng::to_string(&least).unwrap();
    assert_eq!(Document::parse(&text).unwrap(), least);
    let many = format!(
        "[{}]",
        (0..9).map(|n| format!("{{name: m{n}}},")).collect::<String>()
    );
    for (metrics, part) in [
        (many.as_str(), "spec.metrics: are 9, at most 8"),
        (
            "[{name: a}, {name: a}]",
            "spec.metrics[1].name: a is listed twice",
        ),
        (
            "[{name: requests}]",
            "spec.metrics[0].name: requests is always judged",
        ),
        (
            "[{name: a, weight: 0}]",
            "spec.metrics[0].weight: 0 is not within",
        ),
        (
            "[{name: a, margin: .nan}]",
            "spec.metrics[0].margin: NaN is not within",
        ),
        ("[{name: a, direction: up}]", "direction: unknown variant `up`"),
        ("[{name: a, importance: 3}]", "unknown field `importance`"),
        ("[{weight: 3}]", "missing field `name`"),
    ] {
        let fault = listing(metrics).unwrap_err().to_string();
        assert!(fault.contains(part), "{metrics}: {fault}");
    }
}

#[test]
fn cohorts_and_mirrors_of_steps_are_checked_by_field() {
    let with = |steps: &str, more: &str| {
        let spec = format!(
            "{{service: a, {more}cohorts: [{{name: staff, header: {{name: x}}}}, {{name: beta, cookie: {{name: y}}}}], policy: {{steps: [{steps}]}}}}"
        );
        let spec: Spec = serde_yaml_ng::from_str(&spec).unwrap();
        spec.problems("spec")
    };
    let sound = with("{cohorts: [staff, beta]}, {mirror: 100}, {cohorts: []}", "");
    assert_eq!(sound, Vec::<String>::new());
    for (steps, more, said) in [
        (
            "{cohorts: [stuff]}",
            "",
            "spec.policy.steps[0].cohorts: `stuff` is not among spec.cohorts",
        ),
        (
            "{mirror: 1}, {cohorts: [beta, beta]}",
            "",
            "spec.policy.steps[1].cohorts: `beta` is there twice",
        ),
        (
            "{mirror: 101}",
            "",
            "spec.policy.steps[0]: mirror 101 is not within 0..=100",
        ),
        (
            "{cohorts: [], setWeight: 5}",
            "",
            "spec.policy.steps[0]: wants exactly one of setWeight, pause, cohorts and mirror",
        ),
        (
            "{mirror: 5, cohorts: []}",
            "",
            "spec.policy.steps[0]: wants exactly one of setWeight, pause, cohorts and mirror",
        ),
        (
            "{mirror: 5, analysis: a}",
            "",
            "spec.policy.steps[0]: wants exactly one of setWeight, pause, cohorts and mirror",
        ),
        (
            "{setWeight: 5}, {mirror: 5}",
            "strategy: {blue_green: {}}, ",
            "spec.policy.steps[1]: no leg of the strategy takes this policy",
        ),
        (
            "{cohorts: [staff, beta]}",
            "cohorts_first: 5s, ",
            "spec.cohorts_first: needs spec.cohorts that go to the candidate and that no step names",
        ),
    ] {
        assert_eq!(with(steps, more), [said.to_owned()], "{steps}");
    }
}

/// Fields, and what is told of them.
const NEVER: &[(&str, &str)] = &[
    (
        "gates: {approvals: [{name: go, at: region}]}",
        "spec.gates.approvals[0].at: `region`",
    ),
    (
        "gates: {checks: [{name: c, at: region, command: [a]}]}\n  regions: [{name: eu}]",
        "spec.gates.checks[0].at: `region`",
    ),
    (
        "gates: {database: {verify: [{name: v, at: promotion, command: [a]}]}}",
        "spec.gates.database.verify[0].at",
    ),
    (
        "strategy: {pipeline: [{name: a, canary: {to: 50}}, {name: b, canary: {to: 25}}]}",
        "spec.strategy.pipeline[1].canary.to: 25 is below the 50",
    ),
    (
        "policy: {adaptive: {}}\n  strategy: {blue_green: {}}",
        "spec.policy: no leg",
    ),
    ("min_dwell: 2h\n  max_dwell: 1h", "spec.min_dwell: 2h is longer"),
    ("deadline: 0s", "spec.deadline: is over before"),
    (
        "policy: {adaptive: {high: 0.5, moderate: 0.8}}",
        "spec.policy.adaptive: low, moderate and high",
    ),
    (
        "cohorts: [{name: s, header: {name: x staff}}]",
        "spec.cohorts[0]: `x staff`",
    ),
    (
        "cohorts: [{name: s, user: {cookie: a b, share: 0.2}}]",
        "spec.cohorts[0]: `a b`",
    ),
    (
        "tracks: {candidate: {url: 'http://'}}",
        "spec.tracks.candidate.url: `http://`",
    ),
    (
        "gates: {checks: [{name: c, http: {url: 'http://a:99999'}}]}",
        "spec.gates.checks[0].http.url",
    ),
    (
        "gates: {checks: [{name: c, http: {url: 'http://a', headers: {a b: c}}}]}",
        "spec.gates.checks[0].http.headers: `a b`",
    ),
    (
        "gates: {freeze: [{name: w}]}",
        "spec.gates.freeze[0]: wants either days",
    ),
];

/// What cannot be meant is told, each with the field at fault.
#[test]
fn what_would_never_come_to_pass_is_told() {
    let with = |spec: &str| {
        let text = format!(
            "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {{name: a}}\nspec:\n  service: a\n  {spec}\n"
        );
        lint(&text).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (spec, part) in NEVER {
        let found = with(spec);
        assert!(found.len() == 1 && found[0].contains(part), "{spec}: {found:?}");
    }
    for spec in [
        "gates: {approvals: [{name: go, at: region}]}\n  regions: [{name: eu}, {name: us}]",
        "strategy: {pipeline: [{name: a, canary: {to: 50}}, {name: b, canary: {to: 50}}, {name: c, canary: {}}]}",
        "policy: {adaptive: {}}\n  strategy: {canary: {}}",
        "min_dwell: 1h\n  max_dwell: 1h",
    ] {
        assert_eq!(with(spec), [""; 0], "{spec}");
    }
}
