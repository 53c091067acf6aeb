//! Any text as one token of a subject or a key, and back.

/// Text as one token: letters, digits, `-` and `_` stay, every other byte becomes `=XX`. Empty text becomes `=`.
#[must_use]
pub fn token(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    push_token(&mut out, text);
    out
}

/// Writes text as one token behind what is there. Every fact on its way does so four times: no formatting, no copy.
pub(crate) fn push_token(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if text.is_empty() {
        out.push('=');
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            out.push(char::from(byte));
        } else {
            out.push('=');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The text behind a token.
#[must_use]
pub fn untoken(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_survives_as_a_token(text in ".*") {
            let token = token(&text);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)));
            prop_assert_eq!(untoken(&token), Some(text));
        }
    }

    #[test]
    fn what_is_no_letter_is_written_as_its_bytes() {
        let tokens = ["", "acme/shop", "a b", "é", "\u{f}x", "a-b_C9"].map(token);
        assert_eq!(tokens, ["=", "acme=2Fshop", "a=20b", "=C3=A9", "=0Fx", "a-b_C9"]);
    }
}
