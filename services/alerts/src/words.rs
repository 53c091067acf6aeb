//! Numbers and names as people read them, and texts of bounded length.

use auspex_proto::Project;
use sha2::{Digest, Sha256};

/// The longest key PagerDuty takes, in bytes; also the contract of `Alert.dedup_key`.
pub const MAX_KEY: usize = 255;

/// At most `max` bytes of the text, cut between characters, with an ellipsis when something was cut.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mark = '…';
    let room = max.saturating_sub(mark.len_utf8());
    let mut out = String::with_capacity(max);
    for c in text.chars() {
        if out.len() + c.len_utf8() > room {
            break;
        }
        out.push(c);
    }
    out.push(mark);
    out
}

/// One line of bounded length: control characters become spaces. What authors write must not shape the message.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clip(plain.trim(), max)
}

/// A revision as people say it: a long hexadecimal hash by its first ten digits, anything else as it is.
#[must_use]
pub fn short(revision: &str) -> String {
    if revision.len() >= 16 && revision.chars().all(|c| c.is_ascii_hexdigit()) {
        revision.chars().take(10).collect()
    } else {
        clip(revision, 40)
    }
}

/// A share as a percentage with as many digits as it deserves.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        "unknown".to_owned()
    } else if percent == 0.0 || percent >= 10.0 {
        format!("{percent:.0} %")
    } else if percent >= 1.0 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.2} %")
    }
}

/// A ratio, as in `3.2x`.
#[must_use]
pub fn times(ratio: f64) -> String {
    if !ratio.is_finite() {
        "beyond measure".to_owned()
    } else if ratio >= 10.0 {
        format!("{ratio:.0}x")
    } else {
        format!("{ratio:.1}x")
    }
}

/// A duration in seconds, or in minutes when it is long.
#[must_use]
pub fn span(seconds: u64) -> String {
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// A count and its noun.
#[must_use]
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The key of a matter: equal for all alerts about it, at most [`MAX_KEY`] bytes. Too long a key keeps its beginning,
/// for people, and ends in a hash of the whole, so that two matters never share one.
#[must_use]
pub fn key(project: &Project, path: &[&str]) -> String {
    // A slash within a part would let two paths read alike.
    let parts: Vec<String> = path
        .iter()
        .map(|part| part.replace('%', "%25").replace('/', "%2F"))
        .collect();
    let whole = format!("auspex/{project}/{}", parts.join("/"));
    if whole.len() <= MAX_KEY {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(whole.as_bytes()));
    let mut head = String::new();
    for c in whole.chars() {
        if head.len() + c.len_utf8() > MAX_KEY - 1 - hash.len() {
            break;
        }
        head.push(c);
    }
    format!("{head}#{hash}")
}

/// Eight bytes of a hash, for comparing.
#[must_use]
pub fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A feature of a change and its value, in words. An unknown feature is shown by its name.
#[must_use]
pub fn feature(name: &str, value: Option<f64>) -> String {
    let Some(value) = value else {
        return format!("{} is not known", name.replace('_', " "));
    };
    let whole = value.round();
    let of = |one: &str, many: &str| format!("{whole} {}", if whole == 1.0 { one } else { many });
    match name {
        "lines_added" => format!("{} added", of("line", "lines")),
        "lines_deleted" => format!("{} deleted", of("line", "lines")),
        "lines_before" => format!("touches files of {}", of("line", "lines")),
        "files" => format!("{} touched", of("file", "files")),
        "directories" => format!("{} touched", of("directory", "directories")),
        "subsystems" => format!("{} touched", of("subsystem", "subsystems")),
        "entropy" => format!("spread over its files with entropy {value:.2}"),
        "is_fix" if value > 0.5 => "is a fix".to_owned(),
        "is_fix" => "is not a fix".to_owned(),
        "developers" if whole == 1.0 => "1 developer has changed these files".to_owned(),
        "developers" => format!("{whole} developers have changed these files"),
        "age_days" => format!("these files last changed {value:.1} days ago"),
        "unique_changes" => format!("these files have changed {}", of("time", "times")),
        "author_experience" => format!("the author has made {} here", of("change", "changes")),
        "author_recent_experience" => format!("the author's recent experience is {value:.1}"),
        "author_subsystem_experience" => {
            format!(
                "the author has changed {} of these subsystems",
                of("file", "files")
            )
        }
        other => format!("{} is {}", other.replace('_', " "), plain(value)),
    }
}

fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.824), "82 %");
        assert_eq!(percent(0.0123), "1.2 %");
        assert_eq!(percent(0.0004), "0.04 %");
        assert_eq!(times(3.25), "3.2x");
        assert_eq!(times(f64::INFINITY), "beyond measure");
        assert_eq!(span(61), "61 s");
        assert_eq!(span(125), "2 min 5 s");
        assert_eq!(short("3f2a1b9c00d1e2f3a4b5"), "3f2a1b9c00");
        assert_eq!(short("v1.2.3"), "v1.2.3");
        assert_eq!(feature("lines_added", Some(812.0)), "812 lines added");
        assert_eq!(feature("files", Some(1.0)), "1 file touched");
        assert_eq!(feature("disk_pressure", Some(0.5)), "disk pressure is 0.500");
        assert_eq!(feature("entropy", None), "entropy is not known");
        assert_eq!(line("a\n<!channel>\tb", 40), "a <!channel> b");
    }

    proptest! {
        #[test]
        fn a_key_is_bounded_and_tells_matters_apart(a in "[a-zé/]{1,200}", b in "[a-zé/]{1,200}") {
            let project = Project::new("acme/shop").unwrap();
            let of = |path: &str| key(&project, &["checkout", "rollout", path]);
            prop_assert!(of(&a).len() <= MAX_KEY);
            prop_assert_eq!(of(&a) == of(&b), a == b);
        }

        #[test]
        fn a_clipped_text_is_bounded(text in "\\PC{0,80}", max in 3_usize..60) {
            prop_assert!(clip(&text, max).len() <= max);
        }
    }
}
