//! On-demand features: arithmetic over features and over what comes with the request.
//!
//! `failures_7d / max(deployments_7d, 1)`, `if(request.size > 100, 1, 0)`, `coalesce(rate, 0)`. What is not there makes the
//! result NULL, except inside of `coalesce`. A comparison is 1 or 0; a division by zero is NULL.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at character {at}: {reason}")]
pub struct Wrong {
    /// Where, from 1.
    pub at: usize,
    /// What.
    pub reason: String,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    root: Node,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Number(f64),
    Name(String),
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Negative,
    Less,
    Greater,
    AtMost,
    AtLeast,
    Equal,
    Unequal,
    If,
    Min,
    Max,
    Abs,
    Ln,
    Log1p,
    Exp,
    Sqrt,
    Pow,
    Floor,
    Coalesce,
}

impl Function {
    fn named(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
        Some(match name {
            "if" => (Self::If, 3..=3),
            "min" => (Self::Min, 1..=16),
            "max" => (Self::Max, 1..=16),
            "abs" => (Self::Abs, 1..=1),
            "ln" => (Self::Ln, 1..=1),
            "log1p" => (Self::Log1p, 1..=1),
            "exp" => (Self::Exp, 1..=1),
            "sqrt" => (Self::Sqrt, 1..=1),
            "pow" => (Self::Pow, 2..=2),
            "floor" => (Self::Floor, 1..=1),
            "coalesce" => (Self::Coalesce, 1..=16),
            _ => return None,
        })
    }

