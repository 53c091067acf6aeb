//! Types, before anything runs: unknown names, operands and arguments that can never fit.

mod calls;

use std::collections::BTreeMap;

use regex::Regex;

use super::Fault;
use super::nature::Nature;
use super::tree::{Member, Node, Slice};
use super::value::Of;

/// What a closure sees.
struct Scope {
    collection: Nature,
    pointers: Vec<(&'static str, Nature)>,
}

/// Checks a tree; literals that a float is wanted of become floats on the way.
pub(super) struct Checker<'a> {
    /// The natures of the environment's names.
    pub names: &'a BTreeMap<String, Nature>,
    variables: Vec<(String, Nature)>,
    scopes: Vec<Scope>,
}

fn mismatch(operator: &str, left: &Nature, right: &Nature) -> Fault {
    Fault::typed(format!(
        "invalid operation: {operator} (mismatched types {} and {})",
        left.name(),
        right.name()
    ))
}

fn promoted(left: &Nature, right: &Nature) -> Nature {
    if *left == Nature::Float || *right == Nature::Float {
        Nature::Float
    } else {
        Nature::Int
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(names: &'a BTreeMap<String, Nature>) -> Self {
        Self {
            names,
            variables: Vec::new(),
            scopes: Vec::new(),
        }
    }

    /// The nature of a node.
    pub(super) fn visit(&mut self, node: &mut Node) -> Result<Nature, Fault> {
        Ok(match node {
            Node::Nil => Nature::Nil,
            Node::Bool(_) => Nature::Bool,
            Node::Int(_) => Nature::Int,
            Node::Float(_) => Nature::Float,
            Node::Text(_) => Nature::Text,
            Node::Name(name) => self.name(name)?,
            Node::Unary(operator, operand) => {
                let operand = self.visit(operand)?;
                unary(operator, operand)?
            }
            Node::Binary(operator, left, right) => self.binary(operator, left, right)?,
            Node::Chain(inner) => self.visit(inner)?,
            Node::Member(member) => self.member(member)?,
            Node::Slice(slice) => self.slice(slice)?,
            Node::Call(callee, arguments) => self.call(callee, arguments)?,
            Node::Builtin(call) => self.builtin(call)?,
            Node::Predicate(body) => Nature::Closure(Box::new(self.visit(body)?)),
            Node::Pointer(name) => self.pointer(name)?,
            Node::Let(name, value, body) => self.declaration(name, value, body)?,
            Node::Sequence(nodes) => {
                let mut last = Nature::Unknown;
                for node in nodes {
                    last = self.visit(node)?;
                }
                last
            }
            Node::Choice(choice) => {
                let condition = self.visit(&mut choice.condition)?;
                if condition != Nature::Bool && !condition.is_unknown() {
                    return Err(Fault::typed(format!(
                        "non-bool expression (type {}) used as condition",
                        condition.name()
                    )));
                }
                let then = self.visit(&mut choice.then)?;
                let otherwise = self.visit(&mut choice.otherwise)?;
                either(then, otherwise)
            }
            Node::Array(nodes) => self.array(nodes)?,
            Node::Pairs(pairs) => {
                for (key, value) in pairs {
                    self.visit(key)?;
                    self.visit(value)?;
                }
                Nature::Map(true)
            }
        })
    }

    fn name(&self, name: &str) -> Result<Nature, Fault> {
        if let Some((_, nature)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return Ok(nature.clone());
        }
        if name == "$env" {
            return Ok(Nature::Unknown);
        }
        if let Some(nature) = self.names.get(name) {
            return Ok(nature.clone());
        }
        if super::builtin::is_known(name) {
            return Ok(Nature::Unknown);
        }
        Err(Fault::unknown_name(name))
    }

    fn binary(&mut self, operator: &str, left: &mut Node, right: &mut Node) -> Result<Nature, Fault> {
        let l = self.visit(left)?;
        let r = self.visit(right)?;
        if operator == "matches"
            && let Node::Text(pattern) = right
            && let Err(fault) = Regex::new(pattern)
        {
            return Err(Fault::typed(format!("error parsing regexp: {fault}")));
        }
        operation(operator, &l, &r)
    }

    fn pointer(&self, name: &str) -> Result<Nature, Fault> {
        let scope = self
            .scopes
            .last()
            .ok_or_else(|| Fault::typed("cannot use pointer accessor outside predicate"))?;
        if name.is_empty() {
            return Ok(scope.collection.element());
        }
        let found = scope.pointers.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, nature)| nature.clone())
            .ok_or_else(|| Fault::unknown_name(&format!("#{name}")))
    }

    fn declaration(&mut self, name: &str, value: &mut Node, body: &mut Node) -> Result<Nature, Fault> {
        let taken = self.names.contains_key(name)
            || super::builtin::is_known(name)
            || self.variables.iter().any(|(known, _)| known == name);
        if taken {
            return Err(Fault::typed(format!("cannot redeclare {name}")));
        }
        let nature = self.visit(value)?;
        self.variables.push((name.to_owned(), nature));
        let body = self.visit(body);
        self.variables.pop();
        body
    }

    fn array(&mut self, nodes: &mut [Node]) -> Result<Nature, Fault> {
        let mut before = Nature::Unknown;
        let mut alike = true;
        for (index, node) in nodes.iter_mut().enumerate() {
            let nature = self.visit(node)?;
            alike &= index == 0 || nature.kind() == before.kind();
            before = nature;
        }
        Ok(if alike {
            before.listed()
        } else {
            Nature::list_of(Of::Any)
        })
    }

    fn slice(&mut self, slice: &mut Slice) -> Result<Nature, Fault> {
        let base = self.visit(&mut slice.base)?;
        if base.is_unknown() {
            return Ok(base);
        }
        if !base.is_list() && base != Nature::Text {
            return Err(Fault::typed(format!("cannot slice {}", base.name())));
        }
        for bound in [&mut slice.from, &mut slice.to].into_iter().flatten() {
            let bound = self.visit(bound)?;
            if !bound.is_whole() && !bound.is_unknown() {
                return Err(Fault::typed(format!("non-integer slice index {}", bound.name())));
            }
        }
        Ok(base)
    }

    fn member(&mut self, member: &mut Member) -> Result<Nature, Fault> {
        if member.base == Node::Name("$env".to_owned()) {
            return match &member.property {
                Node::Text(name) => match self.names.get(name) {
                    Some(nature) => Ok(nature.clone()),
                    None if member.optional => Ok(Nature::Unknown),
                    None => Err(Fault::unknown_name(name)),
                },
                _ => Ok(Nature::Unknown),
            };
        }
        let base = self.visit(&mut member.base)?;
        let property = self.visit(&mut member.property)?;
        let name = match &member.property {
            Node::Text(name) => Some(name.as_str()),
            _ => None,
        };
        match &base {
            Nature::Unknown => Ok(Nature::Unknown),
            Nature::Nil if name.is_some() => Err(Fault::typed(format!(
                "type nil has no field {}",
                name.unwrap_or_default()
            ))),
            Nature::Map(text) => {
                if *text && property != Nature::Text && !property.is_unknown() {
                    return Err(Fault::typed(format!(
                        "cannot use {} to get an element from {}",
                        property.name(),
                        base.name()
                    )));
                }
                Ok(Nature::Unknown)
            }
            Nature::List(..) => {
                if !property.is_whole() && !property.is_unknown() {
                    return Err(Fault::typed(format!(
                        "array elements can only be selected using an integer (got {})",
                        property.name()
                    )));
                }
                Ok(base.element())
            }
            _ => Err(Fault::typed(match name {
                Some(name) if member.method => format!("type {} has no method {name}", base.name()),
                Some(name) => format!("type {} has no field {name}", base.name()),
                None => format!("type {}[{}] is undefined", base.name(), property.name()),
            })),
        }
    }
}

