//! From text to tokens, as expr-lang splits it.

use super::Fault;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    Sign,
    Bracket,
    End,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub text: String,
}

impl Token {
    pub(super) fn is(&self, kind: Kind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }
}

/// Words that are operators.
const WORDS: [&str; 11] = [
    "not",
    "in",
    "or",
    "and",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "let",
    "if",
    "else",
];

pub(super) fn starts_name(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic()
}

pub(super) fn continues_name(c: char) -> bool {
    starts_name(c) || c.is_numeric()
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    out: Vec<Token>,
}

/// The tokens of a condition, the end last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        out: Vec::new(),
    };
    while let Some(c) = reader.next() {
        reader.take(c)?;
    }
    reader.push(Kind::End, String::new());
    Ok(reader.out)
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn push(&mut self, kind: Kind, text: impl Into<String>) {
        self.out.push(Token {
            kind,
            text: text.into(),
        });
    }

    /// Takes the next character when it is one of these.
    fn accept(&mut self, any: &str) -> Option<char> {
        let c = self.peek().filter(|c| any.contains(*c))?;
        self.at += 1;
        Some(c)
    }

    fn sign(&mut self, first: char, second: &str) {
        let mut text = String::from(first);
        text.extend(self.accept(second));
        self.push(Kind::Sign, text);
    }

    fn take(&mut self, c: char) -> Result<(), Fault> {
        match c {
            c if c.is_whitespace() => {}
            '\'' | '"' => self.quoted(c)?,
            '`' => self.raw()?,
            'b' | 'B' if matches!(self.peek(), Some('\'' | '"')) => {
                return Err(Fault::syntax("literals of bytes are not supported"));
            }
            '0'..='9' => self.number(c)?,
            '?' => self.sign(c, ".?"),
            '/' if self.accept("/").is_some() => while self.next().is_some_and(|c| c != '\n') {},
            '/' if self.accept("*").is_some() => self.comment()?,
            '/' => self.sign(c, ""),
            '#' => {
                self.sign(c, "#");
                let name = self.word(String::new());
                if !name.is_empty() {
                    self.push(Kind::Name, name);
                }
            }
            '|' => self.sign(c, "|"),
            ':' => self.sign(c, ":"),
            '(' | '[' | '{' | ')' | ']' | '}' => self.push(Kind::Bracket, c),
            ',' | ';' | '%' | '+' | '-' | '^' => self.sign(c, ""),
            '&' | '!' | '=' | '*' | '<' | '>' => self.sign(c, "&=*"),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number(c)?,
            '.' => self.sign(c, "."),
            c if continues_name(c) => {
                let name = self.word(String::from(c));
                let operator = WORDS.contains(&name.as_str());
                self.push(if operator { Kind::Sign } else { Kind::Name }, name);
            }
            c => return Err(Fault::syntax(format!("unrecognized character: {c:?}"))),
        }
        Ok(())
    }

    fn word(&mut self, mut word: String) -> String {
        while let Some(c) = self.peek().filter(|c| continues_name(*c)) {
            word.push(c);
            self.at += 1;
        }
        word
    }

    fn comment(&mut self) -> Result<(), Fault> {
        loop {
            match self.next() {
                None => return Err(Fault::syntax("unclosed comment")),
                Some('*') if self.accept("/").is_some() => return Ok(()),
                Some(_) => {}
            }
        }
    }

    fn digits(&mut self, text: &mut String, of: &str) {
        while let Some(c) = self.accept(of) {
            text.push(c);
        }
    }

    fn number(&mut self, first: char) -> Result<(), Fault> {
        let mut text = String::new();
        let mut of = "0123456789_";
        if first == '.' {
            self.at -= 1;
        } else {
            text.push(first);
        }
        if first == '0'
            && let Some(base) = self.accept("xXoObB")
        {
            text.push(base);
            of = match base {
                'x' | 'X' => "0123456789abcdefABCDEF_",
                'o' | 'O' => "01234567_",
                _ => "01_",
            };
        }
        self.digits(&mut text, of);
        if self.peek() == Some('.') && self.chars.get(self.at + 1) != Some(&'.') {
            self.at += 1;
            text.push('.');
            self.digits(&mut text, of);
        }
        // `1..2` is a range: the number ends before its dots, and has no exponent.
        let range = self.peek() == Some('.');
        if !range && let Some(exponent) = self.accept("eE") {
            text.push(exponent);
            text.extend(self.accept("+-"));
            self.digits(&mut text, of);
        }
        if self.peek().is_some_and(continues_name) {
            return Err(Fault::syntax(format!("bad number syntax: {text:?}")));
        }
        self.push(Kind::Number, text);
        Ok(())
    }

    fn raw(&mut self) -> Result<(), Fault> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(Fault::syntax("literal not terminated")),
                Some('`') if self.accept("`").is_some() => text.push('`'),
                Some('`') => break,
                Some(c) => text.push(c),
            }
        }
        self.push(Kind::Text, text);
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), Fault> {
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(Fault::syntax("literal not terminated")),
                Some('\\') => text.push(self.escape(quote)?),
                Some(c) if c == quote => break,
                Some(c) => text.push(c),
            }
        }
        self.push(Kind::Text, text);
        Ok(())
    }

    fn escape(&mut self, quote: char) -> Result<char, Fault> {
        let bad = || Fault::syntax("invalid char escape");
        let code = match self.next().ok_or_else(bad)? {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '\\' => 92,
            c if c == quote => u32::from(c),
            c @ '0'..='7' => {
                self.at -= usize::from(c.is_ascii_digit());
                self.code(8, 3)?
            }
            'x' => self.code(16, 2)?,
            'u' if self.accept("{").is_some() => {
                let mut digits = String::new();
                self.digits(&mut digits, "0123456789abcdefABCDEF");
                self.accept("}")
                    .filter(|_| (1..=6).contains(&digits.len()))
                    .ok_or_else(bad)?;
                u32::from_str_radix(&digits, 16).map_err(|_| bad())?
            }
            'u' => self.code(16, 4)?,
            'U' => self.code(16, 8)?,
            _ => return Err(bad()),
        };
        char::from_u32(code).ok_or_else(bad)
    }

    fn code(&mut self, radix: u32, digits: usize) -> Result<u32, Fault> {
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self.next().and_then(|c| c.to_digit(radix));
            let digit = digit.ok_or_else(|| Fault::syntax("invalid char escape"))?;
            code = code
                .checked_mul(radix)
                .and_then(|code| code.checked_add(digit))
                .ok_or_else(|| Fault::syntax("invalid char escape"))?;
        }
        Ok(code)
    }
}
