//! Whether a title refers to an issue of a tracker: `#123` or `ABC-123`. It is not a search for the word *fix*.
//!
//! The same rule reads whole messages in a checkout (`ingest`); a webhook leaves us the title alone.

/// Names of standards that look like issues of a tracker.
const STANDARDS: [&str; 16] = [
    "AES", "ANSI", "ASCII", "BASE", "CP", "ECMA", "HTTP", "IEEE", "ISO", "MD", "PEP", "RFC", "SHA", "TLS",
    "UTF", "WINDOWS",
];

/// Whether a title refers to an issue. The number that a merge writes of the pull request itself (`Merge pull request #7`,
/// a last `(#7)`) is none: every such change would count as a fix.
#[must_use]
pub fn refers_to_issue(title: &str) -> bool {
    let title = without_request(title.trim_end());
    title.char_indices().any(|(at, c)| {
        let (before, rest) = title.split_at(at);
        let digit = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        match c {
            '#' => digit,
            '-' => digit && is_tracker(before),
            _ => false,
        }
    })
}

fn without_request(title: &str) -> &str {
    if title.starts_with("Merge pull request #") {
        return "";
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match title.strip_suffix(')').and_then(|t| t.rsplit_once("(#")) {
        Some((before, number)) if digits(number) => before,
        _ => title,
    }
}

/// Whether what stands before a dash ends in the key of a tracker: two or more capitals or digits after a first capital,
/// at the start of a word.
fn is_tracker(before: &str) -> bool {
    let inside = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let rest = before.trim_end_matches(inside);
    let key = before.strip_prefix(rest).unwrap_or_default();
    let starts_a_word = !rest.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    let capital = key.starts_with(|c: char| c.is_ascii_uppercase());
    starts_a_word && capital && key.len() >= 2 && !STANDARDS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_a_reference_and_not_the_word_fix() {
        for title in [
            "Close #12",
            "SHOP-7: round prices",
            "Fix #3 (#44)",
            "[ABC2-9] x",
            "golang/go#33",
            "é #4",
        ] {
            assert!(refers_to_issue(title), "{title}");
        }
        for title in [
            "Fix rounding",
            "Round prices (#44)",
            "Merge pull request #7 from a/b",
            "Read UTF-8 and SHA-256",
            "x-1 and A-1 and Web-2 and pre-ABC-1",
            "# 1",
            "",
        ] {
            assert!(!refers_to_issue(title), "{title}");
        }
    }
}
