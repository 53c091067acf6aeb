//! Results as text: JSON, and the numbers that JSON has not: NaN, Inf, +Inf, -Inf.

use thiserror::Error;

use super::number::float;
use super::value::{Key, Of, Value};

/// Deepest nesting.
const DEEPEST: usize = 64;

/// Why a text is no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not JSON: {0}")]
pub struct Unreadable(String);

struct Reader<'t> {
    rest: &'t str,
    deep: usize,
}

/// Reads a result. A list of numbers alone is what Prometheus gives; any other is JSON's.
///
/// # Errors
/// [`Unreadable`], saying where.
pub fn read(text: &str) -> Result<Value, Unreadable> {
    let mut reader = Reader { rest: text, deep: 0 };
    let value = reader.value()?;
    reader.space();
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(reader.wrong("the end"))
    }
}

impl Reader<'_> {
    fn wrong(&self, wanted: &str) -> Unreadable {
        let near: String = self.rest.chars().take(20).collect();
        Unreadable(format!("wanted {wanted} at `{near}`"))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn accept(&mut self, text: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<Value, Unreadable> {
        self.deep += 1;
        if self.deep > DEEPEST {
            return Err(self.wrong("less nesting"));
        }
        self.space();
        let value = match self.rest.chars().next() {
            Some('[') => self.list()?,
            Some('{') => self.map()?,
            Some('"') => Value::Text(self.text()?),
            Some(_) => self.word()?,
            None => return Err(self.wrong("a value")),
        };
        self.deep -= 1;
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, Unreadable> {
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && !matches!(c, '+' | '-' | '.'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let value = match word {
            "null" | "nil" => Value::Nil,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            word => match float(word) {
                Some(number) => Value::Float(number),
                None => return Err(self.wrong("a value")),
            },
        };
        self.rest = rest;
        Ok(value)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let mut escaped = false;
        let closes = self.rest.char_indices().skip(1).find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        let Some((end, _)) = closes else {
            return Err(self.wrong("a text"));
        };
        let (quoted, rest) = self.rest.split_at(end + 1);
        let text = serde_json::from_str(quoted).map_err(|_| self.wrong("a text"))?;
        self.rest = rest;
        Ok(text)
    }

    fn list(&mut self) -> Result<Value, Unreadable> {
        self.accept("[");
        let mut items = Vec::new();
        while !self.accept("]") {
            if !items.is_empty() && !self.accept(",") {
                return Err(self.wrong("`,` or `]`"));
            }
            items.push(self.value()?);
        }
        let floats = items.iter().all(|item| matches!(item, Value::Float(_)));
        let of = if floats && self.deep == 1 {
            Of::Float
        } else {
            Of::Any
        };
        Ok(Value::List(of, items))
    }

    fn map(&mut self) -> Result<Value, Unreadable> {
        self.accept("{");
        let mut entries = std::collections::BTreeMap::new();
        while !self.accept("}") {
            if !entries.is_empty() && !self.accept(",") {
                return Err(self.wrong("`,` or `}`"));
            }
            self.space();
            if !self.rest.starts_with('"') {
                return Err(self.wrong("a key"));
            }
            let key = self.text()?;
            if !self.accept(":") {
                return Err(self.wrong("`:`"));
            }
            entries.insert(Key::Text(key), self.value()?);
        }
        Ok(Value::Map(entries))
    }
}
