//! On which line of a document a field stands: for faults of content, which the YAML reader does not know of.
//!
//! Reads the block structure alone: of what stands inside braces or brackets, the line of the nearest field around it.

/// The line, from 1, of a path such as `spec.policy.steps[2].setWeight`, or of the nearest field above it that is there.
#[must_use]
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let wanted = segments(path);
    let mut stack: Vec<(usize, Part)> = Vec::new();
    let mut best: Option<(usize, usize)> = None;
    for (at, line) in text.lines().enumerate() {
        let mut indent = line.len() - line.trim_start().len();
        let mut rest = line.trim();
        if rest.is_empty() || rest.starts_with('#') || rest == "---" {
            continue;
        }
        while let Some(item) = rest.strip_prefix("- ").or((rest == "-").then_some("")) {
            let seen = |(i, part): &(usize, Part)| (*i == indent).then_some(part.clone());
            let next = match stack.iter().rev().find_map(seen) {
                Some(Part::Item(n)) => n + 1,
                _ => 0,
            };
            // An item may stand as far left as the key that holds it.
            stack.retain(|(i, part)| *i < indent || (*i == indent && matches!(part, Part::Key(_))));
            stack.push((indent, Part::Item(next)));
            note(&stack, &wanted, at, &mut best);
            indent += rest.len() - item.trim_start().len();
            rest = item.trim_start();
        }
        if let Some((key, _)) = rest.split_once(':') {
            let key = key.trim().trim_matches(['"', '\'']);
            if key.is_empty() || key.starts_with(['{', '[']) {
                continue;
            }
            stack.retain(|(i, _)| *i < indent);
            stack.push((indent, Part::Key(key.to_owned())));
            note(&stack, &wanted, at, &mut best);
        }
    }
    best.map(|(_, line)| line + 1)
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Key(String),
    Item(usize),
}

fn note(stack: &[(usize, Part)], wanted: &[Part], line: usize, best: &mut Option<(usize, usize)>) {
    let depth = stack.len();
    let fits = depth <= wanted.len() && stack.iter().zip(wanted).all(|((_, have), want)| same(have, want));
    if fits && best.is_none_or(|(deepest, _)| depth > deepest) {
        *best = Some((depth, line));
    }
}

/// `blueGreen` is `blue_green`.
fn same(have: &Part, want: &Part) -> bool {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    match (have, want) {
        (Part::Key(have), Part::Key(want)) => plain(have) == plain(want),
        (have, want) => have == want,
    }
}

fn segments(path: &str) -> Vec<Part> {
    let mut out = Vec::new();
    for piece in path.split('.') {
        let (key, items) = piece.split_once('[').unwrap_or((piece, ""));
        if !key.is_empty() {
            out.push(Part::Key(key.to_owned()));
        }
        let numbers = items.split(['[', ']']).filter(|n| !n.is_empty());
        out.extend(numbers.filter_map(|n| n.parse().ok()).map(Part::Item));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Rollout
metadata:
  name: a
spec:
  policy:
    steps:
    - setWeight: 10
    - pause: {duration: 3s}
    - setWeight: 200
  strategy:
    pipeline:
      - name: first
        canary: {to: 5}
      - blueGreen:
          preview: 1m
";

    #[test]
    fn a_field_is_found_on_its_line() {
        for (path, line) in [
            ("kind", 1),
            ("metadata.name", 3),
            ("spec.policy.steps[0].setWeight", 7),
            ("spec.policy.steps[2]", 9),
            ("spec.strategy.pipeline[1].blue_green.preview", 15),
            ("spec.strategy.pipeline[0].canary.to", 13),
            ("spec.alpha", 4),
        ] {
            assert_eq!(line_of(TEXT, path), Some(line), "{path}");
        }
        assert_eq!(line_of(TEXT, "nothing"), None);
    }
}
