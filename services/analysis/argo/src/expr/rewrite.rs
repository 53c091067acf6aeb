//! What expr-lang's optimizer changes that can be seen: what is not evaluated cannot fail.

use super::tree::{Builtin, Node};

/// Rewrites a checked tree.
pub(super) fn rewrite(tree: &mut Node) {
    walk(tree, fold);
    for pass in [
        filter_map,
        filter_len,
        filter_last,
        filter_first,
        combine,
        sum_array,
        sum_map,
        count_any,
        count_enough,
    ] {
        walk(tree, pass);
    }
}

/// Children first, then the node.
fn walk(node: &mut Node, change: fn(&mut Node)) {
    for child in node.children() {
        walk(child, change);
    }
    change(node);
}

/// Constants: `x and false` is false whatever x is.
fn fold(node: &mut Node) {
    let folded = match node {
        Node::Unary(operator, operand) => match (operator.as_str(), &mut **operand) {
            ("-", Node::Int(value)) => Some(Node::Int(value.wrapping_neg())),
            ("-", Node::Float(value)) => Some(Node::Float(-*value)),
            ("+", Node::Int(value)) => Some(Node::Int(*value)),
            ("+", Node::Float(value)) => Some(Node::Float(*value)),
            ("!" | "not", Node::Bool(value)) => Some(Node::Bool(!*value)),
            _ => None,
        },
        Node::Binary(operator, left, right) => {
            let logic = match operator.as_str() {
                "and" | "&&" => Some(true),
                "or" | "||" => Some(false),
                _ => None,
            };
            let take = |node: &mut Node| Some(std::mem::replace(node, Node::Nil));
            match (logic, &mut **left, &mut **right) {
                (Some(neutral), Node::Bool(value), other) if *value == neutral => take(other),
                (Some(neutral), other, Node::Bool(value)) if *value == neutral => take(other),
                (Some(neutral), Node::Bool(_), _) | (Some(neutral), _, Node::Bool(_)) => {
                    Some(Node::Bool(!neutral))
                }
                (None, left, right) => constant(operator, left, right),
                _ => None,
            }
        }
        _ => None,
    };
    if let Some(folded) = folded {
        *node = folded;
    }
}

fn constant(operator: &str, left: &Node, right: &Node) -> Option<Node> {
    match (operator, left, right) {
        ("==", Node::Int(x), Node::Int(y)) => Some(Node::Bool(x == y)),
        ("==", Node::Text(x), Node::Text(y)) => Some(Node::Bool(x == y)),
        ("==", Node::Bool(x), Node::Bool(y)) => Some(Node::Bool(x == y)),
        ("+", Node::Int(x), Node::Int(y)) => Some(Node::Int(x.wrapping_add(*y))),
        ("-", Node::Int(x), Node::Int(y)) => Some(Node::Int(x.wrapping_sub(*y))),
        ("*", Node::Int(x), Node::Int(y)) => Some(Node::Int(x.wrapping_mul(*y))),
        ("%", Node::Int(x), Node::Int(y)) if *y != 0 => Some(Node::Int(x.wrapping_rem(*y))),
        ("+", Node::Text(x), Node::Text(y)) => Some(Node::Text(format!("{x}{y}"))),
        _ => None,
    }
}

fn called<'n>(node: &'n mut Node, name: &str, arguments: usize) -> Option<&'n mut Builtin> {
    match node {
        Node::Builtin(call) if call.name == name && call.arguments.len() == arguments => Some(call),
        _ => None,
    }
}

fn speaks_of_index(node: &mut Node) -> bool {
    *node == Node::Pointer("index".to_owned()) || node.children().into_iter().any(speaks_of_index)
}

/// `map(filter(a, p), f)`: f on each element as it passes.
fn filter_map(node: &mut Node) {
    let Some(call) = called(node, "map", 2) else {
        return;
    };
    let [base, Node::Predicate(body)] = call.arguments.as_mut_slice() else {
        return;
    };
    if speaks_of_index(body) {
        return;
    }
    let Some(filter) = called(base, "filter", 2).filter(|filter| filter.mapped.is_none()) else {
        return;
    };
    filter.mapped = Some(Box::new(std::mem::replace(&mut **body, Node::Nil)));
    let filter = std::mem::take(filter);
    *node = Node::Builtin(filter);
}

/// `len(filter(a, p))` counts.
fn filter_len(node: &mut Node) {
    let inner = called(node, "len", 1).and_then(|call| call.arguments.first_mut());
    if let Some(filter) = inner.and_then(|inner| called(inner, "filter", 2)) {
        let arguments = std::mem::take(&mut filter.arguments);
        *node = Node::Builtin(Builtin::new("count", arguments));
    }
}

