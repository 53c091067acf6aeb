//! Every fault of shape in one go: fields that nobody knows, values of another type, what is missing.
//!
//! The reader stops at the first of them. So what is at fault is told, taken out or filled in, and read again, until the
//! rest can be read: then that is checked for its content too. What was told is not told again by what follows from it.

use std::collections::BTreeMap;

use serde_path_to_error::Segment;
use serde_yaml_ng::{Mapping, Value};

use super::lint::{Finding, field};
use super::{Document, locate};

/// Most faults that are told of one document.
const MOST: usize = 50;
/// Most times that a document is read.
const MOST_READS: usize = 300;

/// What a reading has found.
#[derive(Debug)]
pub(super) struct Read {
    /// What can be read: the document itself where nothing was found, else what is left of it, for checks across documents.
    pub(super) document: Option<Document>,
    /// Every fault, of shape and of content.
    pub(super) found: Vec<Finding>,
}

/// A place in a document, from its top.
type Path = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Key(String),
    Item(usize),
}

/// Reads a document; every fault with its line and field.
pub(super) fn read(text: &str) -> Read {
    let mut found = Vec::new();
    let Ok(mut value) = serde_yaml_ng::from_str::<Value>(text) else {
        let document = serde_yaml_ng::from_str::<Document>(text);
        match &document {
            Ok(document) => content(text, document, &BTreeMap::new(), &mut found),
            Err(fault) => found.push(told(text, &Vec::new(), fault)),
        }
        return Read {
            document: document.ok(),
            found,
        };
    };
    let mut tried: BTreeMap<Path, usize> = BTreeMap::new();
    let mut now = text.to_owned();
    for _ in 0..MOST_READS {
        let deserializer = serde_yaml_ng::Deserializer::from_str(&now);
        let fault = match serde_path_to_error::deserialize::<_, Document>(deserializer) {
            Ok(document) => {
                content(text, &document, &tried, &mut found);
                return Read {
                    document: Some(document),
                    found,
                };
            }
            Err(fault) => fault,
        };
        let path = place(&fault);
        if !tried.keys().any(|known| path.starts_with(known)) {
            found.push(told(text, &path, fault.inner()));
        }
        let tries = tried.entry(path.clone()).or_default();
        *tries += 1;
        if found.len() >= MOST || !amend(&mut value, &path, *tries) {
            break;
        }
        let Ok(next) = serde_yaml_ng::to_string(&value) else {
            break;
        };
        now = next;
    }
    Read {
        document: None,
        found,
    }
}

