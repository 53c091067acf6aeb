//! From tokens to the tree: expr-lang's grammar and precedences.

use super::Fault;
use super::token::{Kind, Token, starts_name, tokens};
use super::tree::{Builtin, Choice, Member, Node, Slice};

/// Most nodes of a condition, as expr-lang has it.
const MOST_NODES: usize = 10_000;
/// Deepest nesting. expr-lang has no such bound; a condition that needs more was not written by a person.
const DEEPEST: usize = 64;
/// Longest chain of operators of one precedence, for the same reason.
const LONGEST_CHAIN: usize = 256;

/// How a call's argument is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Value,
    Closure,
    MaybeClosure,
    MaybeValue,
}

/// What built-in functions with closures take.
fn closures(name: &str) -> Option<&'static [Takes]> {
    use Takes::{Closure, MaybeClosure, MaybeValue, Value};
    Some(match name {
        "all" | "none" | "any" | "one" | "filter" | "map" | "find" | "findIndex" | "findLast"
        | "findLastIndex" | "groupBy" => &[Value, Closure],
        "count" | "sum" => &[Value, MaybeClosure],
        "sortBy" | "reduce" => &[Value, Closure, MaybeValue],
        _ => return None,
    })
}

fn binding(operator: &str) -> Option<u16> {
    Some(match operator {
        "|" => 0,
        "or" | "||" => 10,
        "and" | "&&" => 15,
        "==" | "!=" | "<" | ">" | ">=" | "<=" | "in" | "matches" | "contains" | "startsWith" | "endsWith" => {
            20
        }
        ".." => 25,
        "+" | "-" => 30,
        "*" | "/" | "%" => 60,
        "**" | "^" => 100,
        "??" => 500,
        _ => return None,
    })
}

fn is_comparison(operator: &str) -> bool {
    matches!(operator, "<" | ">" | "<=" | ">=")
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nodes: usize,
    deep: usize,
    closures: usize,
}

/// The tree of a condition.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        nodes: 0,
        deep: 0,
        closures: 0,
    };
    let node = parser.sequence()?;
    if parser.kind() == Kind::End {
        Ok(node)
    } else {
        Err(parser.unexpected())
    }
}

impl Parser {
    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn kind(&self) -> Kind {
        self.token().map_or(Kind::End, |token| token.kind)
    }

    fn text(&self) -> &str {
        self.token().map_or("", |token| token.text.as_str())
    }

    fn is(&self, kind: Kind, text: &str) -> bool {
        self.token().is_some_and(|token| token.is(kind, text))
    }

    fn next(&mut self) -> String {
        let text = self.text().to_owned();
        self.at += 1;
        text
    }

    fn accept(&mut self, kind: Kind, text: &str) -> bool {
        let found = self.is(kind, text);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self) -> Fault {
        match self.kind() {
            Kind::End => Fault::syntax("unexpected end of expression"),
            kind => Fault::syntax(format!("unexpected token {kind:?}({:?})", self.text())),
        }
    }

