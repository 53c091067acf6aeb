//! Numbers as Go reads and writes them.

use super::Fault;
use super::tree::Node;

/// A literal of a condition.
pub(super) fn literal(text: &str) -> Result<Node, Fault> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let lower = plain.to_ascii_lowercase();
    let based = |digits: &str, radix: u32, what: &str| {
        i64::from_str_radix(digits, radix)
            .ok()
            .filter(|_| !digits.starts_with(['+', '-']))
            .map(Node::Int)
            .ok_or_else(|| Fault::syntax(format!("invalid {what} literal: {text:?}")))
    };
    if let Some(digits) = lower.strip_prefix("0x") {
        return based(digits, 16, "hex");
    }
    if lower.contains(['.', 'e']) {
        return float(&plain)
            .map(Node::Float)
            .ok_or_else(|| Fault::syntax(format!("invalid float literal: {text:?}")));
    }
    if let Some(digits) = lower.strip_prefix("0b") {
        return based(digits, 2, "binary");
    }
    if let Some(digits) = lower.strip_prefix("0o") {
        return based(digits, 8, "octal");
    }
    based(&plain, 10, "integer")
}

/// A whole number as `strconv.ParseInt(text, 10, 64)` reads it.
pub fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A number as `strconv.ParseFloat(text, 64)` reads it; hexadecimal ones are not supported.
pub(crate) fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let named = ["inf", "infinity", "nan"]
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name));
    if unsigned.eq_ignore_ascii_case("nan") && unsigned.len() != text.len() {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Go calls a finite text that does not fit an error.
    (named || value.is_finite()).then_some(value)
}

/// A float cut to an integer as Go does it on amd64: what does not fit is the least integer.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the bounds are checked before"
)]
pub(crate) fn truncated(value: f64) -> i64 {
    if value >= -(2_f64.powi(63)) && value < 2_f64.powi(63) {
        value as i64
    } else {
        i64::MIN
    }
}

/// An integer as a float.
#[allow(clippy::cast_precision_loss, reason = "so does Go")]
pub(crate) fn real(value: i64) -> f64 {
    value as f64
}

/// A float as `fmt.Sprint` writes it: shortest digits, an exponent from 1e6 on and below 1e-4.
#[must_use]
pub fn show(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}
