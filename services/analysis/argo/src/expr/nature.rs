//! What is known of a value before it is there: expr-lang's static types.

use super::value::{Function, Of, Value};

/// A static type.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Nature {
    /// Anything: found out when it is run.
    #[default]
    Unknown,
    Nil,
    Bool,
    Int,
    Int64,
    Float,
    Text,
    /// A list: Go's type, and what is known of an element.
    List(Of, Box<Nature>),
    /// A map with text keys (true) or any.
    Map(bool),
    Time,
    Span,
    Function(Function),
    /// A closure, by what it gives.
    Closure(Box<Nature>),
}

impl Nature {
    /// Of a value of the environment.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Int64(_) => Self::Int64,
            Value::Float(_) => Self::Float,
            Value::Text(_) => Self::Text,
            Value::List(of, _) => Self::list_of(*of),
            Value::Map(_) => Self::Map(true),
            Value::Time(_) => Self::Time,
            Value::Span(_) => Self::Span,
            Value::Function(function) => Self::Function(*function),
        }
    }

    /// A list by Go's type alone.
    pub(super) fn list_of(of: Of) -> Self {
        let element = match of {
            Of::Any => Self::Unknown,
            Of::Float => Self::Float,
            Of::Int => Self::Int,
            Of::Text => Self::Text,
        };
        Self::List(of, Box::new(element))
    }

    /// `[]any` of which the elements are known.
    pub(super) fn listed(self) -> Self {
        Self::List(Of::Any, Box::new(self))
    }

    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Int | Self::Int64)
    }

    pub(super) fn is_number(&self) -> bool {
        self.is_whole() || *self == Self::Float
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(..))
    }

    /// What an element is.
    pub(super) fn element(&self) -> Self {
        match self {
            Self::List(_, element) => (**element).clone(),
            _ => Self::Unknown,
        }
    }

    /// Go's kind, to see whether the elements of a literal are alike.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Unknown | Self::Nil => 0,
            Self::Bool => 1,
            Self::Int => 2,
            Self::Int64 | Self::Span => 3,
            Self::Float => 4,
            Self::Text => 5,
            Self::List(..) => 6,
            Self::Map(_) => 7,
            Self::Time => 8,
            Self::Function(_) | Self::Closure(_) => 9,
        }
    }

    /// Whether Go would assign it to a variable of the other type.
    pub(super) fn assignable_to(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::List(..) | Self::Map(_)) => true,
            (Self::Unknown | Self::Nil, _) | (_, Self::Unknown | Self::Nil) => false,
            (Self::List(one, _), Self::List(other, _)) => one == other,
            (one, other) => one == other,
        }
    }

    pub(super) fn comparable_to(&self, other: &Self) -> bool {
        let nil = |nature: &Self| matches!(nature, Self::Unknown | Self::Nil);
        nil(self)
            || nil(other)
            || (self.is_number() && other.is_number())
            || (self.is_list() && other.is_list())
            || self.assignable_to(other)
    }

    /// One is unknown, and the other unknown too or one of these.
    pub(super) fn may_meet(&self, other: &Self, any: fn(&Self) -> bool) -> bool {
        match (self.is_unknown(), other.is_unknown()) {
            (true, true) => true,
            (true, false) => any(other),
            (false, true) => any(self),
            (false, false) => false,
        }
    }

    /// Go's name of it, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown | Self::Nil => "unknown",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::Text => "string",
            Self::List(Of::Any, _) => "[]interface {}",
            Self::List(Of::Float, _) => "[]float64",
            Self::List(Of::Int, _) => "[]int",
            Self::List(Of::Text, _) => "[]string",
            Self::Map(true) => "map[string]interface {}",
            Self::Map(false) => "map[interface {}]interface {}",
            Self::Time => "time.Time",
            Self::Span => "time.Duration",
            Self::Function(_) | Self::Closure(_) => "func",
        }
    }
}
