//! Calls: of the environment's functions, of built-in ones, of closures.

use super::{Checker, Scope};
use crate::expr::Fault;
use crate::expr::builtin;
use crate::expr::nature::Nature;
use crate::expr::tree::{Builtin, Node};
use crate::expr::value::{Function, Of};

impl Checker<'_> {
    pub(super) fn call(&mut self, callee: &mut Node, arguments: &mut [Node]) -> Result<Nature, Fault> {
        if *callee == Node::Name("$env".to_owned()) {
            return Err(Fault::typed("map[string]interface {} is not callable"));
        }
        match self.visit(callee)? {
            // Arguments of what is not known to be a function are not looked at.
            Nature::Unknown => Ok(Nature::Unknown),
            Nature::Function(function) => self.function(function, arguments),
            Nature::Nil => Err(Fault::typed("cannot call nil as function")),
            other => Err(Fault::typed(format!("{} is not callable", other.name()))),
        }
    }

    fn function(&mut self, function: Function, arguments: &mut [Node]) -> Result<Nature, Fault> {
        let (takes, gives) = match function {
            Function::AsInt => (vec![Nature::Unknown], Nature::Int64),
            Function::AsFloat => (vec![Nature::Unknown], Nature::Float),
            Function::IsNan | Function::IsInf => (vec![Nature::Float], Nature::Bool),
            Function::IsNil => (vec![Nature::Unknown], Nature::Bool),
            Function::Default => (vec![Nature::Unknown; 2], Nature::Unknown),
        };
        let name = function.name();
        if arguments.len() != takes.len() {
            let many = if arguments.len() > takes.len() {
                "too many"
            } else {
                "not enough"
            };
            return Err(Fault::typed(format!("{many} arguments to call {name}")));
        }
        for (argument, takes) in arguments.iter_mut().zip(&takes) {
            let given = self.visit(argument)?;
            if *takes == Nature::Float && given.is_whole() {
                as_floats(argument);
            } else if !builtin::fits(std::slice::from_ref(takes), std::slice::from_ref(&given)) {
                let given = if given == Nature::Nil { "nil" } else { given.name() };
                return Err(Fault::typed(format!(
                    "cannot use {given} as argument (type {}) to call {name}",
                    takes.name()
                )));
            }
        }
        Ok(gives)
    }

    pub(super) fn builtin(&mut self, call: &mut Builtin) -> Result<Nature, Fault> {
        if call.name == "get" {
            return self.get(&mut call.arguments);
        }
        match call.name.as_str() {
            "all" | "none" | "any" | "one" | "filter" | "map" | "find" | "findIndex" | "findLast"
            | "findLastIndex" | "count" | "sum" | "groupBy" | "sortBy" | "reduce" => self.over(call),
            name => {
                let mut given = Vec::new();
                for argument in &mut call.arguments {
                    given.push(self.visit(argument)?);
                }
                builtin::check(name, &given)
            }
        }
    }

    fn get(&mut self, arguments: &mut [Node]) -> Result<Nature, Fault> {
        let [base, key] = arguments else {
            return Err(Fault::typed(
                "invalid number of arguments to call get (expected 2)",
            ));
        };
        let environment = *base == Node::Name("$env".to_owned());
        let base = self.visit(base)?;
        let nature = self.visit(key)?;
        if environment {
            return Ok(match key {
                Node::Text(name) => self.names.get(name).cloned().unwrap_or_default(),
                _ => Nature::Unknown,
            });
        }
        match &base {
            Nature::Unknown => Ok(Nature::Unknown),
            Nature::List(..) if nature.is_whole() || nature.is_unknown() => Ok(base.element()),
            Nature::List(..) => Err(Fault::typed(format!("non-integer slice index {}", nature.name()))),
            Nature::Map(text) if !text || nature == Nature::Text || nature.is_unknown() => {
                Ok(Nature::Unknown)
            }
            other => Err(Fault::typed(format!(
                "type {} does not support indexing",
                other.name()
            ))),
        }
    }

    /// A built-in function that walks over a list.
    fn over(&mut self, call: &mut Builtin) -> Result<Nature, Fault> {
        let name = call.name.clone();
        let (collection, rest) = call
            .arguments
            .split_first_mut()
            .ok_or_else(|| Fault::typed(format!("{name} wants a list")))?;
        let collection = self.visit(collection)?;
        if !collection.is_list() && !collection.is_unknown() {
            return Err(Fault::typed(format!(
                "builtin {name} takes only array (got {})",
                collection.name()
            )));
        }
        let gives = match rest.split_first_mut() {
            Some((closure, more)) => {
                let pointers = match name.as_str() {
                    "map" => vec![("index", Nature::Int)],
                    "reduce" => vec![("index", Nature::Int), ("acc", Nature::Unknown)],
                    _ => Vec::new(),
                };
                self.scopes.push(Scope {
                    collection: collection.clone(),
                    pointers,
                });
                let closure = self.visit(closure);
                self.scopes.pop();
                for argument in more {
                    let order = self.visit(argument)?;
                    if name == "sortBy" && order != Nature::Text && !order.is_unknown() {
                        return Err(Fault::typed(format!(
                            "sortBy order argument must be a string (got {})",
                            order.name()
                        )));
                    }
                }
                match closure? {
                    Nature::Closure(body) => Some(*body),
                    _ => None,
                }
            }
            None => None,
        };
        outcome(&name, &collection, gives)
    }
}

/// What a walk over a list gives.
fn outcome(name: &str, collection: &Nature, body: Option<Nature>) -> Result<Nature, Fault> {
    if body == Some(Nature::Nil) && name != "sum" {
        return Err(Fault::typed(
            "predicate should has one input and one output param",
        ));
    }
    let yes_or_no = !matches!(name, "map" | "sum" | "groupBy" | "sortBy" | "reduce");
    if let Some(body) = body.as_ref().filter(|_| yes_or_no)
        && *body != Nature::Bool
        && !body.is_unknown()
    {
        return Err(Fault::typed(format!(
            "predicate should return boolean (got {})",
            body.name()
        )));
    }
    Ok(match name {
        "all" | "none" | "any" | "one" => Nature::Bool,
        "count" | "findIndex" | "findLastIndex" => Nature::Int,
        "filter" if collection.is_unknown() => Nature::list_of(Of::Any),
        "filter" => collection.element().listed(),
        "map" => body.unwrap_or_default().listed(),
        "sum" => body.unwrap_or_else(|| collection.element()),
        "find" | "findLast" => collection.element(),
        "groupBy" => Nature::Map(false),
        "sortBy" => collection.clone(),
        _ => body.unwrap_or_default(),
    })
}

/// Where a float is wanted, whole literals are floats.
fn as_floats(node: &mut Node) {
    match node {
        Node::Int(value) => *node = Node::Float(crate::expr::number::real(*value)),
        Node::Unary(_, operand) => as_floats(operand),
        Node::Binary(operator, left, right) if matches!(operator.as_str(), "+" | "-" | "*") => {
            as_floats(left);
            as_floats(right);
        }
        _ => {}
    }
}
