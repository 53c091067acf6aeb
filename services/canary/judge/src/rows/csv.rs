//! CSV with a header (RFC 4180: quoted fields may hold commas, doubled quotes and line breaks).

use super::Row;
use super::field::{Fault, Raw, fault};
use super::json::histogram;

pub(super) fn rows(text: &str) -> impl Iterator<Item = (usize, Result<Row, Fault>)> {
    let mut records = Records { text, line: 1 };
    let header = records.next().map(|(_, header)| header);
    let named = match header {
        None => Err(fault("row", "the file is empty")),
        Some(Err(err)) => Err(err),
        Some(Ok(names)) => check_header(names),
    };
    let (names, wrong) = match named {
        Ok(names) => (names, None),
        Err(err) => {
            records.text = "";
            (Vec::new(), Some((1, Err(err))))
        }
    };
    wrong
        .into_iter()
        .chain(records.map(move |(line, record)| (line, record.and_then(|cells| row(&names, cells)))))
}

fn check_header(names: Vec<String>) -> Result<Vec<String>, Fault> {
    let names: Vec<String> = names.into_iter().map(|name| name.trim().to_owned()).collect();
    for (k, name) in names.iter().enumerate() {
        if name != "histogram" && Raw::default().slot(name).is_none() {
            return Err(fault(name, "unknown field"));
        }
        if names.iter().take(k).any(|other| other == name) {
            return Err(fault(name, "named twice"));
        }
    }
    Ok(names)
}

fn row(names: &[String], cells: Vec<String>) -> Result<Row, Fault> {
    if cells.len() != names.len() {
        return Err(fault(
            "row",
            format!("expected {} fields, got {}", names.len(), cells.len()),
        ));
    }
    let mut raw = Raw::default();
    for (name, cell) in names.iter().zip(cells) {
        let cell = cell.trim();
        if cell.is_empty() {
            continue;
        }
        if name == "histogram" {
            let value = serde_json::from_str(cell).map_err(|err| fault("histogram", err.to_string()))?;
            raw.histogram = Some(histogram(value)?);
        } else if let Some(slot) = raw.slot(name) {
            *slot = Some(cell.to_owned());
        }
    }
    raw.check()
}

/// Records of a text, each with the line it starts on; blank lines are passed over.
struct Records<'a> {
    text: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<Vec<String>, Fault>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let trimmed = self.text.trim_start_matches(['\r', '\n']);
            self.line += self.text.len().saturating_sub(trimmed.len())
                - self
                    .text
                    .chars()
                    .take_while(|c| matches!(c, '\r' | '\n'))
                    .filter(|c| *c == '\r')
                    .count();
            self.text = trimmed;
            if self.text.is_empty() {
                return None;
            }
            let start = self.line;
            let record = self.record();
            if !matches!(&record, Ok(cells) if cells.iter().all(|cell| cell.trim().is_empty())) {
                return Some((start, record));
            }
        }
    }
}

impl Records<'_> {
    fn record(&mut self) -> Result<Vec<String>, Fault> {
        let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        let mut chars = self.text.char_indices().peekable();
        let mut end = self.text.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    cell.push('"');
                    chars.next();
                }
                '"' if quoted => quoted = false,
                '"' if cell.trim().is_empty() => {
                    cell.clear();
                    quoted = true;
                }
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                '\n' if !quoted => {
                    end = at;
                    break;
                }
                _ => {
                    self.line += usize::from(c == '\n');
                    cell.push(c);
                }
            }
        }
        self.text = self.text.get(end..).unwrap_or("");
        cells.push(cell);
        if quoted {
            Err(fault("row", "a quote is never closed"))
        } else {
            Ok(cells)
        }
    }
}
