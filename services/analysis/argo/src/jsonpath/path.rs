//! Reading a template.

use super::{DEEPEST, Fault, Node};

struct Reader<'t> {
    chars: &'t [char],
    at: usize,
    deep: usize,
}

fn wrong<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Syntax(text.into()))
}

/// The parts of a template: texts and actions.
pub(super) fn parse(template: &str) -> Result<Vec<Node>, Fault> {
    let chars: Vec<char> = template.chars().collect();
    let mut reader = Reader {
        chars: &chars,
        at: 0,
        deep: 0,
    };
    let mut nodes = Vec::new();
    let mut text = String::new();
    while let Some(c) = reader.next() {
        if c != '{' {
            text.push(c);
            continue;
        }
        if !text.is_empty() {
            nodes.push(Node::Text(std::mem::take(&mut text)));
        }
        nodes.push(Node::List(reader.action()?));
    }
    if !text.is_empty() {
        nodes.push(Node::Text(text));
    }
    Ok(nodes)
}

/// An action within another: an index, one side of a filter.
fn inner(text: &str, deep: usize) -> Result<Vec<Node>, Fault> {
    if deep >= DEEPEST {
        return wrong("nested too deep");
    }
    let chars: Vec<char> = text.chars().chain(['}']).collect();
    let mut reader = Reader {
        chars: &chars,
        at: 0,
        deep: deep + 1,
    };
    reader.action()
}

fn ends_word(c: Option<char>) -> bool {
    matches!(
        c,
        None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
    )
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn accept(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let here = self.chars.get(self.at..).unwrap_or_default();
        let found = here.len() >= length && here.iter().copied().take(length).eq(text.chars());
        if found {
            self.at += length;
        }
        found
    }

    fn action(&mut self) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        loop {
            if self.accept("}") {
                return Ok(nodes);
            }
            if self.accept("[?(") {
                nodes.push(self.filter()?);
                continue;
            }
            if self.accept("..") {
                if nodes.last() == Some(&Node::Recursive) {
                    return wrong("invalid multiple recursive descent");
                }
                nodes.push(Node::Recursive);
                if self.peek().is_some_and(|c| c == '_' || c.is_alphanumeric()) {
                    nodes.push(self.field());
                }
                continue;
            }
            match self.next() {
                None | Some('\r' | '\n') => return wrong("unclosed action"),
                Some(' ' | '@' | '$') => {}
                Some('[') => self.index(&mut nodes)?,
                Some(quote @ ('"' | '\'')) => nodes.push(self.quoted(quote)?),
                Some('.') => nodes.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_numeric() => {
                    self.at -= 1;
                    nodes.push(self.number()?);
                }
                Some(c) if c == '_' || c.is_alphabetic() => {
                    self.at -= 1;
                    nodes.push(self.word()?);
                }
                Some(c) => return wrong(format!("unrecognized character in action: {c:?}")),
            }
        }
    }

    fn field(&mut self) -> Node {
        let mut name = String::new();
        loop {
            match self.peek() {
                Some('\\') => {
                    self.at += 1;
                    name.extend(self.next());
                }
                c if ends_word(c) => break,
                c => {
                    name.extend(c);
                    self.at += 1;
                }
            }
        }
        if name == "*" {
            Node::Wildcard
        } else {
            Node::Field(name.replace('\\', ""))
        }
    }

    fn word(&mut self) -> Result<Node, Fault> {
        let mut word = String::new();
        while !ends_word(self.peek()) {
            word.extend(self.next());
        }
        match word.as_str() {
            "true" => Ok(Node::Bool(true)),
            "false" => Ok(Node::Bool(false)),
            "range" | "end" => wrong(format!("`{word}` is not supported: a metric is one value")),
            _ => wrong(format!("unrecognized identifier {word}")),
        }
    }

    fn number(&mut self) -> Result<Node, Fault> {
        let mut text = String::new();
        text.extend(self.next());
        while let Some(c) = self.peek().filter(|c| *c == '.' || c.is_numeric()) {
            text.push(c);
            self.at += 1;
        }
        if let Some(whole) = crate::expr::whole(&text) {
            return Ok(Node::Int(whole));
        }
        match text.parse() {
            Ok(number) => Ok(Node::Float(number)),
            Err(_) => wrong(format!("cannot parse number {text}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Node, Fault> {
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return wrong("unterminated quoted string"),
                Some(c) if c == quote => return Ok(Node::Text(text)),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c) if c == '\\' || c == quote => text.push(c),
                    _ => return wrong("unquote string: invalid syntax"),
                },
                Some(c) => text.push(c),
            }
        }
    }

    fn index(&mut self, nodes: &mut Vec<Node>) -> Result<(), Fault> {
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return wrong("unterminated array"),
                Some(']') => break,
                Some(c) => text.push(c),
            }
        }
        if text == "*" {
            ":".clone_into(&mut text);
        }
        if text.contains(',') {
            let parts = text.split(',').map(|part| {
                let part = part.trim_matches(' ');
                inner(&format!("[{part}]"), self.deep)
            });
            nodes.push(Node::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        if let Some(key) = text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
            .filter(|key| !key.contains('\''))
        {
            nodes.extend(inner(&format!(".{key}"), self.deep)?);
            return Ok(());
        }
        let invalid = || Fault::Syntax(format!("invalid array index {text}"));
        let parts: Vec<&str> = text.split(':').collect();
        let number = |part: &&str| -> Result<Option<i64>, Fault> {
            if part.is_empty() {
                return Ok(None);
            }
            crate::expr::whole(part).map(Some).ok_or_else(invalid)
        };
        let parts: Vec<Option<i64>> = parts.iter().map(number).collect::<Result<_, _>>()?;
        nodes.push(match parts.as_slice() {
            [Some(at)] => Node::Slice(Some(*at), Some(at.saturating_add(1)), None, true),
            [from, to] => Node::Slice(*from, *to, None, false),
            [from, to, step] => Node::Slice(*from, *to, *step, false),
            _ => return Err(invalid()),
        });
        Ok(())
    }

    fn filter(&mut self) -> Result<Node, Fault> {
        let mut text = String::new();
        let mut quote = None;
        loop {
            let c = match self.next() {
                None | Some('\n') => return wrong("unterminated filter"),
                Some(c) => c,
            };
            match (c, quote) {
                (')', None) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open && !text.ends_with('\\') => quote = None,
                _ => {}
            }
            text.push(c);
        }
        if self.next() != Some(']') {
            return wrong("unclosed array expect ]");
        }
        let sign = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let start = text.find(sign).filter(|start| *start > 0);
        let Some((left, rest)) = start.and_then(|start| text.split_at_checked(start)) else {
            return Ok(Node::Filter(
                inner(&text, self.deep)?,
                Vec::new(),
                "exists".to_owned(),
            ));
        };
        let end = rest.find(|c| !sign(c)).unwrap_or(rest.len());
        let (operator, right) = rest.split_at(end);
        if right.is_empty() {
            return Ok(Node::Filter(
                inner(&text, self.deep)?,
                Vec::new(),
                "exists".to_owned(),
            ));
        }
        Ok(Node::Filter(
            inner(left, self.deep)?,
            inner(right, self.deep)?,
            operator.to_owned(),
        ))
    }
}
