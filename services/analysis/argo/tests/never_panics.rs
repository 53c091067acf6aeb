//! Whatever is given: an answer or a fault, in bounded time and on a small stack.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use auspex_argo::convert::convert;
use auspex_argo::document::{Kind, read_each};
use auspex_argo::expr::{Class, Env, Mode, Value, evaluate, read};
use auspex_argo::measure::{Conditions, judge};
use auspex_argo::template::Templates;
use auspex_argo::{arguments, duration, jsonpath};
use proptest::prelude::*;
use proptest::sample::select;

const WORDS: [&str; 74] = [
    "result",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "#",
    ".",
    "?.",
    "??",
    "..",
    "?",
    ":",
    ",",
    ";",
    "|",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "^",
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "and",
    "or",
    "not",
    "in",
    "matches",
    "contains",
    "startsWith",
    "let x = ",
    "if ",
    "else",
    "all(",
    "any(",
    "filter(",
    "map(",
    "count(",
    "reduce(",
    "sum(",
    "len(",
    "max(",
    "min(",
    "sort(",
    "default(",
    "isNil(",
    "isNaN(",
    "asInt(",
    "asFloat(",
    "first(",
    "get(",
    "groupBy(",
    "\"a\"",
    "'b'",
    "`c`",
    "0",
    "1",
    "0.5",
    "1e9",
    "0x1f",
    "true",
    "nil",
    "x",
    "#acc",
    "// y\n",
    "/* z */",
    "repeat(",
];
const RESULTS: [&str; 10] = [
    "null",
    "[]",
    "[NaN]",
    "0.5",
    "[1,2,3]",
    "true",
    "\"5\"",
    "{\"a\":{\"b\":[1,\"x\",null]}}",
    "[{\"c\":1},{\"c\":2}]",
    "-Inf",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn conditions(words in prop::collection::vec(select(&WORDS[..]), 0..24), result in select(&RESULTS[..])) {
        let env = Env::of(read(result).unwrap(), Mode::Strict);
        let (close, spaced) = (words.concat(), words.join(" "));
        drop(evaluate(&close, &env));
        drop(evaluate(&spaced, &env));
    }

    #[test]
    fn texts(text in "\\PC{0,60}", other in "[ -~]{0,60}") {
        let env = Env::of(Value::Nil, Mode::Safe);
        for text in [&text, &other] {
            drop(evaluate(text, &env));
            drop(duration::parse(text));
            drop(jsonpath::first(text, &serde_json::json!({"a": [1, {"b": null}]})));
            drop(jsonpath::first(&format!("{{{text}}}"), &serde_json::json!({"a": [1, {"b": null}]})));
            drop(read(text));
            drop(arguments::put_in(text, &arguments::Values::new()));
            drop(arguments::field(&serde_json::json!({"metadata": {}, "spec": [1]}), text));
        }
    }

    #[test]
    fn documents(text in "[a-z:{}\\[\\]\n\" &*!-]{0,80}", cut in 0_usize..900, put in "[a-z0-9:{}\\[\\]-]{0,8}") {
        let whole = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a, labels: {x: y}}\nspec:\n  replicas: 2\n  selector: {matchLabels: {a: b}}\n  strategy:\n    canary:\n      maxSurge: 25%\n      steps:\n      - setWeight: 20\n      - pause: {duration: 1m}\n      - analysis: {templates: [{templateName: t}], args: [{name: n, valueFrom: {fieldRef: {fieldPath: spec.replicas}}}]}\n---\napiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: t}\nspec:\n  args: [{name: n}]\n  metrics: [{name: m, count: \"{{args.n}}\", interval: 5s, provider: {prometheus: {query: q}}}]\n";
        let at = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        let changed = format!("{}{put}{}", &whole[..at], &whole[at..]);
        for text in [&text, &changed] {
            let kinds: Vec<Kind> = read_each(text)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|document| Kind::of(&document).ok())
                .collect();
            let mut templates = Templates::default();
            templates.add_all(&kinds);
            drop(convert(&kinds, &templates, Mode::Safe));
        }
    }

    #[test]
    fn no_data_is_never_a_pass_nor_a_failure(
        words in prop::collection::vec(select(&WORDS[..]), 0..10),
        result in select(&["null", "[]", "[NaN]", "NaN", "[null]", "[NaN,NaN]"][..]),
    ) {
        use auspex_argo::phase::Phase;
        let text = words.join(" ");
        let judged = judge(&read(result).unwrap(), Conditions { success: &text, failure: "" }, Mode::Safe);
        prop_assert!(matches!(judged.phase, Phase::NoData | Phase::Error), "{text}: {:?}", judged);
    }
}

#[test]
fn nesting_is_bounded() {
    let env = Env::of(Value::Float(1.0), Mode::Strict);
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("-", "1", ""),
        ("not ", "true", ""),
        ("!", "true", ""),
        ("{\"a\":", "1", "}"),
        ("all([1], {", "true", "})"),
        ("true ? ", "1", " : 2"),
        ("1 ** ", "1", ""),
        ("let a = 1; ", "1", ""),
        ("if true { ", "1", " } else { 2 }"),
    ] {
        let text = format!("{}{inner}{}", open.repeat(20_000), close.repeat(20_000));
        assert!(text.len() > 20_000);
        let fault = evaluate(&text, &env).unwrap_err();
        assert_eq!(fault.class, Class::Syntax, "{open}");
        // A person's nesting is no problem.
        let text = format!("{}{inner}{}", open.repeat(8), close.repeat(8));
        let fine = evaluate(&text, &env);
        assert!(
            fine.as_ref()
                .map_or_else(|fault| fault.class != Class::Syntax, |_| true),
            "{open}: {fine:?}"
        );
    }
    for chain in ["1 + ", "true && ", "1 < ", "nil ?? "] {
        let text = format!("{}1", chain.repeat(10_000));
        assert!(evaluate(&text, &env).is_err(), "{chain}");
    }
    assert!(evaluate(&format!("result{}", ".a".repeat(20_000)), &env).is_err());
    assert!(read(&"[".repeat(100_000)).is_err());
    assert!(jsonpath::first(&format!("{{{}}}", "[?(@".repeat(5_000)), &serde_json::json!([])).is_err());
}

#[test]
fn work_and_memory_are_bounded() {
    let env = Env::of(Value::floats(&[1.0; 1_000]), Mode::Strict);
    for text in [
        "1..10000000",
        "repeat(\"a\", 100000000)",
        "all(result, {all(result, {all(result, # > 0)})})",
        "map(1..900, map(1..900, map(1..900, #)))",
    ] {
        assert_eq!(evaluate(text, &env).unwrap_err().class, Class::Limit, "{text}");
    }
}
