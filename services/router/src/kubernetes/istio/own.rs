//! Routes of our own in a `VirtualService`: of cohorts, and of copies. They stand right before the route that they belong
//! to, and are copies of it with one condition more, so that rewrites, timeouts and matches hold for them as for the rest.

use auspex_cluster::Patch;
use auspex_proto::intent::{By, Cohort, Match};
use serde_json::{Map, Value, json};

use super::{Base, name_of};
use crate::kubernetes::split::{Unfit, Wish};

const COHORT: &str = "auspex-cohort-";
const COPIES: &str = "auspex-copies-";
/// Only methods that change nothing are copied.
const HARMLESS: &str = "GET|HEAD|OPTIONS";

/// Whether a route of this name is ours.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with(COHORT) || name.starts_with(COPIES)
}

/// The places of our routes of a base, in order.
fn places(http: &[Value], base: &Base<'_>) -> Vec<usize> {
    let owned = |route: &Value| {
        let name = name_of(route);
        let of = |rest: &str| rest == base.name;
        name.strip_prefix(COPIES).is_some_and(of)
            || name
                .strip_prefix(COHORT)
                .and_then(|rest| rest.split_once('-'))
                .is_some_and(|(_, rest)| of(rest))
    };
    let all = http.iter().enumerate();
    all.filter(|(_, route)| owned(route)).map(|(at, _)| at).collect()
}

/// What becomes of our routes of one base.
pub(super) struct Order {
    /// Written anew where they stand.
    replace: Vec<(usize, Value)>,
    /// Taken away.
    pub(super) remove: Vec<usize>,
    /// Put right before the base, in this order.
    pub(super) add: Vec<Value>,
}

impl Order {
    /// Whether all of them are as wished.
    pub(super) fn is_done(&self) -> bool {
        self.replace.is_empty() && self.remove.is_empty() && self.add.is_empty()
    }

    /// The first part: nothing comes or goes.
    pub(super) fn replace(&self, patch: &mut Patch, http: &[Value]) {
        for (at, new) in &self.replace {
            let name = http.get(*at).map(name_of).unwrap_or_default();
            patch.test(format!("/spec/http/{at}/name"), name);
            patch.replace(format!("/spec/http/{at}"), new.clone());
        }
    }
}

/// How our routes of this base are put in order.
pub(super) fn order(http: &[Value], base: &Base<'_>, wish: &Wish<'_>) -> Result<Order, Unfit> {
    let mut wanted = Vec::new();
    for (number, cohort) in wish.cohorts.iter().enumerate() {
        wanted.push(of_cohort(base, number, cohort)?);
    }
    if wish.mirror > 0 {
        wanted.push(of_copies(base, wish)?);
    }
    let places = places(http, base);
    let before: Vec<usize> = (base.at.saturating_sub(wanted.len())..base.at).collect();
    if places != before {
        return Ok(Order {
            replace: Vec::new(),
            remove: places,
            add: wanted,
        });
    }
    // They stand where they should: only what differs is written.
    let differs = |(at, new): &(usize, Value)| http.get(*at) != Some(new);
    Ok(Order {
        replace: places.into_iter().zip(wanted).filter(differs).collect(),
        remove: Vec::new(),
        add: Vec::new(),
    })
}

fn of_cohort(base: &Base<'_>, number: usize, cohort: &Cohort) -> Result<Value, Unfit> {
    let (header, condition) = match &cohort.by {
        // A name alone asks whether the header is there.
        By::Header(Match { name, value }) if value.is_empty() => (name.to_lowercase(), json!({})),
        By::Header(Match { name, value }) => (name.to_lowercase(), json!({ "exact": value })),
        By::Cookie(Match { name, value }) => {
            let value = if value.is_empty() {
                "[^;]*".to_owned()
            } else {
                escaped(value)
            };
            // All cookies come in one header; a regular expression has to match it in whole.
            let pattern = format!("(.*; *)?{}={value}(;.*)?", escaped(name));
            ("cookie".to_owned(), json!({ "regex": pattern }))
        }
        By::User(_) => {
            return Err(Unfit(format!(
                "Istio cannot tell cohort {:?} by a hash",
                cohort.name
            )));
        }
    };
    let mut route = also(base, |one| {
        let headers = one.entry("headers").or_insert_with(|| json!({}));
        let headers = headers.as_object_mut()?;
        match headers.contains_key(&header) {
            true => None,
            false => headers
                .insert(header.clone(), condition.clone())
                .map_or(Some(()), |_| None),
        }
    })
    .ok_or_else(|| {
        Unfit(format!(
            "route {:?} already tells requests apart by the header {header:?}",
            base.name
        ))
    })?;
    route.insert(
        "name".to_owned(),
        json!(format!("{COHORT}{number}-{}", base.name)),
    );
    route.insert("route".to_owned(), json!([base.only(cohort.stable)]));
    Ok(Value::Object(route))
}

fn of_copies(base: &Base<'_>, wish: &Wish<'_>) -> Result<Value, Unfit> {
    let copied = ["mirror", "mirrors"]
        .iter()
        .any(|field| base.route.get(*field).is_some());
    if copied {
        return Err(Unfit(format!(
            "route {:?} already copies requests elsewhere",
            base.name
        )));
    }
    let mut route = also(base, |one| match one.get("method") {
        None => one
            .insert("method".to_owned(), json!({ "regex": HARMLESS }))
            .map_or(Some(()), |_| None),
        Some(method) => {
            let exact = method.get("exact").and_then(Value::as_str)?;
            HARMLESS
                .split('|')
                .any(|harmless| harmless == exact)
                .then_some(())
        }
    })
    .ok_or_else(|| {
        Unfit(format!(
            "route {:?} is for methods that cannot all be copied",
            base.name
        ))
    })?;
    route.insert("name".to_owned(), json!(format!("{COPIES}{}", base.name)));
    route.insert("route".to_owned(), base.weighed(wish.weight));
    let destination = base.only(false).get("destination").cloned().unwrap_or_default();
    route.insert("mirror".to_owned(), destination);
    route.insert("mirrorPercentage".to_owned(), json!({ "value": wish.mirror }));
    Ok(Value::Object(route))
}

/// The base route with one condition more in each of its matches; `None` when one of them cannot take it.
fn also(
    base: &Base<'_>,
    mut narrow: impl FnMut(&mut Map<String, Value>) -> Option<()>,
) -> Option<Map<String, Value>> {
    let mut route = base.route.as_object()?.clone();
    let matches = route
        .get("match")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut matches = if matches.is_empty() {
        vec![json!({})]
    } else {
        matches
    };
    for one in &mut matches {
        narrow(one.as_object_mut()?)?;
        // Two matches of one name would be one to whoever reads statistics.
        one.as_object_mut()?.remove("name");
    }
    route.insert("match".to_owned(), json!(matches));
    Some(route)
}

/// Text that a regular expression takes by its letters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c.is_ascii() && c != '_' && c != '-' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
