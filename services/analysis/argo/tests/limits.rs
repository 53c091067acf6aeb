//! Limits, counts, merging and patterns: each sentence of Argo Rollouts' rules as a line.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test may: each is one table"
)]

use auspex_argo::arguments::merge;
use auspex_argo::document::{Argument, Template};
use auspex_argo::expr::Mode;
use auspex_argo::metric::{Metric, validate};
use auspex_argo::phase::Phase;
use auspex_argo::run::{Measurement, Run};
use auspex_argo::template::{Apart, Templates, Together};
use auspex_argo::traps::of_metric;
use serde_json::{Value, json};

fn metric(more: Value) -> Metric {
    let mut whole = json!({"name": "m", "provider": {"web": {"url": "http://x"}}});
    let fields = whole.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

#[test]
fn each_limit_at_its_edge_and_past_it() {
    let lines = [
        (json!({}), ""),
        (json!({"failureLimit": 0}), ""),
        (
            json!({"failureLimit": -2}),
            "failureLimit must be >= 0, or -1 to be disabled",
        ),
        (
            json!({"failureLimit": -1}),
            "failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
        (
            json!({"failureLimit": "-1", "consecutiveSuccessLimit": "0"}),
            "failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
        (json!({"failureLimit": -1, "consecutiveSuccessLimit": 1}), ""),
        (
            json!({"consecutiveSuccessLimit": -1}),
            "consecutiveSuccessLimit must be >= 0",
        ),
        (json!({"inconclusiveLimit": -1}), "inconclusiveLimit must be >= 0"),
        (
            json!({"consecutiveErrorLimit": -1}),
            "consecutiveErrorLimit must be >= 0",
        ),
        (json!({"consecutiveErrorLimit": 0}), ""),
        // With a count, limits have room in it.
        (json!({"count": 2, "interval": "5s", "failureLimit": 2}), ""),
        (
            json!({"count": 2, "interval": "5s", "failureLimit": 3}),
            "count (2) must be >= failureLimit + consecutiveSuccessLimit (3 + 0) if both >= 0",
        ),
        (
            json!({"count": 3, "interval": "5s", "failureLimit": 1, "consecutiveSuccessLimit": 2}),
            "",
        ),
        (
            json!({"count": 2, "interval": "5s", "failureLimit": 1, "consecutiveSuccessLimit": 2}),
            "count (2) must be >= failureLimit + consecutiveSuccessLimit (1 + 2) if both >= 0",
        ),
        (
            json!({"count": 2, "interval": "5s", "failureLimit": -1, "consecutiveSuccessLimit": 2}),
            "",
        ),
        (
            json!({"count": 1, "failureLimit": -1, "consecutiveSuccessLimit": 2}),
            "count must be >= consecutiveSuccessLimit",
        ),
        (json!({"count": 2, "interval": "5s", "inconclusiveLimit": 2}), ""),
        (
            json!({"count": 2, "interval": "5s", "inconclusiveLimit": 3}),
            "count must be >= inconclusiveLimit",
        ),
        // Without one they need none.
        (
            json!({"failureLimit": 9, "inconclusiveLimit": 9, "interval": "5s"}),
            "",
        ),
        (json!({"count": 0, "failureLimit": 9}), ""),
        (json!({"count": 1}), ""),
        (json!({"count": 2}), "interval must be specified when count > 1"),
        (json!({"count": "2"}), "interval must be specified when count > 1"),
        // A text that is no number is 0, as Kubernetes' IntOrString has it.
        (json!({"count": "many"}), ""),
        (json!({"count": "2", "interval": "5s", "failureLimit": "10%"}), ""),
        (
            json!({"interval": "5"}),
            "invalid interval string: time: missing unit in duration \"5\"",
        ),
        (
            json!({"initialDelay": "1d"}),
            "invalid startDelay string: time: unknown unit \"d\" in duration \"1d\"",
        ),
        (json!({"interval": "1h30m", "initialDelay": ".5m"}), ""),
        (json!({"provider": {}}), "no provider specified"),
        (
            json!({"provider": {"web": {"url": "x"}, "job": {}}}),
            "multiple providers specified",
        ),
    ];
    for (more, expected) in lines {
        let said = metric(more.clone()).validate();
        assert_eq!(said.err().unwrap_or_default(), expected, "{more}");
    }
    assert_eq!(validate(&[]).unwrap_err(), "no metrics specified");
    let twice = [metric(json!({})), metric(json!({}))];
    assert_eq!(validate(&twice).unwrap_err(), "metrics[1]: duplicate name 'm'");
}

#[test]
fn how_many_are_taken() {
    for (more, expected) in [
        (json!({}), Some(1)),
        (json!({"interval": "5s"}), None),
        (json!({"count": 0}), Some(1)),
        (json!({"count": 0, "interval": "5s"}), None),
        (json!({"count": "0", "interval": "5s"}), None),
        (json!({"count": "many", "interval": "5s"}), None),
        (json!({"count": 1, "interval": "5s"}), Some(1)),
        (json!({"count": "7", "interval": "5s"}), Some(7)),
    ] {
        assert_eq!(metric(more.clone()).effective_count(), expected, "{more}");
    }
}

fn templates(specs: &[(&str, bool, Value)]) -> Templates {
    let mut all = Templates::default();
    for (name, cluster, spec) in specs {
        let template: Template =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        all.add(&template, *cluster);
    }
    all
}

fn together(all: &Templates, names: &[(&str, bool)]) -> Result<Together, Apart> {
    let wanted: Vec<Value> = names
        .iter()
        .map(|(name, cluster)| json!({"templateName": name, "clusterScope": cluster}))
        .collect();
    all.together(&serde_json::from_value::<Vec<_>>(json!(wanted)).unwrap())
}

fn one(name: &str) -> Value {
    json!({"name": name, "provider": {"web": {"url": "http://x"}}})
}

#[test]
fn templates_are_put_together_or_contradict_each_other() {
    let all = templates(&[
        (
            "a",
            false,
            json!({"metrics": [one("m")], "args": [{"name": "x", "value": "1"}, {"name": "y"}]}),
        ),
        ("same", false, json!({"metrics": [one("m")]})),
        (
            "two",
            false,
            json!({"metrics": [one("n")], "args": [{"name": "x", "value": "2"}]}),
        ),
        (
            "b",
            false,
            json!({"metrics": [one("n")], "args": [{"name": "y", "value": "3"}, {"name": "x"}]}),
        ),
        // The same name in the cluster is another template.
        ("a", true, json!({"metrics": [one("of-cluster")]})),
        (
            "nests",
            false,
            json!({"templates": [{"templateName": "b"}, {"templateName": "a", "clusterScope": true}]}),
        ),
        (
            "round",
            false,
            json!({"metrics": [one("r")], "templates": [{"templateName": "round"}, {"templateName": "b"}]}),
        ),
        (
            "lost",
            false,
            json!({"templates": [{"templateName": "gone", "clusterScope": true}]}),
        ),
    ]);
    let names =
        |together: Together| -> Vec<String> { together.metrics.into_iter().map(|m| m.name).collect() };
    let wrong = |names: &[(&str, bool)]| match together(&all, names) {
        Err(Apart::Wrong(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        wrong(&[("a", false), ("same", false)]),
        "two metrics have the same name 'm'"
    );
    assert_eq!(
        wrong(&[("a", false), ("two", false)]),
        "Argument `x` specified multiple times with different values: '1', '2'"
    );
    let both = together(&all, &[("a", false), ("b", false)]).unwrap();
    let args: Vec<_> = both
        .args
        .iter()
        .map(|arg| (arg.name.as_str(), arg.value.as_deref()))
        .collect();
    assert_eq!(
        args,
        [("x", Some("1")), ("y", Some("3"))],
        "a value is not lost to none"
    );
    assert_eq!(
        names(together(&all, &[("nests", false)]).unwrap()),
        ["n", "of-cluster"],
        "those of the namespace come first"
    );
    assert_eq!(
        names(together(&all, &[("round", false), ("b", false)]).unwrap()),
        ["r", "n"]
    );
    assert_eq!(
        together(&all, &[("lost", false), ("none", false)]),
        Err(Apart::Missing(vec!["cluster/gone".to_owned(), "none".to_owned()]))
    );
}

#[test]
fn arguments_are_overridden_dropped_or_missed() {
    let argument = |name: &str, value: Option<&str>| Argument {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        value_from: None,
    };
    let of_template = [argument("a", Some("1")), argument("b", None)];
    let merged = merge(
        &[
            argument("a", Some("9")),
            argument("b", Some("")),
            argument("z", Some("2")),
        ],
        &of_template,
    );
    assert_eq!(
        merged.unwrap(),
        [argument("a", Some("9")), argument("b", Some(""))],
        "the rollout's count, also an empty one; what the template does not know is dropped"
    );
    assert_eq!(merge(&[], &of_template).unwrap_err(), "args.b was not resolved");
}

fn begun(metrics: &[Value], more: Value) -> Run {
    let mut whole = json!({"metrics": metrics});
    whole
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Run::begin(serde_json::from_value(whole).unwrap(), 0)
}

fn take(run: &mut Run, at: usize, phase: Phase) {
    run.started(at, 0);
    run.finished(
        at,
        Measurement {
            phase,
            ..Measurement::default()
        },
    );
}

#[test]
fn patterns_are_unanchored_and_each_has_to_match() {
    let metrics = [one("error-rate"), one("p95")];
    let dry = |rules: &[&str]| {
        let rules: Vec<Value> = rules.iter().map(|rule| json!({"metricName": rule})).collect();
        let run = begun(&metrics, json!({"dryRun": rules}));
        let watched: Vec<bool> = run.outcomes.iter().map(|outcome| outcome.dry_run).collect();
        (run.message, watched)
    };
    let nothing = |at: usize| {
        (
            format!("Analysis spec invalid: dryRun[{at}]: Rule didn't match any metric name(s)"),
            vec![],
        )
    };
    assert_eq!(dry(&["err"]), (String::new(), vec![true, false]));
    assert_eq!(dry(&["9"]), (String::new(), vec![false, true]));
    assert_eq!(dry(&["^rate"]), nothing(0));
    assert_eq!(dry(&[".*"]), (String::new(), vec![true, true]));
    assert_eq!(
        dry(&["*"]),
        nothing(0),
        "what a comment in Argo's types recommends"
    );
    assert_eq!(dry(&["p95", "p99"]), nothing(1));
    let kept = |rules: Value| begun(&metrics, json!({"measurementRetention": rules}));
    let run = kept(json!([{"metricName": ".*", "limit": 3}, {"metricName": "p", "limit": 20}]));
    assert_eq!(
        run.kept.values().copied().collect::<Vec<_>>(),
        [3, 20],
        "the last that matches"
    );
    let none = kept(json!([{"metricName": "no", "limit": 3}]));
    assert_eq!(none.phase, Phase::Error);
    assert_eq!(
        none.message,
        "Analysis spec invalid: measurementRetention[0]: Rule didn't match any metric name(s)"
    );
}

#[test]
fn a_condition_that_cannot_be_read_is_told_before_it_fails() {
    let told = |success: &str| {
        let metric = metric(json!({"successCondition": success}));
        let found = of_metric(&metric, Mode::Strict, false);
        found
            .into_iter()
            .map(|warning| warning.text)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(told("len(result) > 0"), "");
    assert_eq!(
        told("result < {{args.most}}"),
        "",
        "its arguments are still missing"
    );
    // `successCondition: len(result) > 0 && all(result, # < 5)` without quotes.
    let cut = told("len(result) > 0 && all(result,");
    assert!(
        cut.contains("cannot be read") && cut.contains("begins a comment"),
        "{cut}"
    );
    let plain = told("result >< 1");
    assert!(
        plain.contains("cannot be read") && !plain.contains("comment"),
        "{plain}"
    );
}

#[test]
fn what_a_run_says_of_its_metrics() {
    use Phase::{Error, Failed, Inconclusive, Running, Successful};
    let strict = json!({"consecutiveErrorLimit": 0});
    let mut metrics = vec![one("a"), one("b")];
    for metric in &mut metrics {
        metric
            .as_object_mut()
            .unwrap()
            .extend(strict.as_object().unwrap().clone());
    }
    // Whatever a metric that only watches says, a run of nothing else is successful.
    for phase in [Successful, Failed, Error, Inconclusive] {
        let mut run = begun(&metrics[..1], json!({"dryRun": [{"metricName": ".*"}]}));
        take(&mut run, 0, phase);
        assert_eq!((run.phase, run.outcomes[0].phase), (Successful, phase), "{phase}");
    }
    // One that has not begun keeps it running, unless the other one goes wrong.
    for (phase, expected) in [
        (Successful, Running),
        (Failed, Failed),
        (Error, Error),
        (Inconclusive, Inconclusive),
    ] {
        let mut late = metrics.clone();
        late[1]["initialDelay"] = json!("1h");
        let mut run = begun(&late, json!({}));
        take(&mut run, 0, phase);
        assert_eq!(run.phase, expected, "{phase}");
        if expected != Running {
            assert_eq!(
                run.outcomes[1].phase, Successful,
                "the other one is called successful"
            );
        }
    }
    // One that only watches goes wrong: the others go on.
    let mut run = begun(&metrics, json!({"dryRun": [{"metricName": "a"}]}));
    take(&mut run, 0, Failed);
    assert_eq!((run.phase, run.due(0)), (Running, vec![1]));
}