    fn operator(symbol: &str) -> Option<(Self, u8)> {
        Some(match symbol {
            "==" => (Self::Equal, 1),
            "!=" => (Self::Unequal, 1),
            "<" => (Self::Less, 1),
            "<=" => (Self::AtMost, 1),
            ">" => (Self::Greater, 1),
            ">=" => (Self::AtLeast, 1),
            "+" => (Self::Add, 2),
            "-" => (Self::Subtract, 2),
            "*" => (Self::Multiply, 3),
            "/" => (Self::Divide, 3),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Symbol(String),
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Wrong> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = characters.get(at).copied() {
        let rest = characters.get(at..).unwrap_or_default();
        let run = |belongs: fn(char) -> bool| rest.iter().take_while(|c| belongs(**c)).collect::<String>();
        let (token, length) = if first.is_whitespace() {
            at += 1;
            continue;
        } else if first.is_ascii_digit() {
            let number = run(|c| c.is_ascii_digit() || c == '.');
            let fault = |_| Wrong {
                at: at + 1,
                reason: format!("{number} is no number"),
            };
            (Token::Number(number.parse().map_err(fault)?), number.len())
        } else if first.is_alphabetic() || first == '_' {
            let name = run(|c| c.is_alphanumeric() || "_.:".contains(c));
            let length = name.chars().count();
            (Token::Name(name), length)
        } else {
            let two: String = rest.iter().take(2).collect();
            let symbol = if ["==", "!=", "<=", ">="].contains(&two.as_str()) {
                two
            } else {
                first.to_string()
            };
            if !"+-*/(),<>==!=<=>=".contains(&symbol) || symbol == "=" || symbol == "!" {
                return Err(Wrong {
                    at: at + 1,
                    reason: format!("{symbol} means nothing here"),
                });
            }
            let length = symbol.len();
            (Token::Symbol(symbol), length)
        };
        tokens.push((at + 1, token));
        at += length;
    }
    Ok(tokens)
}

/// The deepest nesting: an expression comes from a document.
const DEEPEST: usize = 64;

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
}

impl Parser {
    fn wrong(&self, reason: impl Into<String>) -> Wrong {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        Wrong {
            at,
            reason: reason.into(),
        }
    }

    fn symbol(&self) -> Option<&str> {
        match self.tokens.get(self.next) {
            Some((_, Token::Symbol(symbol))) => Some(symbol),
            _ => None,
        }
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Wrong> {
        if self.symbol() == Some(symbol) {
            self.next += 1;
            return Ok(());
        }
        Err(self.wrong(format!("{symbol} is missing")))
    }

    fn expression(&mut self, above: u8, depth: usize) -> Result<Node, Wrong> {
        if depth > DEEPEST {
            return Err(self.wrong("is nested too deeply"));
        }
        let mut left = self.operand(depth)?;
        while let Some((function, rank)) = self.symbol().and_then(Function::operator) {
            if rank <= above {
                break;
            }
            self.next += 1;
            let right = self.expression(rank, depth + 1)?;
            left = Node::Call(function, vec![left, right]);
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Node, Wrong> {
        let token = self.tokens.get(self.next).map(|(_, token)| token.clone());
        match token {
            Some(Token::Number(number)) => {
                self.next += 1;
                Ok(Node::Number(number))
            }
            Some(Token::Name(name)) => {
                self.next += 1;
                if self.symbol() == Some("(") {
                    self.call(&name, depth)
                } else {
                    Ok(Node::Name(name))
                }
            }
            Some(Token::Symbol(symbol)) if symbol == "(" => {
                self.next += 1;
                let inner = self.expression(0, depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Symbol(symbol)) if symbol == "-" => {
                self.next += 1;
                let inner = self.expression(3, depth + 1)?;
                Ok(Node::Call(Function::Negative, vec![inner]))
            }
            _ => Err(self.wrong("a number, a name or ( is missing")),
        }
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Node, Wrong> {
        let Some((function, takes)) = Function::named(name) else {
            return Err(self.wrong(format!("there is no function {name}")));
        };
        self.expect("(")?;
        let mut arguments = Vec::new();
        if self.symbol() != Some(")") {
            arguments.push(self.expression(0, depth + 1)?);
            while self.symbol() == Some(",") {
                self.next += 1;
                arguments.push(self.expression(0, depth + 1)?);
            }
        }
        self.expect(")")?;
        if takes.contains(&arguments.len()) {
            Ok(Node::Call(function, arguments))
        } else {
            let (least, most) = (takes.start(), takes.end());
            Err(self.wrong(format!(
                "{name} takes {least} to {most} arguments, not {}",
                arguments.len()
            )))
        }
    }
}

impl Expression {
    /// Reads one.
    ///
    /// # Errors
    /// [`Wrong`], with the place.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let tokens = tokens(text)?;
        let end = text.chars().count() + 1;
        let mut parser = Parser { tokens, next: 0, end };
        let root = parser.expression(0, 0)?;
        if parser.next < parser.tokens.len() {
            return Err(parser.wrong("is left over"));
        }
        Ok(Self {
            root,
            text: text.to_owned(),
        })
    }

    /// The names it speaks of, sorted.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            match node {
                Node::Number(_) => {}
                Node::Name(name) => {
                    names.insert(name.as_str());
                }
                Node::Call(_, arguments) => open.extend(arguments),
            }
        }
        names
    }

    /// Its value; `None` where something it needs is not there, or it is not a finite number.
    #[must_use]
    pub fn value(&self, known: &BTreeMap<String, f64>) -> Option<f64> {
        self.root.value(known).filter(|value| value.is_finite())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

impl Node {
    fn value(&self, known: &BTreeMap<String, f64>) -> Option<f64> {
        let (function, arguments) = match self {
            Self::Number(number) => return Some(*number),
            Self::Name(name) => return known.get(name).copied(),
            Self::Call(function, arguments) => (function, arguments),
        };
        let at = |n: usize| arguments.get(n).and_then(|node| node.value(known));
        let all = || {
            arguments
                .iter()
                .map(|node| node.value(known))
                .collect::<Option<Vec<f64>>>()
        };
        match function {
            Function::Coalesce => arguments.iter().find_map(|node| node.value(known)),
            Function::If => at(if at(0)? != 0.0 { 1 } else { 2 }),
            Function::Min => all()?.into_iter().reduce(f64::min),
            Function::Max => all()?.into_iter().reduce(f64::max),
            Function::Add => Some(at(0)? + at(1)?),
            Function::Subtract => Some(at(0)? - at(1)?),
            Function::Multiply => Some(at(0)? * at(1)?),
            Function::Divide => Some(at(0)? / at(1)?).filter(|v| v.is_finite()),
            Function::Negative => Some(-at(0)?),
            Function::Less => Some(flag(at(0)? < at(1)?)),
            Function::Greater => Some(flag(at(0)? > at(1)?)),
            Function::AtMost => Some(flag(at(0)? <= at(1)?)),
            Function::AtLeast => Some(flag(at(0)? >= at(1)?)),
            Function::Equal => Some(flag(at(0)? == at(1)?)),
            Function::Unequal => Some(flag(at(0)? != at(1)?)),
            Function::Abs => Some(at(0)?.abs()),
            Function::Ln => Some(at(0)?.ln()).filter(|v| v.is_finite()),
            Function::Log1p => Some(at(0)?.ln_1p()).filter(|v| v.is_finite()),
            Function::Exp => Some(at(0)?.exp()).filter(|v| v.is_finite()),
            Function::Sqrt => Some(at(0)?.sqrt()).filter(|v| v.is_finite()),
            Function::Pow => Some(at(0)?.powf(at(1)?)).filter(|v| v.is_finite()),
            Function::Floor => Some(at(0)?.floor()),
        }
    }
}
