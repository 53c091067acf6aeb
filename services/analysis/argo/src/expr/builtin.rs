//! expr-lang's built-in functions: their names, and what they take and give before they run.

use super::Fault;
use super::nature::Nature;
use super::value::Of;

/// Those without closures, in the order of the documentation.
const PLAIN: [&str; 61] = [
    "len",
    "type",
    "abs",
    "ceil",
    "floor",
    "round",
    "int",
    "float",
    "string",
    "trim",
    "trimPrefix",
    "trimSuffix",
    "upper",
    "lower",
    "split",
    "splitAfter",
    "replace",
    "repeat",
    "join",
    "indexOf",
    "lastIndexOf",
    "hasPrefix",
    "hasSuffix",
    "max",
    "min",
    "mean",
    "median",
    "toJSON",
    "fromJSON",
    "toBase64",
    "fromBase64",
    "now",
    "duration",
    "date",
    "timezone",
    "first",
    "last",
    "get",
    "take",
    "keys",
    "values",
    "toPairs",
    "fromPairs",
    "reverse",
    "uniq",
    "concat",
    "flatten",
    "sort",
    "bitand",
    "bitor",
    "bitxor",
    "bitnand",
    "bitshl",
    "bitshr",
    "bitushr",
    "bitnot",
    "all",
    "none",
    "any",
    "one",
    "filter",
];
const CLOSED: [&str; 10] = [
    "map",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "count",
    "sum",
    "groupBy",
    "sortBy",
    "reduce",
];

pub(super) fn is_known(name: &str) -> bool {
    PLAIN.contains(&name) || CLOSED.contains(&name)
}

fn count(expected: usize, given: &[Nature]) -> Result<(), Fault> {
    if given.len() == expected {
        Ok(())
    } else {
        Err(Fault::typed(format!(
            "invalid number of arguments (expected {expected}, got {})",
            given.len()
        )))
    }
}

fn first(given: &[Nature]) -> Nature {
    given.first().cloned().unwrap_or_default()
}

fn one(given: &[Nature], fits: fn(&Nature) -> bool, complaint: &str, gives: Nature) -> Result<Nature, Fault> {
    count(1, given)?;
    let argument = first(given);
    if argument.is_unknown() || fits(&argument) {
        Ok(gives)
    } else {
        Err(Fault::typed(format!("{complaint} {}", argument.name())))
    }
}

/// What a built-in function without a closure gives for such arguments.
pub(super) fn check(name: &str, given: &[Nature]) -> Result<Nature, Fault> {
    let lists: fn(&Nature) -> bool = Nature::is_list;
    let maps: fn(&Nature) -> bool = |n| matches!(n, Nature::Map(_));
    let numbers: fn(&Nature) -> bool = Nature::is_number;
    let convertible: fn(&Nature) -> bool = |n| n.is_number() || matches!(n, Nature::Text | Nature::Span);
    let any = || Nature::list_of(Of::Any);
    let invalid = format!("invalid argument for {name} of type");
    match name {
        "len" => one(
            given,
            |n| n.is_list() || matches!(n, Nature::Map(_) | Nature::Text),
            &invalid,
            Nature::Int,
        ),
        "abs" => one(given, numbers, &invalid, first(given)),
        "ceil" | "floor" | "round" => one(given, numbers, &invalid, Nature::Float),
        "int" => one(given, convertible, &invalid, Nature::Int),
        "float" => one(given, convertible, &invalid, Nature::Float),
        "max" | "min" | "mean" | "median" => aggregate(name, given),
        "first" | "last" => one(given, lists, "cannot get an element from", first(given).element()),
        "keys" | "values" | "toPairs" => one(given, maps, "cannot get keys or values from", any()),
        "fromPairs" => one(given, lists, "cannot transform to pairs", Nature::Map(false)),
        "reverse" | "uniq" | "flatten" => one(given, lists, "it takes a list, not", any()),
        "take" => {
            count(2, given)?;
            let by = given.get(1).is_none_or(|by| by.is_unknown() || by.is_whole());
            if by && (first(given).is_unknown() || lists(&first(given))) {
                Ok(first(given))
            } else {
                Err(Fault::typed("take wants a list and an integer"))
            }
        }
        "concat" => match given.iter().find(|n| !n.is_unknown() && !n.is_list()) {
            _ if given.is_empty() => Err(Fault::typed(
                "invalid number of arguments (expected at least 1, got 0)",
            )),
            Some(other) => Err(Fault::typed(format!("cannot concat {}", other.name()))),
            None => Ok(any()),
        },
        "now" => {
            count(0, given)?;
            Ok(Nature::Time)
        }
        "date" if (1..=3).contains(&given.len()) => Ok(Nature::Time),
        "date" => Err(Fault::typed("date wants 1 to 3 arguments")),
        _ => overloads(name, given),
    }
}

