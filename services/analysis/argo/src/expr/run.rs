//! Running a tree.

use regex::Regex;

use super::operators::{arithmetic, compare, contained, equal, fetch, negated, slice, to_int};
use super::tree::Node;
use super::value::{Function, Of, Value};
use super::{Class, Env, Fault, Mode};

/// Most elements that a condition may make, as expr-lang has it.
const MEMORY: usize = 1_000_000;
/// Most nodes that are visited: a second or so. expr-lang has no such bound.
const WORK: u64 = 5_000_000;

/// Why an evaluation stops.
pub(super) enum Stop {
    /// Something optional is nil: the chain around it is nil.
    Nil,
    /// It failed.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

pub(super) type Answer<T> = Result<T, Stop>;

pub(super) fn stop<T>(class: Class, message: impl Into<String>) -> Answer<T> {
    Err(Stop::Fault(Fault::run(class, message)))
}

/// A list that is walked over.
pub(super) struct Walk {
    pub item: Value,
    pub index: i64,
    pub acc: Value,
}

/// An evaluation under way.
pub(super) struct Machine<'a> {
    pub env: &'a Env,
    pub variables: Vec<(String, Value)>,
    pub walks: Vec<Walk>,
    memory: usize,
    work: u64,
}

/// The value of a tree.
pub(super) fn run(tree: &Node, env: &Env) -> Result<Value, Fault> {
    let mut machine = Machine {
        env,
        variables: Vec::new(),
        walks: Vec::new(),
        memory: 0,
        work: 0,
    };
    match machine.value(tree) {
        Ok(value) => Ok(value),
        Err(Stop::Nil) => Ok(Value::Nil),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// What must be a truth.
pub(super) fn truth(value: &Value) -> Answer<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => stop(
            Class::TypeMismatch,
            format!(
                "interface conversion: interface {{}} is {}, not bool",
                other.type_name()
            ),
        ),
    }
}

impl Machine<'_> {
    /// Notes that a list of so many elements is made.
    pub(super) fn made(&mut self, elements: usize) -> Answer<()> {
        self.memory = self.memory.saturating_add(elements);
        if self.memory >= MEMORY {
            return stop(Class::Limit, "memory budget exceeded");
        }
        Ok(())
    }

    pub(super) fn value(&mut self, node: &Node) -> Answer<Value> {
        self.work += 1;
        if self.work > WORK {
            return stop(Class::Limit, "the condition does too much work");
        }
        match node {
            Node::Nil => Ok(Value::Nil),
            Node::Bool(value) => Ok(Value::Bool(*value)),
            Node::Int(value) => Ok(Value::Int(*value)),
            Node::Float(value) => Ok(Value::Float(*value)),
            Node::Text(value) => Ok(Value::Text(value.clone())),
            Node::Name(name) => Ok(self.named(name)),
            Node::Unary(operator, operand) => {
                let operand = self.value(operand)?;
                match operator.as_str() {
                    "-" => Ok(negated(&operand)?),
                    "+" => Ok(operand),
                    _ => Ok(Value::Bool(!truth(&operand)?)),
                }
            }
            Node::Binary(operator, left, right) => self.binary(operator, left, right),
            Node::Chain(inner) => match self.value(inner) {
                Err(Stop::Nil) => Ok(Value::Nil),
                answer => answer,
            },
            Node::Member(_) | Node::Slice(_) | Node::Let(..) | Node::Sequence(_) => self.compound(node),
            Node::Call(callee, arguments) => self.call(callee, arguments),
            Node::Builtin(call) => self.builtin(call),
            Node::Predicate(body) => self.value(body),
            Node::Pointer(name) => Ok(self.pointer(name)),
            Node::Choice(choice) => {
                let condition = self.value(&choice.condition)?;
                self.value(if truth(&condition)? {
                    &choice.then
                } else {
                    &choice.otherwise
                })
            }
            Node::Array(nodes) => {
                let items = nodes.iter().map(|node| self.value(node));
                let items = items.collect::<Answer<Vec<Value>>>()?;
                self.made(items.len())?;
                Ok(Value::List(Of::Any, items))
            }
            Node::Pairs(pairs) => self.pairs(pairs),
        }
    }

    fn compound(&mut self, node: &Node) -> Answer<Value> {
        match node {
            Node::Member(member) => {
                let base = self.value(&member.base)?;
                if member.optional && base == Value::Nil {
                    return Err(Stop::Nil);
                }
                let key = self.value(&member.property)?;
                Ok(fetch(&base, &key)?)
            }
            Node::Slice(part) => {
                let base = self.value(&part.base)?;
                let to = part.to.as_ref().map(|to| self.value(to)).transpose()?;
                let from = part.from.as_ref().map(|from| self.value(from)).transpose()?;
                Ok(slice(&base, &from.unwrap_or(Value::Int(0)), to.as_ref())?)
            }
            Node::Let(name, value, body) => {
                let value = self.value(value)?;
                self.variables.push((name.clone(), value));
                let body = self.value(body);
                self.variables.pop();
                body
            }
            Node::Sequence(nodes) => {
                let mut last = Value::Nil;
                for node in nodes {
                    last = self.value(node)?;
                }
                Ok(last)
            }
            _ => Ok(Value::Nil),
        }
    }

    fn pairs(&mut self, pairs: &[(Node, Node)]) -> Answer<Value> {
        let mut map = std::collections::BTreeMap::new();
        for (key, value) in pairs {
            let (key, value) = (self.value(key)?, self.value(value)?);
            match key.key().filter(|_| matches!(key, Value::Text(_))) {
                Some(key) => map.insert(key, value),
                None => return stop(Class::TypeMismatch, "a map key must be a string"),
            };
        }
        self.made(map.len())?;
        Ok(Value::Map(map))
    }

    fn named(&self, name: &str) -> Value {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return value.clone();
        }
        if name == "result" {
            return self.env.result.clone().unwrap_or_default();
        }
        if name == "$env" {
            let names = self.env.names().into_keys();
            let entries = names.map(|name| (super::Key::Text(name.clone()), self.named(&name)));
            return Value::Map(entries.collect());
        }
        let function = Function::ALL.into_iter().find(|function| function.name() == name);
        function.map_or(Value::Nil, Value::Function)
    }

    fn pointer(&self, name: &str) -> Value {
        let Some(walk) = self.walks.last() else {
            return Value::Nil;
        };
        match name {
            "acc" => walk.acc.clone(),
            "index" => Value::Int(walk.index),
            _ => walk.item.clone(),
        }
    }

    fn binary(&mut self, operator: &str, left: &Node, right: &Node) -> Answer<Value> {
        let l = self.value(left)?;
        match operator {
            "and" | "&&" if !truth(&l)? => return Ok(l),
            "or" | "||" if truth(&l)? => return Ok(l),
            "and" | "&&" | "or" | "||" => return self.value(right),
            "??" if l != Value::Nil => return Ok(l),
            "??" => return self.value(right),
            "in" if only_texts(right) && !matches!(l, Value::Text(_) | Value::Nil) => {
                // expr-lang makes a set of the literal texts, and asks it for a key that it cannot have.
                return stop(
                    Class::TypeMismatch,
                    format!(
                        "reflect.Value.MapIndex: value of type {} is not assignable to type string",
                        l.type_name()
                    ),
                );
            }
            _ => {}
        }
        let r = self.value(right)?;
        Ok(match operator {
            "==" => Value::Bool(equal(&l, &r)),
            "!=" => Value::Bool(!equal(&l, &r)),
            "<" | ">" | "<=" | ">=" => Value::Bool(compare(operator, &l, &r)?),
            "in" if only_texts(right) && l == Value::Nil => {
                Value::Bool(contained(&Value::Text(String::new()), &r)?)
            }
            "in" => Value::Bool(contained(&l, &r)?),
            "matches" | "contains" | "startsWith" | "endsWith" => texts(operator, &l, &r)?,
            ".." => {
                let (from, to) = (to_int(&l)?, to_int(&r)?);
                let size = i128::from(to) - i128::from(from) + 1;
                self.made(usize::try_from(size.max(0)).unwrap_or(usize::MAX))?;
                Value::List(Of::Int, (from..=to).map(Value::Int).collect())
            }
            _ => arithmetic(operator, &l, &r)?,
        })
    }

    fn call(&mut self, callee: &Node, arguments: &[Node]) -> Answer<Value> {
        let given = arguments.iter().map(|argument| self.value(argument));
        let given = given.collect::<Answer<Vec<Value>>>()?;
        match self.value(callee)? {
            Value::Function(function) => Ok(called(function, &given, self.env)?),
            Value::Nil => stop(Class::TypeMismatch, "invalid operation: cannot call nil"),
            other => stop(
                Class::TypeMismatch,
                format!(
                    "invalid operation: cannot call non-function of type {}",
                    other.type_name()
                ),
            ),
        }
    }
}

