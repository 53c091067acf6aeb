//! Whether a message refers to an issue of a tracker: `#123` or `ABC-123`. It is not a search for the word *fix*.
//!
//! A feature of the model, and two services compute it: from a whole message where there is a checkout, from its title
//! where there is a webhook. One rule for both, or the same change would be a fix by one door and none by the other.

/// Names of standards that look like issues of a tracker.
const STANDARDS: [&str; 16] = [
    "AES", "ANSI", "ASCII", "BASE", "CP", "ECMA", "HTTP", "IEEE", "ISO", "MD", "PEP", "RFC", "SHA", "TLS",
    "UTF", "WINDOWS",
];

/// Whether the message refers to an issue.
///
/// A merge by pull request writes the request's own number behind the title, as `(#123)` or `Merge pull request #123`:
/// that is no issue, and every such change would count as a fix.
#[must_use]
pub fn refers_to_issue(message: &str) -> bool {
    let mut lines = message.lines();
    let title = lines.next().unwrap_or_default().trim_end();
    line_refers(without_request(title)) || lines.any(line_refers)
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

fn line_refers(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        let digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        match byte {
            b'#' => digit,
            b'-' => digit && tracker(bytes.get(..at).unwrap_or_default()),
            _ => false,
        }
    })
}

/// Whether what stands before the dash is the key of a tracker: two or more capitals or digits after a first capital, at
/// the start of a word.
fn tracker(before: &[u8]) -> bool {
    let inside = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    let length = before.iter().rev().take_while(|b| inside(b)).count();
    let (rest, key) = before.split_at(before.len() - length);
    let word = rest
        .last()
        .is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'-');
    let standard = |key: &[u8]| STANDARDS.iter().any(|name| name.as_bytes() == key);
    word && length >= 2 && key.first().is_some_and(u8::is_ascii_uppercase) && !standard(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_a_number_of_a_tracker() {
        for message in [
            "Fix the till\n\nFixes #12",
            "QTBUG-4711: do not paint twice",
            "runtime: faster\n\nFixes golang/go#33",
            "[ABC2-7] more",
            "Fix #3 (#44)",
            "\u{e9} #4",
            "Add till (#5)\n\nCloses #4",
        ] {
            assert!(refers_to_issue(message), "{message}");
        }
        for message in [
            "Fix the till",
            "Add till (#5)",
            "Merge pull request #5 from acme/till",
            "Read UTF-8 and SHA-256",
            "x-1 and A-1 and Web-2 and pre-ABC-1",
            "# 1",
            "Change-Id: I1234",
            "",
        ] {
            assert!(!refers_to_issue(message), "{message}");
        }
    }
}
