//! Rows as facts carry them, and as the algebra reads them.

use auspex_algebra::{Column, Keep, Row, Shape, Value};
use auspex_proto::Timestamp;
use auspex_proto::rows::{FeatureRow, RowColumn, RowShape};
use std::time::Duration;

/// An entity's name: join keys and values in order of the keys, as in `region=eu|service=shop`. What would be read as
/// another name is escaped with `%`.
#[must_use]
pub fn entity<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut keys: Vec<(&str, &str)> = keys.into_iter().collect();
    keys.sort_unstable();
    let mut name = String::with_capacity(32);
    for (key, value) in keys {
        if !name.is_empty() {
            name.push('|');
        }
        name.push_str(key);
        name.push('=');
        for c in value.chars() {
            match c {
                '%' => name.push_str("%25"),
                '|' => name.push_str("%7C"),
                '=' => name.push_str("%3D"),
                c if c.is_control() => name.push_str(&format!("%{:02X}", u32::from(c))),
                c => name.push(c),
            }
        }
    }
    name
}

/// A value as it was before it was escaped: each escape is `%` and the character's number, two digits of hex.
fn plain(value: &str) -> String {
    let mut parts = value.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                text.push('%');
                text.push_str(part);
            }
        }
    }
    text
}

/// The join keys and values of an entity's name.
#[must_use]
pub fn keys(entity: &str) -> Vec<(String, String)> {
    entity
        .split('|')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), plain(value)))
        .collect()
}

/// A shape as the algebra reads it.
#[must_use]
pub fn shape(shape: &RowShape) -> Shape {
    let column = |column: &RowColumn| Column {
        name: column.name.clone(),
        text: column.text,
        keep: Keep(column.keep),
        half_life: millis(column.half_life),
    };
    Shape {
        columns: shape.columns.iter().map(column).collect(),
        hops: shape.hops,
        memory: shape.memory.map_or(0, millis),
    }
}

/// A shape as facts carry it.
#[must_use]
pub fn wire_shape(shape: &Shape) -> RowShape {
    let column = |column: &Column| RowColumn {
        name: column.name.clone(),
        text: column.text,
        keep: column.keep.0,
        half_life: duration(column.half_life),
    };
    RowShape {
        columns: shape.columns.iter().map(column).collect(),
        hops: shape.hops,
        memory: (shape.memory > 0).then(|| duration(shape.memory)),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// A row as the algebra reads it.
#[must_use]
pub fn row(shape: &RowShape, row: &FeatureRow) -> Row {
    let (mut numbers, mut texts) = (row.numbers.iter(), row.texts.iter());
    let value = |column: &RowColumn| {
        if column.text {
            texts.next().cloned().flatten().map(Value::Text)
        } else {
            numbers.next().copied().flatten().map(Value::Number)
        }
        .unwrap_or(Value::Null)
    };
    Row {
        event: row.event.0,
        created: row.created.0,
        id: row.id,
        values: shape.columns.iter().map(value).collect(),
    }
}

/// A row as facts carry it. It never happens after it became known.
#[must_use]
pub fn wire_row(shape: &Shape, entity: String, row: &Row) -> FeatureRow {
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for (place, column) in shape.columns.iter().enumerate() {
        match (column.text, row.values.get(place)) {
            (true, Some(Value::Text(text))) if !text.is_empty() => texts.push(Some(text.clone())),
            (true, _) => texts.push(None),
            (false, value) => numbers.push(value.and_then(Value::number)),
        }
    }
    FeatureRow {
        entity,
        event: Timestamp(row.event.min(row.created)),
        created: Timestamp(row.created),
        id: row.id,
        numbers,
        texts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_told_apart_and_read_back() {
        let one = entity([("service", "shop"), ("region", "eu|=%")]);
        assert_eq!(one, "region=eu%7C%3D%25|service=shop");
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(keys(&one), [pair("region", "eu|=%"), pair("service", "shop")]);
        let odd = ["a\tb", "a\nb", "a\0b", "a\u{85}b", "%7C", "%", "a%b\u{e9}"];
        let names: std::collections::BTreeSet<String> = odd.map(|value| entity([("k", value)])).into();
        assert_eq!(names.len(), odd.len(), "{names:?}");
        for value in odd {
            assert_eq!(keys(&entity([("k", value)])), [pair("k", value)]);
        }
    }

    #[test]
    fn rows_read_back() {
        let column = |name: &str, text| Column {
            name: name.to_owned(),
            text,
            keep: Keep::RANGE,
            half_life: 5,
        };
        let kept = Shape {
            columns: vec![column("a", false), column("b", true), column("c", false)],
            hops: [true, false, true],
            memory: 9,
        };
        let told = Row {
            event: 1,
            created: 2,
            id: 3,
            values: vec![Value::Number(1.5), Value::Text("x".to_owned()), Value::Null],
        };
        let wire = wire_shape(&kept);
        assert_eq!(shape(&wire), kept);
        assert_eq!(row(&wire, &wire_row(&kept, "e".to_owned(), &told)), told);
    }
}
