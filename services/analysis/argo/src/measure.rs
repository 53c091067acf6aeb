//! One measurement: from a result and two conditions to a phase.

use serde::Serialize;

use crate::expr::{self, Class, Env, Fault, Mode, Stage, Value};
use crate::phase::Phase;

/// The two conditions of a metric; empty is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// Holds when it is good.
    pub success: &'a str,
    /// Holds when it is bad, and then counts whatever the other says.
    pub failure: &'a str,
}

/// Why a measurement is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind.
    pub class: Class,
    /// Before or while it ran.
    pub stage: Stage,
    /// Which condition; empty when the measurement itself failed.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub condition: &'static str,
    /// In words, as Argo Rollouts puts it.
    pub message: String,
}

impl Problem {
    /// A provider that could not answer.
    #[must_use]
    pub fn of_provider(message: impl Into<String>) -> Self {
        Self {
            class: Class::Provider,
            stage: Stage::Run,
            condition: "",
            message: message.into(),
        }
    }
}

/// What a measurement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Its phase.
    pub phase: Phase,
    /// Why it is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

impl Judged {
    fn of(phase: Phase) -> Self {
        Self { phase, error: None }
    }

    /// A measurement that could not be taken.
    #[must_use]
    pub fn failed(problem: Problem) -> Self {
        Self {
            phase: Phase::Error,
            error: Some(problem),
        }
    }
}

/// Nothing was measured: null, an empty list, or nothing but NaN.
#[must_use]
pub fn is_nothing(result: &Value) -> bool {
    match result {
        Value::Float(value) => value.is_nan(),
        Value::List(_, items) => items.iter().all(is_nothing),
        result => result.is_nothing(),
    }
}

/// Judges a result.
#[must_use]
pub fn judge(result: &Value, conditions: Conditions<'_>, mode: Mode) -> Judged {
    let env = Env::of(result.clone(), mode);
    let no_data = mode == Mode::Safe && is_nothing(result);
    let ask = |field: &'static str, condition: &str| {
        if condition.is_empty() {
            return Ok(None);
        }
        expr::holds(condition, &env)
            .map(Some)
            .map_err(|fault| problem(fault, (field, condition), result))
    };
    let answers = ask("successCondition", conditions.success)
        .and_then(|success| Ok((success, ask("failureCondition", conditions.failure)?)));
    match answers {
        // A condition that is wrong for whatever result is told even when there is none.
        Err(problem) if !no_data || lasting(&problem) => Judged::failed(problem),
        _ if no_data => Judged::of(Phase::NoData),
        Err(problem) => Judged::failed(problem),
        Ok(answers) => Judged::of(match answers {
            (None, None) => Phase::Successful,
            (_, Some(true)) | (Some(false), None) => Phase::Failed,
            (Some(true), _) | (None, Some(false)) => Phase::Successful,
            (Some(false), Some(false)) => Phase::Inconclusive,
        }),
    }
}

/// Wrong whatever the result is.
fn lasting(problem: &Problem) -> bool {
    matches!(problem.class, Class::Syntax | Class::UnknownName)
}

fn problem(fault: Fault, (field, condition): (&'static str, &str), result: &Value) -> Problem {
    let nothing = result.is_nothing();
    let why = if nothing {
        "metric result is nil or empty: no data returned from the metric provider"
    } else {
        fault.message.as_str()
    };
    let message = format!("could not evaluate {field} \"{condition}\": {why}");
    let lasting = matches!(fault.class, Class::Syntax | Class::UnknownName);
    Problem {
        class: if nothing && !lasting {
            Class::NoData
        } else {
            fault.class
        },
        stage: fault.stage,
        condition: field,
        message: if nothing && lasting {
            format!("{message} ({})", fault.message)
        } else {
            message
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(result: &str, success: &str, failure: &str, mode: Mode) -> (Phase, Option<Class>) {
        let conditions = Conditions { success, failure };
        let judged = judge(&expr::read(result).unwrap(), conditions, mode);
        (judged.phase, judged.error.map(|error| error.class))
    }

    #[test]
    fn the_four_lines_of_the_table_and_nan() {
        use Phase::{Error, Failed, Inconclusive, NoData, Successful};
        let cases = [
            ("1", "", "", Successful),
            ("1", "result > 0", "", Successful),
            ("0", "result > 0", "", Failed),
            ("1", "", "result > 0", Failed),
            ("0", "", "result > 0", Successful),
            ("1", "result > 0", "result > 0", Failed),
            ("1", "true", "true", Failed),
            ("1", "true", "false", Successful),
            ("1", "false", "true", Failed),
            ("1", "false", "false", Inconclusive),
            ("NaN", "result > 0", "", Failed),
            ("NaN", "result > 0", "result <= 0", Inconclusive),
            ("NaN", "result > 0 || isNaN(result)", "", Successful),
            ("[]", "result[0] > 0", "", Error),
            ("[]", "", "", Successful),
            ("null", "result > 0", "", Error),
            ("1", "result", "", Error),
            ("1", "true", "nosuch", Error),
            ("1", "nosuch", "true", Error),
        ];
        for (result, success, failure, expected) in cases {
            let (strict, _) = phase(result, success, failure, Mode::Strict);
            assert_eq!(strict, expected, "{result} {success} {failure}");
            let none = ["NaN", "[]", "null"].contains(&result);
            let (safe, _) = phase(result, success, failure, Mode::Safe);
            assert_eq!(
                safe,
                if none { NoData } else { expected },
                "safe {result} {success}"
            );
        }
    }

    #[test]
    fn errors_have_a_class() {
        let class = |result, condition| phase(result, condition, "", Mode::Strict).1.unwrap();
        assert_eq!(class("[]", "result[0] < 1"), Class::NoData);
        assert_eq!(class("[1]", "result[1] < 1"), Class::IndexOutOfRange);
        assert_eq!(class("1", "result <"), Class::Syntax);
        assert_eq!(class("1", "results < 1"), Class::UnknownName);
        assert_eq!(class("1", "result < 'a'"), Class::TypeMismatch);
        assert_eq!(class("\"x\"", "asInt(result) < 1"), Class::Conversion);
        assert_eq!(class("1", "result + 1"), Class::NotBool);
        assert_eq!(class("[]", "results < 1"), Class::UnknownName);
    }

    #[test]
    fn default_and_is_nil_look_at_the_whole_result_in_strict_mode_alone() {
        let object = "{\"a\": null, \"b\": 1}";
        for (condition, strict, safe) in [
            ("default(result.a, 0) == 0", Phase::Failed, Phase::Successful),
            ("isNil(result.a)", Phase::Failed, Phase::Successful),
            ("default(result.b, 0) == 1", Phase::Failed, Phase::Successful),
        ] {
            assert_eq!(
                phase(object, condition, "", Mode::Strict).0,
                strict,
                "{condition}"
            );
            assert_eq!(phase(object, condition, "", Mode::Safe).0, safe, "{condition}");
        }
        assert_eq!(
            phase("null", "default(result, 0) < 0.05", "", Mode::Strict).0,
            Phase::Successful
        );
        assert_eq!(
            phase("null", "default(result, 0) < 0.05", "", Mode::Safe).0,
            Phase::NoData
        );
    }
}
