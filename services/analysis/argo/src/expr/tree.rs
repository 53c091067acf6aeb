//! The tree of a condition.

/// One node. Its depth is bounded by the parser, so that walking it needs a bounded stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    Unary(String, Box<Node>),
    Binary(String, Box<Node>, Box<Node>),
    /// Everything of `a?.b.c`: the end of the jump when something on the way is nil.
    Chain(Box<Node>),
    Member(Box<Member>),
    Slice(Box<Slice>),
    Call(Box<Node>, Vec<Node>),
    Builtin(Builtin),
    /// A closure's body.
    Predicate(Box<Node>),
    /// `#`, `#acc`, `#index`.
    Pointer(String),
    Let(String, Box<Node>, Box<Node>),
    Sequence(Vec<Node>),
    Choice(Box<Choice>),
    Array(Vec<Node>),
    Pairs(Vec<(Node, Node)>),
}

/// `base[property]`, `base.property`, `base?.property`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub base: Node,
    pub property: Node,
    pub optional: bool,
    pub method: bool,
}

/// `base[from:to]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slice {
    pub base: Node,
    pub from: Option<Node>,
    pub to: Option<Node>,
}

/// `condition ? then : otherwise`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub condition: Node,
    pub then: Node,
    pub otherwise: Node,
}

/// A call of a built-in function.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Builtin {
    pub name: String,
    pub arguments: Vec<Node>,
    /// `find` in the place of `filter(..)[0]`: none found is an error.
    pub throws: bool,
    /// `count` in a comparison: so many are enough.
    pub enough: Option<i64>,
    /// `filter` under `map`: what becomes of each element that passes.
    pub mapped: Option<Box<Node>>,
}

impl Builtin {
    pub(super) fn new(name: &str, arguments: Vec<Node>) -> Self {
        Self {
            name: name.to_owned(),
            arguments,
            ..Self::default()
        }
    }
}

impl Node {
    /// Every direct child, for walks that change the tree.
    pub(super) fn children(&mut self) -> Vec<&mut Node> {
        match self {
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Name(_)
            | Self::Pointer(_) => Vec::new(),
            Self::Unary(_, one) | Self::Chain(one) | Self::Predicate(one) => vec![one],
            Self::Binary(_, left, right) | Self::Let(_, left, right) => vec![left, right],
            Self::Member(member) => vec![&mut member.base, &mut member.property],
            Self::Slice(slice) => {
                let Slice { base, from, to } = &mut **slice;
                std::iter::once(base)
                    .chain(from.as_mut())
                    .chain(to.as_mut())
                    .collect()
            }
            Self::Call(callee, arguments) => std::iter::once(&mut **callee)
                .chain(arguments.iter_mut())
                .collect(),
            Self::Builtin(call) => {
                let mapped = call.mapped.as_deref_mut();
                call.arguments.iter_mut().chain(mapped).collect()
            }
            Self::Sequence(nodes) | Self::Array(nodes) => nodes.iter_mut().collect(),
            Self::Choice(choice) => vec![&mut choice.condition, &mut choice.then, &mut choice.otherwise],
            Self::Pairs(pairs) => pairs.iter_mut().flat_map(|(key, value)| [key, value]).collect(),
        }
    }
}
