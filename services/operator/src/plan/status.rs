//! The status of an object: what `kubectl get`, Argo CD's health check and people read. Pure.

use auspex_proto::wire;
use serde_json::{Value, json};

use super::intake::Wanted;

/// The phase of an object that cannot be begun.
pub const REFUSED: &str = "Refused";
/// The phase of an object that could not be begun yet.
pub const PENDING: &str = "Pending";
/// Longest text that is written.
const LONGEST: usize = 1_024;
/// What moves without a word changing.
const NUMBERS: [&str; 5] = ["message", "probability", "sla", "conditions", "warnings"];

/// The status of an object whose rollout control knows.
#[must_use]
pub fn of(object: &Value, wanted: &Wanted, view: Option<&wire::RolloutView>, stamp: &str) -> Value {
    let Some(view) = view else {
        return object.get("status").cloned().unwrap_or_default();
    };
    let last = view.last.clone().unwrap_or_default();
    let phase = phase(view, &last);
    let reason = reason(&last);
    let drift = view.routers.iter().find(|router| !router.drift.is_empty());
    let mut status = json!({
        "observedGeneration": wanted.generation,
        "rollout": wanted.rollout,
        "project": wanted.project,
        "phase": phase,
        "mode": mode(view),
        "weight": view.weight,
        "verified": view.verified,
        "reason": reason,
        "message": cut(&last.reason_text),
        "probability": (view.posterior * 1_000.0).round() / 1_000.0,
        "sla": sla(view),
    });
    lists(&mut status, view);
    set(&mut status, "startedAt", time(view.started_ms));
    set(&mut status, "endedAt", time(view.ended_ms));
    for kept in ["asked", "askRefused"] {
        set(
            &mut status,
            kept,
            object.pointer(&format!("/status/{kept}")).cloned(),
        );
    }
    let told = Told {
        phase,
        reason: &reason,
        message: &last.reason_text,
        drift: drift.map(|router| router.drift.as_str()),
    };
    set(&mut status, "conditions", Some(conditions(object, &told, stamp)));
    status
}

/// What is there only at times.
fn lists(status: &mut Value, view: &wire::RolloutView) {
    let told = |of: fn(&wire::RouterView) -> &str| {
        let all = view.routers.iter().filter(|router| !of(router).is_empty());
        all.map(|router| format!("{}: {}", router.router, of(router)))
            .collect::<Vec<_>>()
    };
    for (field, texts) in [
        ("drift", told(|router| &router.drift)),
        ("fault", told(|router| &router.fault)),
    ] {
        set(
            status,
            field,
            (!texts.is_empty()).then(|| json!(cut(&texts.join("; ")))),
        );
    }
    let waits = view.gates.iter().filter(|gate| gate.state == "waiting");
    let waits: Vec<&str> = waits.map(|gate| gate.name.as_str()).collect();
    set(status, "waitingFor", (!waits.is_empty()).then(|| json!(waits)));
    let warnings: Vec<String> = view.warnings.iter().map(|warning| cut(warning)).collect();
    set(
        status,
        "warnings",
        (!warnings.is_empty()).then(|| json!(warnings)),
    );
}

/// The status of an object that cannot be begun.
#[must_use]
pub fn refused(object: &Value, problem: &str, stamp: &str) -> Value {
    let told = Told {
        phase: REFUSED,
        reason: REFUSED,
        message: problem,
        drift: None,
    };
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    json!({
        "observedGeneration": generation,
        "phase": REFUSED,
        "reason": REFUSED,
        "message": cut(problem),
        "conditions": conditions(object, &told, stamp),
    })
}

/// The status of an object that could not be begun yet: it is tried again. It does not count as begun.
#[must_use]
pub fn pending(object: &Value, why: &str, stamp: &str) -> Value {
    let mut status = refused(object, why, stamp);
    let begun = object.pointer("/status/observedGeneration").cloned();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("observedGeneration");
        fields.insert("phase".to_owned(), json!(PENDING));
        fields.insert("reason".to_owned(), json!("ControlIsAway"));
    }
    set(&mut status, "observedGeneration", begun);
    let told = Told {
        phase: PENDING,
        reason: "ControlIsAway",
        message: why,
        drift: None,
    };
    set(&mut status, "conditions", Some(conditions(object, &told, stamp)));
    status
}

/// Whether nothing follows.
#[must_use]
pub fn is_over(view: &wire::RolloutView) -> bool {
    matches!(view.phase(), wire::Phase::Promoted | wire::Phase::RolledBack)
}

/// Notes what an annotation asked for, and why it was refused; empty when it was not.
pub fn note_ask(status: &mut Value, ask: &str, refused: &str) {
    set(status, "asked", Some(json!(ask)));
    set(
        status,
        "askRefused",
        (!refused.is_empty()).then(|| json!(cut(refused))),
    );
}

