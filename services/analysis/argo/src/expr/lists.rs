//! Built-in functions that walk over a list with a closure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::operators::arithmetic;
use super::run::{Answer, Machine, Walk, stop, truth};
use super::tree::{Builtin, Node};
use super::value::{Of, Value};
use super::{Class, Fault};

/// A walk that may end early with a value.
enum Go {
    On,
    Done(Value),
}

impl Machine<'_> {
    pub(super) fn builtin(&mut self, call: &Builtin) -> Answer<Value> {
        let closure = call.arguments.get(1);
        match call.name.as_str() {
            "all" | "none" | "any" | "one" | "filter" | "map" | "find" | "findIndex" | "findLast"
            | "findLastIndex" | "count" | "sum" | "groupBy" | "sortBy" | "reduce" => {}
            name => {
                let given = call.arguments.iter().map(|argument| self.value(argument));
                let given = given.collect::<Answer<Vec<Value>>>()?;
                return self.plain(name, &given);
            }
        }
        let list = match call.arguments.first() {
            Some(list) => self.value(list)?,
            None => Value::Nil,
        };
        let items = match list {
            Value::List(_, items) => items,
            other => {
                return stop(
                    Class::TypeMismatch,
                    format!(
                        "builtin {} takes only array (got {})",
                        call.name,
                        other.type_name()
                    ),
                );
            }
        };
        match call.name.as_str() {
            "all" => self.until(&items, closure, false),
            "any" => self.until(&items, closure, true),
            "none" => {
                let any = self.until(&items, closure, true)?;
                Ok(Value::Bool(!truth(&any)?))
            }
            "one" => Ok(Value::Bool(self.count(&items, closure, None)? == 1)),
            "count" => Ok(Value::Int(self.count(&items, closure, call.enough)?)),
            "filter" => self.filter(&items, closure, call.mapped.as_deref()),
            "map" => {
                let mut out = Vec::new();
                self.walk(&items, closure, |_, value| {
                    out.push(value);
                    Ok(Go::On)
                })?;
                self.made(out.len())?;
                Ok(Value::List(Of::Any, out))
            }
            "sum" => self.sum(&items, closure),
            "groupBy" => self.group(&items, closure),
            "sortBy" => self.sort_by(&items, &call.arguments),
            "reduce" => self.reduce(items, &call.arguments),
            _ => self.find(items, call),
        }
    }

    /// Visits each item in turn with its closure's value (the item itself without one).
    fn walk(
        &mut self,
        items: &[Value],
        closure: Option<&Node>,
        mut visit: impl FnMut(usize, Value) -> Answer<Go>,
    ) -> Answer<Option<Value>> {
        for (index, item) in items.iter().enumerate() {
            let value = self.inside(index, item, closure)?;
            if let Go::Done(value) = visit(index, value)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn inside(&mut self, index: usize, item: &Value, closure: Option<&Node>) -> Answer<Value> {
        let Some(closure) = closure else {
            return Ok(item.clone());
        };
        self.walks.push(Walk {
            item: item.clone(),
            index: i64::try_from(index).unwrap_or(i64::MAX),
            acc: Value::Nil,
        });
        let value = self.value(closure);
        self.walks.pop();
        value
    }

    /// Stops at the first item of which the closure says `at`, and says that; else the opposite.
    fn until(&mut self, items: &[Value], closure: Option<&Node>, at: bool) -> Answer<Value> {
        let found = self.walk(items, closure, |_, value| {
            let found = truth(&value)? == at;
            Ok(if found { Go::Done(value) } else { Go::On })
        })?;
        Ok(found.unwrap_or(Value::Bool(!at)))
    }

    fn count(&mut self, items: &[Value], closure: Option<&Node>, enough: Option<i64>) -> Answer<i64> {
        let mut count = 0;
        self.walk(items, closure, |_, value| {
            count += i64::from(truth(&value)?);
            let done = enough.is_some_and(|enough| count >= enough);
            Ok(if done { Go::Done(Value::Nil) } else { Go::On })
        })?;
        Ok(count)
    }

    fn filter(&mut self, items: &[Value], closure: Option<&Node>, mapped: Option<&Node>) -> Answer<Value> {
        let mut out = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let passes = self.inside(index, item, closure)?;
            if truth(&passes)? {
                out.push(self.inside(index, item, mapped)?);
            }
        }
        self.made(out.len())?;
        Ok(Value::List(Of::Any, out))
    }

    fn find(&mut self, mut items: Vec<Value>, call: &Builtin) -> Answer<Value> {
        let last = call.name.starts_with("findLast");
        let length = items.len();
        if last {
            items.reverse();
        }
        for (at, item) in items.iter().enumerate() {
            let index = if last { length - 1 - at } else { at };
            let found = self.inside(index, item, call.arguments.get(1))?;
            if truth(&found)? {
                if call.name.ends_with("Index") {
                    return Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
                }
                return self.inside(index, item, call.mapped.as_deref());
            }
        }
        if call.throws {
            return stop(Class::IndexOutOfRange, "reflect: slice index out of range");
        }
        Ok(Value::Nil)
    }

    fn sum(&mut self, items: &[Value], closure: Option<&Node>) -> Answer<Value> {
        let mut sum = Value::Int(0);
        self.walk(items, closure, |_, value| {
            sum = arithmetic("+", &value, &sum)?;
            Ok(Go::On)
        })?;
        Ok(sum)
    }

    fn group(&mut self, items: &[Value], closure: Option<&Node>) -> Answer<Value> {
        let mut groups: BTreeMap<_, Vec<Value>> = BTreeMap::new();
        self.walk(items, closure, |index, value| {
            let Some(key) = value.key() else {
                return stop(
                    Class::TypeMismatch,
                    format!("cannot group by {}", value.type_name()),
                );
            };
            let item = items.get(index).cloned().unwrap_or_default();
            groups.entry(key).or_default().push(item);
            Ok(Go::On)
        })?;
        let groups = groups
            .into_iter()
            .map(|(key, items)| (key, Value::List(Of::Any, items)));
        Ok(Value::Map(groups.collect()))
    }

    fn sort_by(&mut self, items: &[Value], arguments: &[Node]) -> Answer<Value> {
        let order = match arguments.get(2) {
            Some(order) => self.value(order)?,
            None => Value::Text("asc".to_owned()),
        };
        let mut keyed = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = self.inside(index, item, arguments.get(1))?;
            keyed.push((key, item.clone()));
        }
        self.made(keyed.len())?;
        let sorted = sorted(keyed, &order)?;
        Ok(Value::List(Of::Any, sorted))
    }

    fn reduce(&mut self, items: Vec<Value>, arguments: &[Node]) -> Answer<Value> {
        let mut items = items.into_iter().enumerate();
        let mut acc = match arguments.get(2) {
            Some(initial) => self.value(initial)?,
            None => match items.next() {
                Some((_, first)) => first,
                None => {
                    return stop(Class::Runtime, "reduce of empty array with no initial value");
                }
            },
        };
        let Some(closure) = arguments.get(1) else {
            return Ok(acc);
        };
        for (index, item) in items {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            self.walks.push(Walk { item, index, acc });
            let value = self.value(closure);
            self.walks.pop();
            acc = value?;
        }
        Ok(acc)
    }
}