    fn expect(&mut self, kind: Kind, text: &str) -> Result<(), Fault> {
        if self.accept(kind, text) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn name(&mut self) -> Result<String, Fault> {
        if self.kind() == Kind::Name {
            Ok(self.next())
        } else {
            Err(self.unexpected())
        }
    }

    /// Counts a node.
    fn node(&mut self, node: Node) -> Result<Node, Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(Fault::syntax(
                "compilation failed: expression exceeds maximum allowed nodes",
            ));
        }
        Ok(node)
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.deep += 1;
        if self.deep > DEEPEST {
            return Err(Fault::syntax(format!(
                "nested more than {DEEPEST} deep, which is not supported"
            )));
        }
        let read = read(self);
        self.deep -= 1;
        read
    }

    fn sequence(&mut self) -> Result<Node, Fault> {
        let first = self.expression(0)?;
        if !self.is(Kind::Sign, ";") {
            return Ok(first);
        }
        let mut nodes = vec![first];
        while self.accept(Kind::Sign, ";") && self.kind() != Kind::End {
            nodes.push(self.expression(0)?);
        }
        if nodes.len() == 1 {
            return nodes.pop().ok_or_else(|| self.unexpected());
        }
        self.node(Node::Sequence(nodes))
    }

    fn expression(&mut self, least: u16) -> Result<Node, Fault> {
        self.deeper(|parser| {
            if least == 0 && parser.is(Kind::Sign, "let") {
                return parser.declaration();
            }
            if least == 0 && parser.accept(Kind::Sign, "if") {
                return parser.branches();
            }
            let node = parser.operators(least)?;
            if least == 0 {
                parser.ternary(node)
            } else {
                Ok(node)
            }
        })
    }

    fn operators(&mut self, least: u16) -> Result<Node, Fault> {
        let mut left = self.primary()?;
        let mut before = String::new();
        let mut chain = 0;
        while self.kind() == Kind::Sign {
            let negated = self.is(Kind::Sign, "not");
            if negated {
                self.at += 1;
                if !matches!(
                    self.text(),
                    "in" | "matches" | "contains" | "startsWith" | "endsWith"
                ) {
                    return Err(self.unexpected());
                }
            }
            let operator = self.text().to_owned();
            let Some(power) = binding(&operator).filter(|power| *power >= least) else {
                self.at -= usize::from(negated);
                break;
            };
            chain += 1;
            if chain > LONGEST_CHAIN {
                return Err(Fault::syntax(format!(
                    "more than {LONGEST_CHAIN} operators in a row, which is not supported"
                )));
            }
            self.at += 1;
            left = self.operation(left, (&operator, power), &before)?;
            if negated {
                left = self.node(Node::Unary("not".to_owned(), Box::new(left)))?;
            }
            before = operator;
        }
        Ok(left)
    }

    fn operation(&mut self, left: Node, (operator, power): (&str, u16), before: &str) -> Result<Node, Fault> {
        if operator == "|" {
            let name = self.name()?;
            let call = self.call(name, vec![left])?;
            // What a pipe gives may be indexed at once.
            return self.postfix(call);
        }
        if before == "??" && operator != "??" {
            return Err(Fault::syntax(format!(
                "Operator ({operator}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
            )));
        }
        if is_comparison(operator) {
            return self.comparison(left, operator.to_owned(), power);
        }
        let right_associative = matches!(operator, "**" | "^");
        let right = self.expression(if right_associative { power } else { power + 1 })?;
        self.binary(operator, left, right)
    }

    fn binary(&mut self, operator: &str, left: Node, right: Node) -> Result<Node, Fault> {
        self.node(Node::Binary(operator.to_owned(), Box::new(left), Box::new(right)))
    }

    /// `1 < x < 3` is `1 < x && x < 3`.
    fn comparison(&mut self, mut left: Node, mut operator: String, power: u16) -> Result<Node, Fault> {
        let mut whole: Option<Node> = None;
        let mut chain = 0;
        loop {
            let right = self.expression(power + 1)?;
            let one = self.binary(&operator, left, right.clone())?;
            whole = Some(match whole.take() {
                None => one,
                Some(before) => self.binary("&&", before, one)?,
            });
            left = right;
            chain += 1;
            if self.kind() != Kind::Sign || !is_comparison(self.text()) || chain > LONGEST_CHAIN {
                return whole.ok_or_else(|| self.unexpected());
            }
            operator = self.next();
        }
    }

    fn declaration(&mut self) -> Result<Node, Fault> {
        self.expect(Kind::Sign, "let")?;
        let name = self.name()?;
        self.expect(Kind::Sign, "=")?;
        let value = self.expression(0)?;
        self.expect(Kind::Sign, ";")?;
        let body = self.sequence()?;
        self.node(Node::Let(name, Box::new(value), Box::new(body)))
    }

    fn block(&mut self) -> Result<Node, Fault> {
        self.expect(Kind::Bracket, "{")?;
        let node = self.sequence()?;
        self.expect(Kind::Bracket, "}")?;
        Ok(node)
    }

    fn branches(&mut self) -> Result<Node, Fault> {
        let condition = self.expression(0)?;
        let then = self.block()?;
        self.expect(Kind::Sign, "else")?;
        let otherwise = if self.accept(Kind::Sign, "if") {
            self.deeper(Self::branches)?
        } else {
            self.block()?
        };
        self.choice(condition, then, otherwise)
    }

    fn choice(&mut self, condition: Node, then: Node, otherwise: Node) -> Result<Node, Fault> {
        let choice = Choice {
            condition,
            then,
            otherwise,
        };
        self.node(Node::Choice(Box::new(choice)))
    }

    fn ternary(&mut self, mut node: Node) -> Result<Node, Fault> {
        while self.accept(Kind::Sign, "?") {
            if self.accept(Kind::Sign, ":") {
                let otherwise = self.expression(0)?;
                node = self.choice(node.clone(), node, otherwise)?;
            } else {
                let then = self.expression(0)?;
                self.expect(Kind::Sign, ":")?;
                let otherwise = self.expression(0)?;
                node = self.choice(node, then, otherwise)?;
            }
        }
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        if self.kind() == Kind::Sign {
            let power = match self.text() {
                "not" | "!" => Some(50),
                "-" | "+" => Some(90),
                _ => None,
            };
            if let Some(power) = power {
                let operator = self.next();
                let operand = self.expression(power)?;
                let node = self.node(Node::Unary(operator, Box::new(operand)))?;
                return self.postfix(node);
            }
        }
        if self.accept(Kind::Bracket, "(") {
            let node = self.sequence()?;
            self.expect(Kind::Bracket, ")")?;
            return self.postfix(node);
        }
        if self.closures > 0 && self.accept(Kind::Sign, "#") {
            let name = if self.kind() == Kind::Name {
                self.next()
            } else {
                String::new()
            };
            let node = self.node(Node::Pointer(name))?;
            return self.postfix(node);
        }
        if self.closures > 0 && self.is(Kind::Sign, ".") {
            let node = self.node(Node::Pointer(String::new()))?;
            return self.postfix(node);
        }
        if self.accept(Kind::Sign, "::") {
            let name = self.name()?;
            let call = self.call(name, Vec::new())?;
            return self.postfix(call);
        }
        self.secondary()
    }

    fn secondary(&mut self) -> Result<Node, Fault> {
        let node = match self.kind() {
            Kind::Number => {
                let literal = super::number::literal(&self.next())?;
                return self.node(literal);
            }
            Kind::Text => {
                let text = self.next();
                self.node(Node::Text(text))?
            }
            Kind::Name => {
                let name = self.next();
                let constant = match name.as_str() {
                    "true" => Some(Node::Bool(true)),
                    "false" => Some(Node::Bool(false)),
                    "nil" => Some(Node::Nil),
                    _ => None,
                };
                if let Some(constant) = constant {
                    return self.node(constant);
                }
                if self.is(Kind::Bracket, "(") {
                    self.call(name, Vec::new())?
                } else {
                    self.node(Node::Name(name))?
                }
            }
            Kind::Bracket if self.text() == "[" => self.array()?,
            Kind::Bracket if self.text() == "{" => self.pairs()?,
            _ => return Err(self.unexpected()),
        };
        self.postfix(node)
    }
}

mod calls;
