//! CloudEvents 1.0, structured (JSON) and binary, as the HTTP binding has them.

use auspex_proto::event::Body;
use auspex_proto::{Invalid, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::cdevents;
use super::field::{Node, latest};
use super::{Head, Normalized, Projects, short};

/// One CloudEvent, read from its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Unique per source.
    pub id: String,
    /// Who sends it: a URI reference.
    pub source: String,
    /// What kind it is.
    pub kind: String,
    /// When it happened, when the sender tells.
    pub time: Option<Timestamp>,
    /// The extension attribute `auspexproject`: the project, when the sender knows it.
    pub project: Option<String>,
    /// What it says.
    pub payload: Value,
}

/// Reads a structured event: one JSON document.
///
/// # Errors
/// [`Invalid`] naming the attribute.
pub fn structured(body: &[u8]) -> Result<Envelope, Invalid> {
    let mut document: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|fault| Invalid::new("body", format!("is not a JSON object: {fault}")))?;
    let payload = match (document.remove("data"), document.remove("data_base64")) {
        (Some(_), Some(_)) => return Err(Invalid::new("data_base64", "stands beside data")),
        (Some(value), None) => value,
        (None, Some(Value::String(text))) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|fault| Invalid::new("data_base64", format!("is not base64: {fault}")))?;
            let kind = document.get("datacontenttype").and_then(Value::as_str);
            content(kind.unwrap_or_default(), &bytes)?
        }
        (None, Some(_)) => return Err(Invalid::new("data_base64", "is not a text")),
        (None, None) => Value::Null,
    };
    envelope(&Value::Object(document), payload)
}

/// Reads a binary event: attributes in headers named `ce-*`, the content in the body.
/// `headers`: names in lower case without the prefix, values as they came.
///
/// # Errors
/// [`Invalid`] naming the attribute.
pub fn binary<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    content_type: &str,
    body: &[u8],
) -> Result<Envelope, Invalid> {
    let mut document = Map::new();
    for (name, value) in headers {
        let text = unescape(value).ok_or_else(|| Invalid::new(format!("ce-{name}"), "is not UTF-8"))?;
        document.insert(name.to_owned(), Value::String(text));
    }
    let payload = content(content_type, body)?;
    envelope(&Value::Object(document), payload)
}

fn envelope(attributes: &Value, payload: Value) -> Result<Envelope, Invalid> {
    let node = Node::root(attributes);
    let version = node.at("specversion");
    if version.text()? != "1.0" {
        return Err(version.fault("is not 1.0"));
    }
    let bounded = |key: &str, limit: usize| {
        let node = node.at(key);
        let text = node.text()?;
        if text.len() > limit {
            return Err(node.fault(format!("is longer than {limit} bytes")));
        }
        Ok(text.to_owned())
    };
    Ok(Envelope {
        id: bounded("id", 1024)?,
        source: bounded("source", 1024)?,
        kind: bounded("type", 256)?,
        time: node.at("time").time()?,
        project: node.at("auspexproject").some_text().map(str::to_owned),
        payload,
    })
}

/// Content by its media type: JSON as it is, text as a text, anything else in base64.
fn content(media: &str, bytes: &[u8]) -> Result<Value, Invalid> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if media.is_empty() || media.ends_with("/json") || media.ends_with("+json") {
        return serde_json::from_slice(bytes)
            .map_err(|fault| Invalid::new("data", format!("is not JSON: {fault}")));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if media.starts_with("text/") => Ok(Value::String(text.to_owned())),
        _ => Ok(Value::String(STANDARD.encode(bytes))),
    }
}

/// A header's value, back to the attribute: quotes off first, then percent escapes once. `None`: not UTF-8.
fn unescape(value: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(value.len());
    match value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) {
        Some(quoted) => {
            let mut bytes = quoted.iter().copied();
            while let Some(byte) = bytes.next() {
                text.extend(if byte == b'\\' { bytes.next() } else { Some(byte) });
            }
        }
        None => text.extend_from_slice(value),
    }
    String::from_utf8(percent_decode(&text, false)).ok()
}

