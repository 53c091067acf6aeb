//! Everything that is wrong with a file of documents, each with its line and field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::shape::{self, Read};
use super::{Document, LONGEST};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its line, from 1; `None`: it is of the whole document.
    pub line: Option<usize>,
    /// The field at fault, as in `spec.policy.steps[0]`; empty: the document itself.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Every fault of a text of one document, or of several with `---` between them; empty: there is none.
#[must_use]
pub fn lint(text: &str) -> Vec<Finding> {
    let text = plain(text);
    let mut found = Vec::new();
    let mut waits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut documents = 0;
    for (offset, part) in parts(text) {
        if part
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            continue;
        }
        documents += 1;
        if let Some(at) = foreign(&part) {
            let message = "is Argo Rollouts': `auspex convert -f` reads it";
            found.push(finding(Some(offset + at), "apiVersion", message));
            continue;
        }
        if let Some(document) = one(&part, offset, &mut found) {
            let others = document.spec.gates.dependencies.into_iter().map(|d| d.service);
            waits.entry(document.spec.service).or_default().extend(others);
        }
    }
    if documents == 0 {
        found.push(finding(None, "", "there is no document"));
    }
    if let Some(cycle) = cycle(&waits) {
        let message = format!("{} wait for each other", cycle.join(" -> "));
        found.push(finding(None, "spec.gates.dependencies", message));
    }
    found
}

/// The line, from 1, that says that a document is another controller's.
fn foreign(text: &str) -> Option<usize> {
    let is = |line: &str| line.starts_with("apiVersion:") && line.contains("argoproj.io/");
    text.lines().position(is).map(|at| at + 1)
}

fn finding(line: Option<usize>, field: &str, message: impl Into<String>) -> Finding {
    Finding {
        line,
        field: field.to_owned(),
        message: message.into(),
    }
}

fn one(text: &str, offset: usize, found: &mut Vec<Finding>) -> Option<Document> {
    if text.len() > LONGEST {
        found.push(finding(
            Some(offset + 1),
            "",
            format!("is longer than {LONGEST} bytes"),
        ));
        return None;
    }
    let Read { document, found: own } = shape::read(text);
    let moved = |finding: Finding| Finding {
        line: finding.line.map(|line| offset + line),
        ..finding
    };
    found.extend(own.into_iter().map(moved));
    document
}

/// The field of a fault: what stands before its first colon.
pub(super) fn field(problem: &str) -> &str {
    problem.split_once(": ").map_or("", |(field, _)| field)
}

/// The documents of a text, each with the number of lines before it.
fn parts(text: &str) -> Vec<(usize, String)> {
    let mut out = vec![(0, String::new())];
    for (at, line) in text.lines().enumerate() {
        if is_border(line) {
            out.push((at + 1, String::new()));
        } else if let Some((_, part)) = out.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    out
}

/// Whether a line parts two documents: `---`, also with a comment.
fn is_border(line: &str) -> bool {
    let rest = line.strip_prefix("---").map(str::trim);
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('#') && !line.starts_with("---#")))
}

/// Without the mark that some editors put before a text.
pub(super) fn plain(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A way along which services wait for each other round in a circle, when there is one.
#[must_use]
pub fn cycle(waits: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    for start in waits.keys() {
        let mut way = Vec::new();
        if let Some(found) = walk(start, waits, &mut way, &mut done) {
            return Some(found);
        }
    }
    None
}

fn walk(
    at: &str,
    waits: &BTreeMap<String, BTreeSet<String>>,
    way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(first) = way.iter().position(|seen| seen == at) {
        let mut found = way.split_off(first);
        found.push(at.to_owned());
        return Some(found);
    }
    if done.contains(at) {
        return None;
    }
    way.push(at.to_owned());
    for next in waits.get(at).into_iter().flatten() {
        if let Some(found) = walk(next, waits, way, done) {
            return Some(found);
        }
    }
    way.pop();
    done.insert(at.to_owned());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_line_and_field() {
        let text = "# two of them
apiVersion: auspex.dev/v1
kind: Rollout
metadata: {name: a}
spec:
  service: a
  alpha: 3
  gates:
    dependencies:
      - service: b
---
apiVersion: auspex.dev/v1
kind: Rollout
metadata: {name: b}
spec:
  service: b
  polcy: {}
";
        let found = lint(text);
        assert_eq!(
            found[0],
            finding(Some(7), "spec.alpha", "3 is not within 0.000000001..=0.5")
        );
        assert_eq!(
            (found[1].line, found[1].field.as_str()),
            (Some(17), "spec"),
            "{found:?}"
        );
        assert!(found[1].message.contains("polcy"), "{found:?}");
        assert_eq!(found.len(), 2);
        assert_eq!(lint("# nothing\n")[0].message, "there is no document");
        let argo = lint("---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\n");
        assert_eq!(
            (argo.len(), argo[0].line, argo[0].field.as_str()),
            (1, Some(2), "apiVersion")
        );
    }

    #[test]
    fn comments_at_borders_and_marks_of_editors_are_no_fault() {
        let one = "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {name: a}\nspec: {service: a}\n";
        assert_eq!(lint(&format!("\u{feff}{one}--- # the other\n{one}")), []);
        assert!(Document::parse(&format!("\u{feff}{one}")).is_ok());
    }

    #[test]
    fn a_document_of_one_line_has_its_faults_in_it() {
        let one = r#"{"apiVersion":"auspex.dev/v1","kind":"Rollout","metadata":{"name":"a"},"spec":{"service":"a","alpha":4}}"#;
        let found = lint(one);
        assert_eq!((found.len(), found[0].line), (1, Some(1)), "{found:?}");
    }

    #[test]
    fn services_that_wait_for_each_other_are_told() {
        let one = |name: &str, other: &str| {
            format!(
                "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec: {{service: {name}, gates: {{dependencies: [{{service: {other}}}]}}}}\n"
            )
        };
        let found = lint(&[one("a", "b"), one("b", "c"), one("c", "a")].join("---\n"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "a -> b -> c -> a wait for each other");
        assert_eq!(lint(&[one("a", "b"), one("b", "c")].join("---\n")), []);
    }
}