fn unary(operator: &str, operand: Nature) -> Result<Nature, Fault> {
    match operator {
        "!" | "not" if operand == Nature::Bool || operand.is_unknown() => Ok(Nature::Bool),
        "+" | "-" if operand.is_number() => Ok(operand),
        "+" | "-" if operand.is_unknown() => Ok(Nature::Unknown),
        _ => Err(Fault::typed(format!(
            "invalid operation: {operator} (mismatched type {})",
            operand.name()
        ))),
    }
}

/// What both branches of a choice have in common.
fn either(then: Nature, otherwise: Nature) -> Nature {
    match (&then, &otherwise) {
        (Nature::Nil, _) => otherwise,
        (_, Nature::Nil) => then,
        _ if then.assignable_to(&otherwise) => {
            if then.is_list() && otherwise.is_list() {
                let (one, other) = (then.element(), otherwise.element());
                if !one.assignable_to(&other) || !other.assignable_to(&one) {
                    return Nature::list_of(Of::Any);
                }
            }
            then
        }
        _ => Nature::Unknown,
    }
}

/// What an operator gives for such operands.
fn operation(operator: &str, l: &Nature, r: &Nature) -> Result<Nature, Fault> {
    use Nature::{Bool, Float, Int, Span, Text, Time, Unknown};
    let numbers = l.is_number() && r.is_number();
    let wholes = l.is_whole() && r.is_whole();
    let known = match operator {
        "==" | "!=" => l.comparable_to(r).then_some(Bool),
        "or" | "||" | "and" | "&&" => {
            let both = *l == Bool && *r == Bool;
            (both || l.may_meet(r, |n| *n == Bool)).then_some(Bool)
        }
        "<" | ">" | "<=" | ">=" => {
            let alike = numbers || (l == r && matches!(l, Text | Time | Span));
            (alike || l.may_meet(r, ordered)).then_some(Bool)
        }
        "+" => match (l, r) {
            _ if numbers => Some(promoted(l, r)),
            (Text, Text) => Some(Text),
            (Time, Span) | (Span, Time) => Some(Time),
            (Span, Span) => Some(Span),
            _ => l.may_meet(r, ordered).then_some(Unknown),
        },
        "-" => match (l, r) {
            _ if numbers => Some(promoted(l, r)),
            (Time, Time) | (Span, Span) => Some(Span),
            (Time, Span) => Some(Time),
            _ => l
                .may_meet(r, |n| n.is_number() || matches!(n, Time | Span))
                .then_some(Unknown),
        },
        "*" => match (l, r) {
            _ if numbers => Some(promoted(l, r)),
            (Span, Span) => Some(Span),
            (Span, n) | (n, Span) if n.is_number() => Some(Span),
            _ => l.may_meet(r, |n| n.is_number() || *n == Span).then_some(Unknown),
        },
        "/" | "**" | "^" => (numbers || l.may_meet(r, Nature::is_number)).then_some(Float),
        "%" => (wholes || l.may_meet(r, Nature::is_whole)).then_some(Int),
        ".." => (wholes || l.may_meet(r, Nature::is_whole)).then(|| Int.listed()),
        "in" => return membership(l, r),
        "matches" | "contains" | "startsWith" | "endsWith" => {
            let both = *l == Text && *r == Text;
            (both || l.may_meet(r, |n| *n == Text)).then_some(Bool)
        }
        "??" => Some(match (l, r) {
            (Nature::Nil, _) => r.clone(),
            (_, Nature::Nil) => l.clone(),
            _ if r.assignable_to(l) => l.clone(),
            _ => Unknown,
        }),
        _ => None,
    };
    known.ok_or_else(|| mismatch(operator, l, r))
}

fn ordered(nature: &Nature) -> bool {
    nature.is_number() || matches!(nature, Nature::Text | Nature::Time | Nature::Span)
}

fn membership(l: &Nature, r: &Nature) -> Result<Nature, Fault> {
    let cannot = |what: &str| Err(Fault::typed(format!("cannot use {} as type {what}", l.name())));
    match r {
        Nature::Map(true) if !l.is_unknown() && *l != Nature::Text => cannot("string in map key"),
        Nature::Map(_) => Ok(Nature::Bool),
        Nature::List(_, element) if !l.comparable_to(element) => {
            cannot(&format!("{} in array", element.name()))
        }
        Nature::List(..) | Nature::Unknown => Ok(Nature::Bool),
        Nature::Text if l.is_unknown() => Ok(Nature::Bool),
        _ => Err(mismatch("in", l, r)),
    }
}
