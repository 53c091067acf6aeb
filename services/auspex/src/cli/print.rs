//! Standard output. A reader that has gone (`| head`) is no fault of ours.

use std::io::{ErrorKind, Write as _};

use crate::fault::Fault;

/// Writes text as it is.
pub(crate) fn text(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => Err(fault.into()),
        _ => Ok(()),
    }
}

/// Writes a line.
pub(crate) fn line(line: &str) -> Result<(), Fault> {
    text(&format!("{line}\n"))
}

/// Writes a JSON document over several lines.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Fault> {
    line(&format!("{value:#}"))
}

/// So many of these.
pub(crate) fn count(many: u64, what: &str) -> String {
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}

/// The rows in columns, or this sentence when there is none beside the head.
pub(crate) fn table_or(rows: &[Vec<String>], none: &str) -> String {
    match rows {
        [] | [_] => format!("{none}\n"),
        rows => table(rows),
    }
}

/// Lays rows out in columns; the first row is the head. Rows shorter than the first leave the rest empty.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let shown = table(&[row(["NAME", "WEIGHT"]), row(["checkout", "5"]), row(["é", "10"])]);
        assert_eq!(shown, "NAME      WEIGHT\ncheckout  5\né         10\n");
        let head = row(["NAME", "WEIGHT"]);
        assert_eq!(
            table_or(std::slice::from_ref(&head), "there is none"),
            "there is none\n"
        );
        assert_eq!(
            table_or(&[head, row(["a", "1"])], "there is none"),
            "NAME  WEIGHT\na     1\n"
        );
    }
}