/// Where the reader stopped; of what is missing, where it would stand.
fn place(fault: &serde_path_to_error::Error<serde_yaml_ng::Error>) -> Path {
    let mut path: Path = Vec::new();
    for segment in fault.path() {
        match segment {
            Segment::Seq { index } => path.push(Part::Item(*index)),
            Segment::Map { key } => path.push(Part::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let said = fault.inner().to_string();
    if let Some((_, rest)) = said.split_once("missing field `")
        && let Some((name, _)) = rest.split_once('`')
    {
        path.push(Part::Key(name.to_owned()));
    }
    path
}

/// A fault in words, as the reader says it.
fn told(text: &str, path: &Path, fault: &serde_yaml_ng::Error) -> Finding {
    let said = fault.to_string();
    let said = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(said, _)| said);
    let (field, message) = match said.split_once(": ") {
        Some((field, message)) if !field.contains(' ') && !field.contains('`') => (field, message),
        _ => ("", said),
    };
    let line = match path.is_empty() {
        true => fault.location().map(|at| at.line()),
        false => locate::line_of(text, &written(path)),
    };
    Finding {
        line: line.or(Some(1)),
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

/// What is wrong with the content of what can be read, what was told already left out.
fn content(text: &str, document: &Document, tried: &BTreeMap<Path, usize>, found: &mut Vec<Finding>) {
    let known: Vec<String> = tried.keys().map(written).collect();
    for problem in document.problems() {
        let field = field(&problem);
        // A field that was taken out may be the reason, and so may one below it.
        let told = |path: &String| field.starts_with(path.as_str()) || path.starts_with(field);
        if known.iter().any(told) {
            continue;
        }
        let message = problem.get(field.len()..).unwrap_or_default();
        found.push(Finding {
            line: locate::line_of(text, field).or(Some(1)),
            field: field.to_owned(),
            message: message.trim_start_matches(": ").to_owned(),
        });
    }
}

/// `spec.policy.steps[0].setWeight`.
fn written(path: &Path) -> String {
    let mut out = String::new();
    for part in path {
        match part {
            Part::Key(key) if out.is_empty() => out.push_str(key),
            Part::Key(key) => out.push_str(&format!(".{key}")),
            Part::Item(at) => out.push_str(&format!("[{at}]")),
        }
    }
    out
}

/// Makes what stands at a place readable: takes it out, or puts something in its place that may do; after all of these the
/// same with what holds it. `false`: there is nothing left to do.
fn amend(value: &mut Value, path: &Path, tries: usize) -> bool {
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    let filler = match tries {
        1 => None,
        2 => Some(Value::Mapping(Mapping::new())),
        3 => Some(Value::from("x")),
        4 => Some(Value::from(1)),
        _ => return amend(value, &above.to_vec(), 1),
    };
    let Some(holder) = above.iter().try_fold(value, inner) else {
        return false;
    };
    match (last, holder) {
        (Part::Key(key), Value::Mapping(fields)) => {
            fields.remove(key.as_str());
            if let Some(filler) = filler {
                fields.insert(Value::from(key.as_str()), filler);
            }
        }
        // The others keep their places.
        (Part::Item(at), Value::Sequence(items)) => {
            if let Some(item) = items.get_mut(*at) {
                *item = filler.unwrap_or(Value::Mapping(Mapping::new()));
            }
        }
        _ => return false,
    }
    true
}

fn inner<'a>(value: &'a mut Value, part: &Part) -> Option<&'a mut Value> {
    match (part, value) {
        (Part::Key(key), Value::Mapping(fields)) => fields.get_mut(key.as_str()),
        (Part::Item(at), Value::Sequence(items)) => items.get_mut(*at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: &str = "apiVersion: auspex.dev/v1
kind: Rollout
metadata:
  nam: a
spec:
  service: a
  polcy: {}
  slo_ms: quick
  alpha: 3
  metrics:
    - weight: 2
    - {name: sold, direction: up}
    - name: lists
      importance: 3
  policy:
    steps:
      - setWeight: ten
      - pause: {duration: soon}
      - 5
      - setWeight: 200
  cohorts: nobody
  gates:
    approvals:
      - name: go
        by: alice
";

    #[test]
    fn all_that_can_be_found_is_told_at_once() {
        let Read { found, .. } = read(WRONG);
        let told: Vec<(usize, &str)> = found
            .iter()
            .map(|f| (f.line.unwrap(), f.message.as_str()))
            .collect();
        for (line, part) in [
            (4, "unknown field `nam`"),
            (3, "missing field `name`"),
            (7, "unknown field `polcy`"),
            (8, "invalid type: string \"quick\", expected f64"),
            (9, "3 is not within"),
            (11, "missing field `name`"),
            (12, "unknown variant `up`"),
            (14, "unknown field `importance`"),
            (17, "invalid type: string \"ten\", expected u8"),
            (18, "`soon` is not a length of time"),
            (19, "invalid type: integer `5`"),
            (20, "200"),
            (21, "invalid type: string \"nobody\""),
            (25, "invalid type: string \"alice\""),
        ] {
            let there = |(at, said): &(usize, &str)| *at == line && said.contains(part);
            assert!(told.iter().any(there), "{line} {part}: {told:#?}");
        }
        assert_eq!(told.len(), 14, "{told:#?}");
        assert!(
            found.iter().any(|f| f.field == "spec.metrics[1].direction"),
            "{found:#?}"
        );
    }

    #[test]
    fn whatever_is_read_it_ends() {
        for text in [
            "",
            "5",
            "[]",
            "{}",
            "apiVersion: 3",
            "spec: []",
            "a: b: c",
            "{spec: {gates: 5}, metadata: 5, kind: []}",
        ] {
            let read = read(text);
            assert!(!read.found.is_empty(), "{text}");
        }
        // Numbers are fine as names.
        let plain = "{apiVersion: auspex.dev/v1, kind: Rollout, metadata: {name: a}, spec: {service: a, tracks: {candidate: {revision: 12}}, alpha: 3}}";
        assert_eq!(read(plain).found.len(), 1, "{:?}", read(plain).found);
    }
}