/// Sorts by keys; `asc` or `desc`. Keys that cannot be compared are an error.
pub(super) fn sorted(mut keyed: Vec<(Value, Value)>, order: &Value) -> Result<Vec<Value>, Fault> {
    let descending = match order {
        Value::Text(order) if order == "asc" => false,
        Value::Text(order) if order == "desc" => true,
        other => {
            return Err(Fault::run(
                Class::Runtime,
                format!("invalid order {}, expected asc or desc", other.show()),
            ));
        }
    };
    let ranked: Option<Vec<u8>> = keyed.iter().map(|(key, _)| rank(key)).collect();
    let alike = ranked.is_some_and(|ranks| ranks.windows(2).all(|pair| pair.first() == pair.last()));
    if keyed.len() > 1 && !alike {
        return Err(Fault::run(
            Class::TypeMismatch,
            "cannot sort elements of different types",
        ));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let order = in_order(a, b);
        if descending { order.reverse() } else { order }
    });
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

/// What can be compared with what.
fn rank(key: &Value) -> Option<u8> {
    match key {
        Value::Int(_) | Value::Int64(_) | Value::Float(_) => Some(0),
        Value::Text(_) => Some(1),
        Value::Time(_) => Some(2),
        Value::Span(_) => Some(3),
        _ => None,
    }
}

/// A total order of what can be compared; NaN is the greatest.
fn in_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(x), Value::Text(y)) => x.as_bytes().cmp(y.as_bytes()),
        (Value::Time(x), Value::Time(y)) => x.cmp(y),
        (Value::Span(x), Value::Span(y)) => x.cmp(y),
        _ => {
            let (x, y) = (a.number().unwrap_or(f64::NAN), b.number().unwrap_or(f64::NAN));
            x.partial_cmp(&y).unwrap_or_else(|| x.is_nan().cmp(&y.is_nan()))
        }
    }
}
