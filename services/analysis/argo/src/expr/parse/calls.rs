//! Calls, collections, and what follows a value: fields, indices, slices.

use super::{Builtin, Fault, Kind, Member, Node, Parser, Slice, Takes, closures, starts_name};
use crate::expr::builtin;

impl Parser {
    /// A call of `name` with what a pipe has brought.
    pub(super) fn call(&mut self, name: String, piped: Vec<Node>) -> Result<Node, Fault> {
        if let Some(takes) = closures(&name) {
            let arguments = self.closure_arguments(takes, piped)?;
            return self.node(Node::Builtin(Builtin::new(&name, arguments)));
        }
        let arguments = self.arguments(piped)?;
        if builtin::is_known(&name) {
            return self.node(Node::Builtin(Builtin::new(&name, arguments)));
        }
        let callee = self.node(Node::Name(name))?;
        self.node(Node::Call(Box::new(callee), arguments))
    }

    fn closure_arguments(&mut self, takes: &[Takes], mut arguments: Vec<Node>) -> Result<Vec<Node>, Fault> {
        self.expect(Kind::Bracket, "(")?;
        let takes = takes.get(arguments.len()..).unwrap_or_default();
        for (index, take) in takes.iter().enumerate() {
            if self.is(Kind::Bracket, ")") {
                if matches!(take, Takes::MaybeClosure | Takes::MaybeValue) {
                    break;
                }
                return Err(Fault::syntax(format!(
                    "expected at least {} arguments",
                    takes.len()
                )));
            }
            if index > 0 {
                self.expect(Kind::Sign, ",")?;
            }
            let argument = match take {
                Takes::Value | Takes::MaybeValue => self.expression(0)?,
                Takes::Closure | Takes::MaybeClosure => self.closure()?,
            };
            arguments.push(argument);
        }
        self.accept(Kind::Sign, ",");
        self.expect(Kind::Bracket, ")")?;
        Ok(arguments)
    }

    fn closure(&mut self) -> Result<Node, Fault> {
        let braces = self.accept(Kind::Bracket, "{");
        self.closures += 1;
        let body = if braces {
            self.sequence()?
        } else {
            self.expression(0)?
        };
        self.closures -= 1;
        if braces {
            self.expect(Kind::Bracket, "}")?;
        } else if self.is(Kind::Sign, ";") {
            return Err(Fault::syntax("wrap predicate with brackets { and }"));
        }
        self.node(Node::Predicate(Box::new(body)))
    }

    fn arguments(&mut self, mut arguments: Vec<Node>) -> Result<Vec<Node>, Fault> {
        let piped = arguments.len();
        self.expect(Kind::Bracket, "(")?;
        while !self.is(Kind::Bracket, ")") {
            if arguments.len() > piped {
                self.expect(Kind::Sign, ",")?;
                if self.is(Kind::Bracket, ")") {
                    break;
                }
            }
            arguments.push(self.expression(0)?);
        }
        self.expect(Kind::Bracket, ")")?;
        Ok(arguments)
    }

    pub(super) fn array(&mut self) -> Result<Node, Fault> {
        self.expect(Kind::Bracket, "[")?;
        let mut nodes = Vec::new();
        while !self.is(Kind::Bracket, "]") {
            if !nodes.is_empty() {
                self.expect(Kind::Sign, ",")?;
                if self.is(Kind::Bracket, "]") {
                    break;
                }
            }
            nodes.push(self.expression(0)?);
        }
        self.expect(Kind::Bracket, "]")?;
        self.node(Node::Array(nodes))
    }

    pub(super) fn pairs(&mut self) -> Result<Node, Fault> {
        self.expect(Kind::Bracket, "{")?;
        let mut pairs = Vec::new();
        while !self.is(Kind::Bracket, "}") {
            if !pairs.is_empty() {
                self.expect(Kind::Sign, ",")?;
                if self.is(Kind::Bracket, "}") {
                    break;
                }
            }
            let key = match self.kind() {
                Kind::Number | Kind::Text | Kind::Name => {
                    let text = self.next();
                    self.node(Node::Text(text))?
                }
                Kind::Bracket if self.text() == "(" => self.expression(0)?,
                _ => {
                    return Err(Fault::syntax(format!(
                        "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses ({})",
                        self.unexpected()
                    )));
                }
            };
            self.expect(Kind::Sign, ":")?;
            let value = self.expression(0)?;
            self.nodes += 1;
            pairs.push((key, value));
        }
        self.expect(Kind::Bracket, "}")?;
        self.node(Node::Pairs(pairs))
    }

    /// Fields, indices and slices after a value.
    pub(super) fn postfix(&mut self, mut node: Node) -> Result<Node, Fault> {
        let mut links = 0;
        loop {
            let optional = self.accept(Kind::Sign, "?.");
            if self.accept(Kind::Bracket, "[") {
                node = self.bracket(node, optional)?;
            } else if optional || self.accept(Kind::Sign, ".") {
                node = self.field(node, optional)?;
            } else {
                return Ok(node);
            }
            links += 1;
            if links > super::LONGEST_CHAIN {
                return Err(Fault::syntax("too many fields in a row, which is not supported"));
            }
        }
    }

    fn field(&mut self, node: Node, optional: bool) -> Result<Node, Fault> {
        let named = match self.kind() {
            Kind::Name => true,
            Kind::Sign => self.text().starts_with(starts_name),
            _ => false,
        };
        if !named {
            return Err(Fault::syntax("expected name"));
        }
        let name = self.next();
        let property = self.node(Node::Text(name))?;
        let (node, chained) = match node {
            Node::Chain(inner) => (*inner, true),
            node => (node, false),
        };
        let method = self.is(Kind::Bracket, "(");
        let member = Member {
            base: node,
            property,
            optional,
            method,
        };
        let mut node = self.node(Node::Member(Box::new(member)))?;
        if method {
            let arguments = self.arguments(Vec::new())?;
            node = self.node(Node::Call(Box::new(node), arguments))?;
        }
        if chained || optional {
            node = self.node(Node::Chain(Box::new(node)))?;
        }
        Ok(node)
    }

    fn bracket(&mut self, base: Node, optional: bool) -> Result<Node, Fault> {
        if self.accept(Kind::Sign, ":") {
            return self.slice(base, None);
        }
        let from = self.expression(0)?;
        if self.accept(Kind::Sign, ":") {
            return self.slice(base, Some(from));
        }
        self.expect(Kind::Bracket, "]")?;
        let member = Member {
            base,
            property: from,
            optional,
            method: false,
        };
        let node = self.node(Node::Member(Box::new(member)))?;
        if optional {
            self.node(Node::Chain(Box::new(node)))
        } else {
            Ok(node)
        }
    }

    fn slice(&mut self, base: Node, from: Option<Node>) -> Result<Node, Fault> {
        let to = if self.is(Kind::Bracket, "]") {
            None
        } else {
            Some(self.expression(0)?)
        };
        self.expect(Kind::Bracket, "]")?;
        self.node(Node::Slice(Box::new(Slice { base, from, to })))
    }
}