/// Whether it is a literal list of texts and nothing else.
fn only_texts(node: &Node) -> bool {
    match node {
        Node::Array(nodes) => !nodes.is_empty() && nodes.iter().all(|n| matches!(n, Node::Text(_))),
        _ => false,
    }
}

fn texts(operator: &str, l: &Value, r: &Value) -> Answer<Value> {
    let (Value::Text(text), Value::Text(part)) = (l, r) else {
        if *l == Value::Nil || *r == Value::Nil {
            return Ok(Value::Bool(false));
        }
        return Err(super::operators::wrong(operator, l, r).into());
    };
    Ok(Value::Bool(match operator {
        "contains" => text.contains(part.as_str()),
        "startsWith" => text.starts_with(part.as_str()),
        "endsWith" => text.ends_with(part.as_str()),
        _ => match Regex::new(part) {
            Ok(pattern) => pattern.is_match(text),
            Err(fault) => return stop(Class::Runtime, format!("error parsing regexp: {fault}")),
        },
    }))
}

/// Argo's own functions.
fn called(function: Function, given: &[Value], env: &Env) -> Result<Value, Fault> {
    let first = given.first().cloned().unwrap_or_default();
    let whole = env.result.clone().unwrap_or_default();
    let float = |what: fn(f64) -> bool| match first {
        Value::Float(value) => Ok(Value::Bool(what(value))),
        ref other => Err(Fault::run(
            Class::TypeMismatch,
            format!("cannot use {} as float64", other.type_name()),
        )),
    };
    match function {
        Function::IsNan => float(f64::is_nan),
        Function::IsInf => float(f64::is_infinite),
        Function::AsInt | Function::AsFloat => super::functions::converted(function, &first),
        Function::IsNil => Ok(Value::Bool(match env.mode {
            Mode::Strict => whole == Value::Nil,
            Mode::Safe => first == Value::Nil,
        })),
        Function::Default => {
            let otherwise = given.get(1).cloned().unwrap_or_default();
            let looked_at = match env.mode {
                Mode::Strict => whole,
                Mode::Safe => first,
            };
            Ok(if looked_at == Value::Nil {
                otherwise
            } else {
                looked_at
            })
        }
    }
}
