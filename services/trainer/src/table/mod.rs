//! Anybody's table: read twice, once to see what is in it, once for what is wanted of it. Memory is bounded: of a column the
//! first look keeps counts and at most [`survey::MOST_VALUES`] texts, and the second keeps at most [`load::MOST_ROWS`] rows.

pub mod cell;
pub mod choice;
pub mod join;
pub mod load;
pub mod survey;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::fault::{Fault, invalid};

/// What some programs put before a text in UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Opens a table; its delimiter is the one of `,` `;` tab `|` that its first line holds most of.
fn open(path: &Path) -> Result<csv::Reader<impl std::io::Read + use<>>, Fault> {
    let field = || path.display().to_string();
    let file = File::open(path).map_err(|fault| invalid(field(), fault.to_string()))?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(invalid(field(), "is a folder, not a CSV file"));
    }
    let mut buffer = BufReader::with_capacity(1 << 16, file);
    let start = buffer
        .fill_buf()
        .map_err(|fault| invalid(field(), fault.to_string()))?;
    let marked = start.starts_with(MARK);
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.is_empty() {
        return Err(invalid(field(), "is empty: a CSV with a header line is needed"));
    }
    if line.contains(&0) {
        return Err(invalid(
            field(),
            "is not text: a CSV with a header line is needed",
        ));
    }
    let count = |mark: u8| line.iter().filter(|byte| **byte == mark).count();
    let delimiter = [b',', b';', b'\t', b'|']
        .into_iter()
        .rev()
        .max_by_key(|mark| count(*mark));
    let mut rest = buffer;
    if marked {
        let mut mark = [0; 3];
        rest.read_exact(&mut mark)
            .map_err(|fault| invalid(field(), fault.to_string()))?;
    }
    Ok(csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .has_headers(true)
        .flexible(false)
        .from_reader(rest))
}

/// A fault of the file, in the words of its reader.
fn unreadable(path: &Path, fault: &csv::Error) -> Fault {
    let reason = match fault.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = line(path, pos.as_ref());
            format!("line {line} has {len} fields, the header has {expected_len}")
        }
        _ => fault.to_string(),
    };
    invalid(path.display().to_string(), reason)
}

/// The line of the file on which a record begins.
fn line(path: &Path, position: Option<&csv::Position>) -> u64 {
    let byte = position.map_or(0, csv::Position::byte);
    lines(path, &[byte]).first().copied().unwrap_or_default()
}

/// The lines of the file on which records begin that the reader came to at these bytes, ascending. What the reader says itself is
/// behind by the ends of lines between two records: by one where lines end in CR LF, and by every empty line.
fn lines(path: &Path, bytes: &[u64]) -> Vec<u64> {
    let mut wanted = bytes.iter().peekable();
    let (mut found, mut at, mut line) = (Vec::with_capacity(bytes.len()), 0, 1);
    if let Ok(file) = File::open(path) {
        let mut buffer = BufReader::with_capacity(1 << 16, file);
        if buffer.fill_buf().is_ok_and(|start| start.starts_with(MARK)) {
            buffer.consume(MARK.len());
        }
        for byte in buffer.bytes().map_while(Result::ok) {
            let between = matches!(byte, b'\r' | b'\n');
            while !between && wanted.next_if(|wanted| **wanted <= at).is_some() {
                found.push(line);
            }
            if wanted.peek().is_none() {
                break;
            }
            at += 1;
            line += u64::from(byte == b'\n');
        }
    }
    found.extend(wanted.map(|_| line));
    found
}

/// A field as text, whatever its bytes.
fn text(record: &csv::ByteRecord, column: usize) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(record.get(column).unwrap_or_default())
}
