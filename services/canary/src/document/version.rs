//! Which versions will do: `>=2.3`, `<4`, several with commas, or exactly one.

use std::cmp::Ordering;

/// Whether a version fits what is wanted.
#[must_use]
pub fn fits(wanted: &str, version: &str) -> bool {
    wanted.split(',').all(|part| {
        let (operator, bound) = split(part.trim());
        let order = compare(version, bound);
        match operator {
            ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            ">" => order == Some(Ordering::Greater),
            "<" => order == Some(Ordering::Less),
            _ => bound.is_empty() || order == Some(Ordering::Equal),
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
/// versions. `None`: a part that differs is no number, as in a commit's hash, which comes neither before nor after anything.
fn compare(a: &str, b: &str) -> Option<Ordering> {
    let parts = |text: &str| {
        let text = text.trim_start_matches('v');
        let text = text.split('+').next().unwrap_or_default();
        let (core, pre) = text.split_once('-').unwrap_or((text, ""));
        (core.to_owned(), pre.to_owned())
    };
    let ((a_core, a_pre), (b_core, b_pre)) = (parts(a), parts(b));
    let (mut a_parts, mut b_parts) = (a_core.split('.'), b_core.split('.'));
    loop {
        let (left, right) = match (a_parts.next(), b_parts.next()) {
            (None, None) => break,
            (left, right) => (left.unwrap_or("0"), right.unwrap_or("0")),
        };
        if left == right {
            continue;
        }
        match number(left)?.cmp(&number(right)?) {
            Ordering::Equal => {}
            order => return Some(order),
        }
    }
    Some(match (a_pre.is_empty(), b_pre.is_empty()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => before_release(&a_pre, &b_pre),
    })
}

/// What stands between dots after the dash: numbers by size and before words, fewer parts before more.
fn before_release(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (number(left), number(right)) {
                (Some(left), Some(right)) => left.cmp(&right),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Digits alone: `+3` is no version.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
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
    fn what_is_no_version_is_neither_newer_nor_older() {
        for hash in ["9bd01c7", "abc123", "main", "v2x", "3f2c1aa.1"] {
            for wanted in [">=2.3", ">2", "<4", "<=99"] {
                assert!(!fits(wanted, hash), "{wanted} {hash}");
            }
            assert!(fits(hash, hash) && fits("", hash), "{hash}");
        }
    }

    #[test]
    fn candidates_of_a_release_compare_as_semantic_versions_do() {
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ];
        for pair in order.windows(2) {
            assert!(fits(&format!("<{}", pair[1]), pair[0]), "{pair:?}");
            assert!(fits(&format!(">{}", pair[0]), pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        assert_eq!(fault(">=2.3, <4"), None);
        assert!(fault(">=").unwrap().contains("names no version"));
        assert!(fault(">=main").unwrap().contains("not a number"));
    }
}