/// Replaces each `%XX` once; a `%` that starts no escape stays. `plus`: a `+` is a space, as in forms.
pub(crate) fn percent_decode(text: &[u8], plus: bool) -> Vec<u8> {
    let nibble = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = (byte == b'%')
            .then(|| nibble(text.get(at + 1)).zip(nibble(text.get(at + 2))))
            .flatten();
        match escaped.map(|(high, low)| u8::try_from(high * 16 + low)) {
            Some(Ok(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(if plus && byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    out
}

/// What a CloudEvent means: a CDEvent we know is mapped, anything else is kept as it is.
///
/// # Errors
/// [`Invalid`] naming the field of a CDEvent that bears on us and cannot be read.
pub fn cloudevent(
    envelope: &Envelope,
    projects: &Projects,
    received: Timestamp,
) -> Result<Normalized, Invalid> {
    let root = Node::root(&envelope.payload);
    let said = envelope.time.or(root.at("context").at("timestamp").time()?);
    let whose = cdevents::whose(&root);
    let names: Vec<&str> = whose.repository.into_iter().chain(whose.service).collect();
    let project = match envelope.project.as_deref().or(whose.project) {
        Some(named) => projects.of(&[named], named),
        None => {
            let fallback = names.first().copied().unwrap_or(&envelope.source);
            let names: Vec<&str> = names.iter().copied().chain([envelope.source.as_str()]).collect();
            projects.of(&names, fallback)
        }
    };
    let head = Head {
        source: envelope.source.clone(),
        id: envelope.id.clone(),
        project: project?,
        time: said
            .or_else(|| latest(&envelope.payload, received))
            .unwrap_or(received),
    };
    let mut bodies = cdevents::bodies(&envelope.kind, &root, &envelope.id)?;
    if bodies.is_empty() {
        bodies.push(Body::Other {
            kind: short(&envelope.kind),
            json: envelope.payload.to_string(),
        });
    }
    let events = bodies
        .into_iter()
        .enumerate()
        .map(|(index, body)| head.event(index, body));
    Ok(Normalized::Event(events.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded_once() {
        // The binding's own example.
        assert_eq!(
            unescape(b"Euro%20%E2%82%AC%20%F0%9F%98%80").unwrap(),
            "Euro \u{20ac} \u{1f600}"
        );
        assert_eq!(unescape(b"\"a \\\"b\\\" c\"").unwrap(), "a \"b\" c");
        assert_eq!(unescape(b"%2541").unwrap(), "%41");
        assert_eq!(unescape(b"100%").unwrap(), "100%");
        assert_eq!(unescape(b"%C0%A0"), None);
        assert_eq!(percent_decode(b"a+b%2Bc", true), b"a b+c");
    }

    #[test]
    fn an_envelope_names_the_attribute_at_fault() {
        let fault = |json: &str| structured(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(fault(r#"{"id":"1"}"#), "specversion: is missing");
        assert_eq!(fault(r#"{"specversion":"0.3"}"#), "specversion: is not 1.0");
        assert_eq!(
            fault(r#"{"specversion":"1.0","id":"1","source":""}"#),
            "source: is empty"
        );
        assert_eq!(
            fault(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"noon"}"#),
            "time: is not a time"
        );
        assert!(fault("[]").starts_with("body: is not a JSON object"));
    }

    #[test]
    fn content_follows_its_media_type() {
        assert_eq!(
            content("application/json; charset=utf-8", b"[1]").unwrap(),
            serde_json::json!([1])
        );
        assert_eq!(
            content("application/cdevents+json", b"{}").unwrap(),
            serde_json::json!({})
        );
        assert_eq!(content("text/plain", b"hi").unwrap(), "hi");
        assert_eq!(content("application/octet-stream", b"hi").unwrap(), "aGk=");
        assert_eq!(content("application/json", b"{").unwrap_err().field, "data");
    }
}
