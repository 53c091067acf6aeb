//! Answers put together, and rows for a view.

use std::collections::BTreeMap;

use auspex_algebra::{Cell, Row, Status, Value};

use super::compile::{Output, Recipe, Served};

impl Recipe {
    /// The answer from the cells of each part, and what comes with the request.
    #[must_use]
    pub fn assemble(&self, parts: &[Vec<Cell>], request: &BTreeMap<String, f64>, scaled: bool) -> Vec<Cell> {
        let mut known: Option<BTreeMap<String, f64>> = None;
        let cell = |output: &Output| match output {
            Output::Feature(part, place) => {
                let cell = parts.get(*part).and_then(|cells| cells.get(*place)).copied();
                let cell = cell.unwrap_or_else(|| Cell::absent(Status::NotFound));
                let scale = self
                    .parts
                    .get(*part)
                    .and_then(|p| p.scales.get(*place))
                    .copied()
                    .flatten();
                match scale.filter(|_| scaled) {
                    Some(scale) => Cell {
                        value: scale.apply(cell.value),
                        ..cell
                    },
                    None => cell,
                }
            }
            Output::Expression(expression, default) => {
                let known = known.get_or_insert_with(|| self.known(parts, request));
                match (expression.value(known), default) {
                    (None, Some(default)) => Cell {
                        value: *default,
                        status: Status::Null,
                    },
                    (value, _) => Cell::of(value),
                }
            }
        };
        self.outputs.iter().map(cell).collect()
    }

    fn known(&self, parts: &[Vec<Cell>], request: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
        let mut known: BTreeMap<String, f64> = request
            .iter()
            .map(|(name, value)| (format!("request.{name}"), *value))
            .collect();
        for (served, cells) in self.parts.iter().zip(parts) {
            for (name, cell) in served.names.iter().zip(cells) {
                // A default stands in for what is not there.
                if cell.status == Status::Present || cell.value.is_finite() {
                    known.insert(format!("{}:{name}", served.name), cell.value);
                }
            }
        }
        known
    }

    /// All join keys that are needed, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self
            .parts
            .iter()
            .flat_map(|p| &p.keys)
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Served {
    /// A row from named columns; the first name that no column has is the error.
    ///
    /// # Errors
    /// In words, naming the column.
    pub fn row(&self, mut columns: BTreeMap<String, Value>) -> Result<Row, String> {
        let mut values = Vec::with_capacity(self.shape.columns.len());
        for column in &self.shape.columns {
            let value = columns.remove(&column.name).unwrap_or(Value::Null);
            match (&value, column.text) {
                (Value::Text(_), false) => {
                    return Err(format!(
                        "{}: is told as a text, its column holds numbers",
                        column.name
                    ));
                }
                (Value::Number(_), true) => {
                    return Err(format!(
                        "{}: is told as a number, its column holds texts",
                        column.name
                    ));
                }
                _ => values.push(value),
            }
        }
        match columns.keys().next() {
            Some(unknown) => Err(format!("{unknown}: view {} has no such column", self.name)),
            None => Ok(Row {
                event: 0,
                created: 0,
                id: 0,
                values,
            }),
        }
    }
}