/// The words of a status: what is written at once when it changes.
#[must_use]
pub fn words(status: &Value) -> Value {
    let mut words = status.clone();
    if let Some(fields) = words.as_object_mut() {
        let sla = fields.get("sla").and_then(|sla| sla.get("state")).cloned();
        for number in NUMBERS {
            fields.remove(number);
        }
        fields.insert("sla".to_owned(), sla.unwrap_or_default());
    }
    words
}

struct Told<'a> {
    phase: &'a str,
    reason: &'a str,
    message: &'a str,
    drift: Option<&'a str>,
}

/// Conditions that tools know (kstatus): `Ready`, `Reconciling`, `Stalled`; and `Drifted`.
fn conditions(object: &Value, told: &Told<'_>, stamp: &str) -> Value {
    let (ready, moving, stalled) = match told.phase {
        "Promoted" => ("True", "False", "False"),
        "RolledBack" | REFUSED => ("False", "False", "True"),
        "Paused" => ("False", "False", "False"),
        _ => ("False", "True", "False"),
    };
    let drifted = told.drift.map_or(("False", "AsDecided", ""), |text| {
        ("True", "ChangedByOthers", text)
    });
    let of = |kind: &str, status: &str, reason: &str, message: &str| {
        let last = object
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let same = last
            .filter(|last| {
                last.get("type").is_some_and(|k| k == kind) && last.get("status").is_some_and(|s| s == status)
            })
            .find_map(|last| last.get("lastTransitionTime").cloned());
        json!({
            "type": kind, "status": status, "reason": reason, "message": cut(message),
            "lastTransitionTime": same.unwrap_or_else(|| json!(stamp)),
        })
    };
    json!([
        of("Ready", ready, told.reason, told.message),
        of("Reconciling", moving, told.reason, ""),
        of("Stalled", stalled, told.reason, ""),
        of("Drifted", drifted.0, drifted.1, drifted.2),
    ])
}

fn phase(view: &wire::RolloutView, last: &wire::Decision) -> &'static str {
    match view.phase() {
        wire::Phase::Unspecified => "Unknown",
        wire::Phase::Waiting => "Waiting",
        wire::Phase::Progressing => "Progressing",
        wire::Phase::Paused => "Paused",
        wire::Phase::Promoted => "Promoted",
        wire::Phase::RolledBack => "RolledBack",
        // Held by hand, or by an analysis that could not tell.
        wire::Phase::Baking if last.action() == wire::Action::Pause => "Paused",
        wire::Phase::Baking => "Baking",
        wire::Phase::Returning => "Returning",
    }
}

fn mode(view: &wire::RolloutView) -> &'static str {
    match view.mode() {
        wire::Mode::Unspecified => "unknown",
        wire::Mode::Observe => "observe",
        wire::Mode::Gate => "gate",
        wire::Mode::Act => "act",
    }
}

/// The reason as one word, in the form that conditions want: `REASON_CODE_EVIDENCE_WORSE` is `EvidenceWorse`.
fn reason(last: &wire::Decision) -> String {
    let code = last.reason();
    if code == wire::ReasonCode::Unspecified {
        return "Unknown".to_owned();
    }
    let name = code.as_str_name().trim_start_matches("REASON_CODE_");
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        format!("{first}{}", rest.to_ascii_lowercase())
    });
    words.collect()
}

fn sla(view: &wire::RolloutView) -> Value {
    let Some(sla) = &view.sla else {
        return json!({ "state": "NotSet" });
    };
    let mut out = json!({
        "state": if sla.kept { "Kept" } else { "Broken" },
        "harmed": sla.harmed,
        "impactSeconds": sla.impact_seconds.round(),
        "budgetSpent": (sla.budget_spent * 10_000.0).round() / 10_000.0,
    });
    set(
        &mut out,
        "broken",
        (!sla.broken.is_empty()).then(|| json!(sla.broken)),
    );
    out
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
        fields.insert(field.to_owned(), value);
    }
}

fn time(ms: i64) -> Option<Value> {
    let time = jiff::Timestamp::from_second(ms / 1_000).ok().filter(|_| ms > 0)?;
    Some(json!(time.to_string()))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_contract_has_a_word() {
        let known = |code: i32| wire::ReasonCode::try_from(code).ok();
        for code in (1..500).filter_map(known) {
            let last = wire::Decision {
                reason: code.into(),
                ..wire::Decision::default()
            };
            assert_eq!(reason(&last), format!("{code:?}"));
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_letter() {
        let text = cut(&"\u{e9}".repeat(5_000));
        assert_eq!(text.chars().count(), LONGEST);
        assert_eq!(cut("short"), "short");
    }
}