fn aggregate(name: &str, given: &[Nature]) -> Result<Nature, Fault> {
    if given.is_empty() {
        return Err(Fault::typed(format!("not enough arguments to call {name}")));
    }
    for argument in given {
        match argument {
            Nature::Unknown | Nature::List(..) => return Ok(Nature::Unknown),
            argument if argument.is_number() || *argument == Nature::Span => {}
            argument => {
                return Err(Fault::typed(format!(
                    "invalid argument for {name} (type {})",
                    argument.name()
                )));
            }
        }
    }
    Ok(first(given))
}

/// Those of fixed types: each overload's parameters and what it gives.
fn overloads(name: &str, given: &[Nature]) -> Result<Nature, Fault> {
    use Nature::{Bool, Int, Span, Text, Unknown};
    let any = || Nature::list_of(Of::Any);
    let texts = || Nature::list_of(Of::Text);
    let shapes: Vec<(Vec<Nature>, Nature)> = match name {
        "type" | "string" => vec![(vec![Unknown], Text)],
        "trim" | "trimPrefix" | "trimSuffix" => vec![(vec![Text], Text), (vec![Text, Text], Text)],
        "upper" | "lower" => vec![(vec![Text], Text)],
        "split" | "splitAfter" => vec![(vec![Text, Text], texts()), (vec![Text, Text, Int], texts())],
        "replace" => vec![
            (vec![Text, Text, Text, Int], Text),
            (vec![Text, Text, Text], Text),
        ],
        "repeat" => vec![(vec![Text, Int], Text)],
        "join" => vec![
            (vec![texts(), Text], Text),
            (vec![any(), Text], Text),
            (vec![any()], Text),
            (vec![texts()], Text),
        ],
        "indexOf" | "lastIndexOf" => vec![(vec![Text, Text], Int)],
        "hasPrefix" | "hasSuffix" => vec![(vec![Text, Text], Bool)],
        "fromJSON" => vec![(vec![Text], Unknown)],
        "duration" => vec![(vec![Text], Span)],
        "sort" => [Of::Any, Of::Int, Of::Float, Of::Text]
            .into_iter()
            .flat_map(|of| {
                let list = Nature::list_of(of);
                [(vec![list.clone(), Text], any()), (vec![list], any())]
            })
            .collect(),
        "bitnot" => vec![(vec![Int], Int)],
        name if name.starts_with("bit") => vec![(vec![Int, Int], Int)],
        _ => return Err(Fault::typed(format!("{name} is not supported here"))),
    };
    let found = shapes.iter().find(|(takes, _)| fits(takes, given));
    match found {
        Some((_, gives)) => Ok(gives.clone()),
        None => {
            let given: Vec<&str> = given.iter().map(Nature::name).collect();
            Err(Fault::typed(format!(
                "cannot call {name} with ({})",
                given.join(", ")
            )))
        }
    }
}

/// Whether arguments fit parameters; an unknown one may.
pub(super) fn fits(takes: &[Nature], given: &[Nature]) -> bool {
    let fits = |takes: &Nature, given: &Nature| {
        takes.is_unknown()
            || given.is_unknown()
            || (takes.is_whole() && given.is_whole())
            || (*takes == Nature::Float && given.is_whole())
            || (*given != Nature::Nil && given.assignable_to(takes))
    };
    takes.len() == given.len() && takes.iter().zip(given).all(|(takes, given)| fits(takes, given))
}
