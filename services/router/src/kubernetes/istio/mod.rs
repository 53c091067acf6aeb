//! Istio's `VirtualService`: what holds, and the smallest patch to what is to hold. Pure.
//!
//! Of the object only the weights of the named routes are touched, and routes of our own that stand right before them: those
//! of cohorts and of copies, known by their names. Each patch tests the name and the destinations of every route that it
//! builds on, so that the server refuses it when somebody has edited *these* meanwhile; edits elsewhere in the object,
//! even those that move our route up or down the list, are nobody's business but theirs.

mod own;

use auspex_cluster::Patch;
use serde_json::Value;

use super::split::{Destination, Held, Split, Unfit, Wish};
use crate::router::Shares;

/// What holds in a `VirtualService`, beside what is wished.
///
/// # Errors
/// [`Unfit`], naming the route and what is wrong with it.
pub fn read(object: &Value, split: &Split, wish: &Wish<'_>) -> Result<Held, Unfit> {
    let http = routes(object)?;
    let mut held = Held {
        beside: Some(true),
        ..Held::default()
    };
    for (number, at) in named(http, split)?.into_iter().enumerate() {
        let base = Base::read(http, at, split)?;
        if number == 0 {
            held.shares = Some(base.shares);
        } else if held.shares.and_then(Shares::weight) != base.shares.weight() {
            // Several routes are one split: they have to agree.
            held.note = format!("route {:?} has other weights than the first", base.name);
            held.shares = None;
        }
        if !own::order(http, &base, wish)?.is_done() {
            held.beside = Some(false);
        }
    }
    Ok(held)
}

/// The patch that brings about what is wished; empty when it holds.
///
/// # Errors
/// [`Unfit`], naming the route and what is wrong with it.
pub fn patch(object: &Value, split: &Split, wish: &Wish<'_>) -> Result<Patch, Unfit> {
    let http = routes(object)?;
    let mut bases = Vec::new();
    for at in named(http, split)? {
        bases.push(Base::read(http, at, split)?);
    }
    let mut patch = Patch::default();
    let mut orders = Vec::new();
    for base in &bases {
        base.test(&mut patch);
        base.weigh(&mut patch, wish.weight);
        orders.push(own::order(http, base, wish)?);
    }
    // While nothing comes or goes, every place is the one that was read; then the last go first, and come first.
    for order in &orders {
        order.replace(&mut patch, http);
    }
    let mut leaving: Vec<usize> = orders
        .iter()
        .flat_map(|order| order.remove.iter().copied())
        .collect();
    leaving.sort_unstable();
    for at in leaving.iter().rev() {
        let name = http.get(*at).map(name_of).unwrap_or_default();
        patch.test(format!("/spec/http/{at}/name"), name);
        patch.remove(format!("/spec/http/{at}"));
    }
    for (base, order) in bases.iter().zip(&orders).rev() {
        let place = base.at - leaving.iter().filter(|at| **at < base.at).count();
        for route in order.add.iter().rev() {
            patch.add(format!("/spec/http/{place}"), route.clone());
        }
    }
    Ok(patch)
}

/// A route that was there before us, and whose traffic is split.
pub(super) struct Base<'a> {
    /// Its place in the list.
    pub(super) at: usize,
    /// Its name; empty when the only route has none.
    pub(super) name: &'a str,
    /// It.
    pub(super) route: &'a Value,
    stable: usize,
    candidate: usize,
    shares: Shares,
}

impl<'a> Base<'a> {
    fn read(http: &'a [Value], at: usize, split: &Split) -> Result<Self, Unfit> {
        let route = http.get(at).ok_or_else(|| Unfit(format!("route {at} is gone")))?;
        let name = name_of(route);
        let list = route.get("route").and_then(Value::as_array);
        let list = list.ok_or_else(|| Unfit(format!("route {name:?} has no destinations")))?;
        let mut places = [None, None];
        for (i, entry) in list.iter().enumerate() {
            let side = [&split.stable, &split.candidate]
                .iter()
                .position(|wanted| is(entry, wanted, &split.namespace));
            let what = || shown(entry);
            match side.and_then(|side| places.get_mut(side)) {
                Some(place @ None) => *place = Some(i),
                Some(Some(_)) => return Err(Unfit(format!("route {name:?} lists {} twice", what()))),
                None if weight_of(entry, list.len()) > 0 => {
                    let text = format!(
                        "route {name:?} sends traffic to {}, which is neither version",
                        what()
                    );
                    return Err(Unfit(text));
                }
                None => {}
            }
        }
        let [Some(stable), Some(candidate)] = places else {
            let missing = if places[0].is_none() {
                &split.stable
            } else {
                &split.candidate
            };
            return Err(Unfit(format!("route {name:?} does not list {missing}")));
        };
        let share = |i: usize| list.get(i).map_or(0, |entry| weight_of(entry, list.len()));
        let shares = Shares {
            stable: share(stable),
            candidate: share(candidate),
        };
        Ok(Self {
            at,
            name,
            route,
            stable,
            candidate,
            shares,
        })
    }

