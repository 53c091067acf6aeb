//! On-demand arithmetic.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;

use auspex_algebra::Expression;

fn value(text: &str) -> Option<f64> {
    let known = BTreeMap::from([
        ("a".to_owned(), 6.0),
        ("request.b".to_owned(), 4.0),
        ("v:c".to_owned(), 0.0),
    ]);
    Expression::parse(text).unwrap().value(&known)
}

#[test]
fn it_is_read_as_in_school() {
    for (text, expected) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("-a + 1", -5.0),
        ("2 * -3", -6.0),
        ("a / request.b", 1.5),
        ("if(a > 5, 1, 0)", 1.0),
        ("1 + 1 == 2", 1.0),
        ("max(a, request.b, 9)", 9.0),
        ("coalesce(nobody, a)", 6.0),
        ("if(0, nobody, 3)", 3.0),
        ("pow(2, 10) + sqrt(9) + abs(0 - 1) + floor(1.7)", 1029.0),
    ] {
        assert_eq!(value(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_not_there_makes_nothing() {
    for text in [
        "nobody + 1",
        "a / v:c",
        "ln(v:c)",
        "sqrt(0 - 1)",
        "max(a, nobody)",
    ] {
        assert_eq!(value(text), None, "{text}");
    }
}

#[test]
fn a_mistake_has_its_place() {
    for (text, at) in [
        ("1 +", 4),
        ("foo(1)", 4),
        ("1 2", 3),
        ("min()", 6),
        ("(1", 3),
        ("a = 1", 3),
        ("1..2", 1),
        ("a ? b", 3),
    ] {
        assert_eq!(Expression::parse(text).unwrap_err().at, at, "{text}");
    }
    assert!(
        Expression::parse(&"(".repeat(100_000)).is_err(),
        "no stack is deep enough for this"
    );
    assert_eq!(
        Expression::parse("b + a * b")
            .unwrap()
            .names()
            .into_iter()
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}
