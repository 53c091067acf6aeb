//! Conditions against a table whose answers are expr-lang's own (v1.17.8, in the environment that Argo Rollouts gives it).
//!
//! A line: `true`, `false`, `notbool` (a value, but no truth), `compile` or `run` (an error, and when), the result, the
//! condition.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use auspex_argo::expr::{Env, Mode, Stage, Value, evaluate, read};

#[test]
fn every_line_of_the_table_holds() {
    let table = include_str!("conditions.tsv");
    let mut wrong = Vec::new();
    let mut lines = 0;
    for line in table.lines() {
        let mut cells = line.splitn(3, '\t');
        let (Some(expected), Some(result), Some(condition)) = (cells.next(), cells.next(), cells.next())
        else {
            panic!("not three cells: {line}");
        };
        lines += 1;
        let env = Env::of(read(result).unwrap(), Mode::Strict);
        let answer = match evaluate(condition, &env) {
            Ok(Value::Bool(true)) => "true",
            Ok(Value::Bool(false)) => "false",
            Ok(_) => "notbool",
            Err(fault) if fault.stage == Stage::Compile => "compile",
            Err(_) => "run",
        };
        if answer != expected {
            wrong.push(format!("{condition} of {result}: {answer}, not {expected}"));
        }
    }
    assert!(lines > 1_000, "only {lines} lines");
    assert!(
        wrong.is_empty(),
        "{} of {lines}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
