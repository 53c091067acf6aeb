//! Which versions will do: `>=2.3`, `<4`, several with commas, or exactly one.

use std::cmp::Ordering;

/// Whether a version fits what is wanted.
#[must_use]
pub fn fits(wanted: &str, version: &str) -> bool {
    wanted.split(',').all(|part| {
        let (operator, bound) = split(part.trim());
        let order = compare(version, bound);
        match operator {
            ">=" => order != Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            "<" => order == Ordering::Less,
            _ => bound.is_empty() || order == Ordering::Equal,
        }
    })
}

/// What is wrong with what is wanted.
#[must_use]
pub fn fault(wanted: &str) -> Option<String> {
    if wanted.is_empty() {
        return None;
    }
    wanted.split(',').map(str::trim).find_map(|part| {
        let (operator, bound) = split(part);
        let ordered = matches!(operator, ">=" | "<=" | ">" | "<");
        let number = bound
            .trim_start_matches('v')
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_digit());
        match bound {
            "" => Some(format!("`{part}` names no version")),
            _ if ordered && !number => Some(format!("`{part}` compares, and `{bound}` is not a number")),
            _ => None,
        }
    })
}

fn split(part: &str) -> (&str, &str) {
    let operators = [">=", "<=", ">", "<", "="];
    let found = operators.into_iter().find(|operator| part.starts_with(operator));
    found.map_or(("=", part), |operator| (operator, part[operator.len()..].trim()))
}

/// By numbers between dots, missing ones are 0; what follows a dash comes before the same without it, as in semantic
/// versions. What is no number is compared as text.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let text = text
            .trim_start_matches('v')
            .split('+')
            .next()
            .unwrap_or_default()
            .to_owned();
        let (core, pre) = text
            .split_once('-')
            .map_or((text.clone(), String::new()), |(c, p)| {
                (c.to_owned(), p.to_owned())
            });
        (core, pre)
    };
    let ((a_core, a_pre), (b_core, b_pre)) = (parts(a), parts(b));
    let (mut a_parts, mut b_parts) = (a_core.split('.'), b_core.split('.'));
    loop {
        let (left, right) = match (a_parts.next(), b_parts.next()) {
            (None, None) => break,
            (left, right) => (left.unwrap_or("0"), right.unwrap_or("0")),
        };
        let order = match (left.parse::<u64>(), right.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    match (a_pre.is_empty(), b_pre.is_empty()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => a_pre.cmp(&b_pre),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(fits(">=2.3", "v2.10.1") && !fits(">=2.3", "2.2.9"));
        assert!(fits(">=2, <3", "2.9") && !fits(">=2, <3", "3.0.0"));
        assert!(
            fits("<2.0", "2.0.0-rc1"),
            "a candidate of a release comes before it"
        );
        assert!(fits("abc123", "abc123") && !fits("abc123", "abc124"));
        assert!(fits("", "whatever"));
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        assert_eq!(fault(">=2.3, <4"), None);
        assert!(fault(">=").unwrap().contains("names no version"));
        assert!(fault(">=main").unwrap().contains("not a number"));
    }
}