    /// Where it stands.
    pub(super) fn path(&self) -> String {
        format!("/spec/http/{}", self.at)
    }

    /// One version's destination, alone.
    pub(super) fn only(&self, stable: bool) -> Value {
        let list = self.route.get("route").and_then(Value::as_array);
        let place = if stable { self.stable } else { self.candidate };
        let mut entry = list.and_then(|list| list.get(place)).cloned().unwrap_or_default();
        if let Some(fields) = entry.as_object_mut() {
            fields.remove("weight");
        }
        entry
    }

    /// The route is the one that was read: the same name, the same destinations and weights.
    fn test(&self, patch: &mut Patch) {
        let path = self.path();
        if !self.name.is_empty() {
            patch.test(format!("{path}/name"), self.name);
        }
        let list = self.route.get("route").cloned().unwrap_or_default();
        patch.test(format!("{path}/route"), list);
    }

    /// Sets both weights, where they differ. One patch is one write: there is no moment between.
    fn weigh(&self, patch: &mut Patch, weight: u8) {
        if self.shares.is(weight) {
            return;
        }
        let wanted = Shares::of(weight);
        let list = self.route.get("route").and_then(Value::as_array);
        for (at, share) in [(self.stable, wanted.stable), (self.candidate, wanted.candidate)] {
            let last = list
                .and_then(|list| list.get(at))
                .and_then(|entry| entry.get("weight"));
            let place = format!("{}/route/{at}/weight", self.path());
            match last {
                Some(last) if last.as_u64() == Some(share.into()) => {}
                Some(_) => patch.replace(place, share),
                None => patch.add(place, share),
            }
        }
    }

    /// The route's destinations with these weights.
    pub(super) fn weighed(&self, weight: u8) -> Value {
        let wanted = Shares::of(weight);
        let mut list = self.route.get("route").cloned().unwrap_or_default();
        for (at, share) in [(self.stable, wanted.stable), (self.candidate, wanted.candidate)] {
            if let Some(fields) = list.get_mut(at).and_then(Value::as_object_mut) {
                fields.insert("weight".to_owned(), share.into());
            }
        }
        list
    }
}

fn routes(object: &Value) -> Result<&[Value], Unfit> {
    let http = object.pointer("/spec/http").and_then(Value::as_array);
    http.map(Vec::as_slice)
        .ok_or_else(|| Unfit("it has no http routes".to_owned()))
}

/// The places of the routes to split: those named, or the only one there is.
fn named(http: &[Value], split: &Split) -> Result<Vec<usize>, Unfit> {
    let theirs = |route: &&(usize, &Value)| !own::is_own(name_of(route.1));
    let all: Vec<(usize, &Value)> = http.iter().enumerate().collect();
    if split.routes.is_empty() {
        let mut others = all.iter().filter(theirs);
        return match (others.next(), others.next()) {
            (Some((at, _)), None) => Ok(vec![*at]),
            (None, _) => Err(Unfit("it has no http routes".to_owned())),
            (Some(_), Some(_)) => Err(Unfit(
                "it has several http routes: name those to split".to_owned(),
            )),
        };
    }
    let mut places = Vec::new();
    for wanted in &split.routes {
        let mut found = all.iter().filter(|(_, route)| name_of(route) == wanted);
        match (found.next(), found.next()) {
            (Some((at, _)), None) => places.push(*at),
            (None, _) => return Err(Unfit(format!("it has no http route named {wanted:?}"))),
            (Some(_), Some(_)) => return Err(Unfit(format!("it has several http routes named {wanted:?}"))),
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

pub(super) fn name_of(route: &Value) -> &str {
    route.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn is(entry: &Value, wanted: &Destination, namespace: &str) -> bool {
    let field = |name: &str| {
        entry
            .pointer(&format!("/destination/{name}"))
            .and_then(Value::as_str)
    };
    let host = field("host").unwrap_or_default();
    wanted.is_host(host, namespace) && field("subset").unwrap_or_default() == wanted.subset
}

fn shown(entry: &Value) -> String {
    let field = |name: &str| {
        entry
            .pointer(&format!("/destination/{name}"))
            .and_then(Value::as_str)
    };
    let host = field("host").unwrap_or("an unnamed host");
    field("subset").map_or_else(|| host.to_owned(), |subset| format!("{host} ({subset})"))
}

/// An only destination gets everything; among several, one without a weight gets nothing.
fn weight_of(entry: &Value, among: usize) -> u32 {
    let told = entry.get("weight").and_then(Value::as_u64);
    let told = told.and_then(|weight| u32::try_from(weight).ok());
    match (told, among) {
        (None | Some(0), 1) => 100,
        (weight, _) => weight.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
