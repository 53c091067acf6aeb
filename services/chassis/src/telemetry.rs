//! Logs as JSON lines, and W3C trace context through message headers.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for collectors.
    Json,
    /// For a person at a terminal.
    Text,
}

/// Starts logging to standard error, once per process. `AUSPEX_LOG` filters as `RUST_LOG` does; the default is `level`.
pub fn init(format: Format, level: &str) {
    let filter = std::env::var("AUSPEX_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are for eyes: in a file they are noise.
    let eyes = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_ansi(eyes)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second call in one process (tests) keeps the first subscriber: nothing is lost by it.
    let _already_set = match format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_span_events(FmtSpan::NONE)
            .try_init(),
        Format::Text => builder.with_target(false).try_init(),
    };
}

/// A trace that goes with a fact: W3C `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(String);

impl Trace {
    /// Reads a header; `None` when it is not a valid `traceparent`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let hex = |part: &str, length: usize| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match parts.as_slice() {
            [version, trace, span, flags, ..]
                if hex(version, 2)
                    && *version != "ff"
                    && hex(trace, 32)
                    && hex(span, 16)
                    && hex(flags, 2) =>
            {
                let zero = |part: &str| part.bytes().all(|b| b == b'0');
                (!zero(trace) && !zero(span)).then(|| Self(text.to_owned()))
            }
            _ => None,
        }
    }

    /// The trace of a message: the one its header names, else the one that begins with it.
    #[must_use]
    pub fn of(header: &str, message_id: &str) -> Self {
        Self::parse(header).unwrap_or_else(|| Self::begin(message_id))
    }

    /// A trace that begins with this fact. Derived from its id: the same fact published twice is one trace.
    #[must_use]
    pub fn begin(message_id: &str) -> Self {
        use sha2::{Digest, Sha256};
        let digest = hex::encode(Sha256::digest(message_id.as_bytes()));
        Self(format!("00-{}-{}-01", &digest[..32], &digest[32..48]))
    }

    /// The same trace, one fact further.
    #[must_use]
    pub fn child(&self, message_id: &str) -> Self {
        let own = Self::begin(message_id);
        match (self.0.split('-').nth(1), own.0.split('-').nth(2)) {
            (Some(trace), Some(span)) => Self(format!("00-{trace}-{span}-01")),
            _ => own,
        }
    }

    /// The header's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_the_trace_and_has_its_own_span() {
        let parent = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let child = parent.child("score:x");
        assert!(Trace::parse(child.as_str()).is_some());
        assert!(child.as_str().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_ne!(child, parent);
        for wrong in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert!(Trace::parse(wrong).is_none());
        }
    }
}