fn found(filter: &mut Builtin, name: &str, throws: bool) -> Node {
    let mut find = std::mem::take(filter);
    name.clone_into(&mut find.name);
    find.throws = throws;
    Node::Builtin(find)
}

fn one_of_filter(node: &mut Node, (at, function, finds): (i64, &str, &str)) {
    let replaced = match &mut *node {
        Node::Member(member) if !member.optional && member.property == Node::Int(at) => {
            called(&mut member.base, "filter", 2).map(|filter| found(filter, finds, true))
        }
        node => called(node, function, 1)
            .and_then(|call| call.arguments.first_mut())
            .and_then(|inner| called(inner, "filter", 2))
            .map(|filter| found(filter, finds, false)),
    };
    if let Some(replaced) = replaced {
        *node = replaced;
    }
}

/// `filter(a, p)[0]` looks for one.
fn filter_first(node: &mut Node) {
    one_of_filter(node, (0, "first", "find"));
}

fn filter_last(node: &mut Node) {
    one_of_filter(node, (-1, "last", "findLast"));
}

/// `all(a, p) && all(a, q)` is one walk.
fn combine(node: &mut Node) {
    let Node::Binary(operator, left, right) = node else {
        return;
    };
    let (Node::Builtin(one), Node::Builtin(other)) = (&mut **left, &mut **right) else {
        return;
    };
    let joined = match (one.name.as_str(), operator.as_str()) {
        ("all", "and" | "&&") => "&&",
        ("any", "or" | "||") | ("none", "and" | "&&") => "||",
        _ => return,
    };
    if one.name != other.name || one.arguments.first() != other.arguments.first() {
        return;
    }
    let (Some(Node::Predicate(p)), Some(Node::Predicate(q))) =
        (one.arguments.get_mut(1), other.arguments.get_mut(1))
    else {
        return;
    };
    let take = |node: &mut Node| Box::new(std::mem::replace(node, Node::Nil));
    let mut body = Node::Binary(joined.to_owned(), take(p), take(q));
    combine(&mut body);
    **p = body;
    *node = Node::Builtin(std::mem::take(one));
}

/// `sum([a, b, c])` is `a + (b + c)`.
fn sum_array(node: &mut Node) {
    let Some(call) = called(node, "sum", 1) else {
        return;
    };
    let Some(Node::Array(nodes)) = call.arguments.first_mut() else {
        return;
    };
    let literal = |node: &Node| {
        matches!(
            node,
            Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::Bool(_)
        )
    };
    // The depth of a sum is bounded; a list of constants has been folded to one before.
    if nodes.len() < 2 || nodes.len() > 64 || nodes.iter().all(literal) {
        return;
    }
    let plus = |right: Node, left: Node| Node::Binary("+".to_owned(), Box::new(left), Box::new(right));
    if let Some(sum) = std::mem::take(nodes).into_iter().rev().reduce(plus) {
        *node = sum;
    }
}

fn sum_map(node: &mut Node) {
    let Some(call) = called(node, "sum", 1) else {
        return;
    };
    let inner = call.arguments.first_mut();
    if let Some(map) = inner.and_then(|inner| called(inner, "map", 2)) {
        let arguments = std::mem::take(&mut map.arguments);
        call.arguments = arguments;
    }
}

fn counted(node: &mut Node) -> Option<(&str, &mut Builtin, i64)> {
    let Node::Binary(operator, left, right) = node else {
        return None;
    };
    let Node::Int(value) = **right else {
        return None;
    };
    Some((operator, called(left, "count", 2)?, value))
}

/// `count(a, p) > 0` stops at the first.
fn count_any(node: &mut Node) {
    let any = match counted(node) {
        Some((">", count, 0) | (">=", count, 1)) => Some(std::mem::take(&mut count.arguments)),
        _ => None,
    };
    if let Some(arguments) = any {
        *node = Node::Builtin(Builtin::new("any", arguments));
    }
}

/// Other comparisons stop when the answer is known.
fn count_enough(node: &mut Node) {
    let Some((operator, count, value)) = counted(node).filter(|(_, _, value)| *value >= 0) else {
        return;
    };
    let enough = match operator {
        ">" | "<=" => value.saturating_add(1),
        ">=" | "<" => value,
        _ => return,
    };
    count.enough = Some(enough).filter(|enough| *enough > 1);
}
