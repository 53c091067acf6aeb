//! What passed, as people and programs read it.

use auspex_proto::wire::{
    ArchivedFact, AuditEntry, ListSegmentsResponse, MetricSeries, RangeResponse, Track, VerifyResponse,
};
use auspex_proto::{Fact, subject};
use serde_json::{Value, json};

use crate::cli::{print, view};

fn row<const N: usize>(cells: [String; N]) -> Vec<String> {
    cells.to_vec()
}

fn head<const N: usize>(cells: [&str; N]) -> Vec<Vec<String>> {
    vec![cells.map(str::to_owned).to_vec()]
}

pub(super) fn segments(answer: &ListSegmentsResponse) -> String {
    let mut rows = head([
        "NUMBER",
        "FACTS",
        "SEQUENCES",
        "FROM",
        "UNTIL",
        "BYTES",
        "SHA-256",
    ]);
    rows.extend(answer.segments.iter().map(|s| {
        row([
            s.number.to_string(),
            s.facts.to_string(),
            format!("{}-{}", s.first_sequence, s.last_sequence),
            view::instant(s.first_time_ms),
            view::instant(s.last_time_ms),
            s.bytes.to_string(),
            s.sha256.get(..16).unwrap_or_default().to_owned(),
        ])
    }));
    let facts: u64 = answer.segments.iter().map(|s| s.facts).sum();
    format!(
        "{}{}, {} in {}; of the log {} not in a segment yet\n",
        print::table(&rows),
        print::count(answer.segments.len() as u64, "segment"),
        print::count(facts, "fact"),
        answer.location,
        match answer.waiting {
            1 => "1 fact is".to_owned(),
            waiting => format!("{waiting} facts are"),
        }
    )
}

pub(super) fn segments_document(answer: &ListSegmentsResponse) -> Value {
    let segments = answer.segments.iter().map(|s| {
        json!({
            "number": s.number, "name": s.name, "sha256": s.sha256, "bytes": s.bytes, "facts": s.facts,
            "first_sequence": s.first_sequence, "last_sequence": s.last_sequence, "first_time_ms": s.first_time_ms,
            "last_time_ms": s.last_time_ms, "log_created_ms": s.log_created_ms,
        })
    });
    json!({
        "location": answer.location, "waiting": answer.waiting, "segments": segments.collect::<Vec<_>>(),
    })
}

fn decoded(fact: &ArchivedFact) -> (String, String, Option<Fact>) {
    match subject::parse(&fact.subject) {
        Ok(address) => (
            address.kind.token().to_owned(),
            subject::untoken(&address.project).unwrap_or_default(),
            Fact::decode(address.kind, &fact.payload).ok(),
        ),
        Err(_) => ("other".to_owned(), String::new(), None),
    }
}

/// The name of a variant, without what is in it.
fn name(variant: &impl std::fmt::Debug) -> String {
    let text = format!("{variant:?}");
    let end = text.find([' ', '{', '(']).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_lowercase()
}

pub(super) fn fact(fact: &ArchivedFact) -> String {
    let (kind, _, decoded) = decoded(fact);
    let what = match &decoded {
        None => "cannot be read".to_owned(),
        Some(Fact::Event(event)) => event.body.kind().to_owned(),
        Some(Fact::Command(command)) => format!("{} by {}", name(&command.ask), command.actor),
        Some(Fact::Score(score)) => {
            let raw = score.recalibration.filter(|how| how.served).map(|how| how.raw);
            let raw = raw.map_or_else(String::new, |raw| format!(", which says {raw:.3} by itself"));
            format!("P(failure) {:.3} by {}{raw}", score.p_failure, score.model)
        }
        Some(Fact::Vector(vector)) => format!("{} features", vector.features.len()),
        Some(Fact::Alert(alert)) => alert.title.clone(),
        Some(Fact::Decision(decision)) => {
            format!(
                "{} to {} %: {}",
                name(&decision.action),
                decision.weight,
                decision.reason_text
            )
        }
        Some(Fact::Observations(batch)) => format!("{} measurements", batch.observations.len()),
        Some(fact) => fact.meta().id.to_string(),
    };
    let when = view::instant(fact.time_ms);
    format!("{:>8}  {when}  {kind:<11}  {what}", fact.sequence)
}

pub(super) fn fact_document(fact: &ArchivedFact) -> Value {
    let (kind, project, decoded) = decoded(fact);
    let headers: serde_json::Map<String, Value> = fact
        .headers
        .iter()
        .map(|header| (header.name.clone(), header.value.clone().into()))
        .collect();
    let id = decoded.as_ref().map(|fact| fact.meta().id.to_string());
    // The fact without the name of its kind around it: that stands beside it.
    let body = decoded.and_then(|fact| match serde_json::to_value(fact) {
        Ok(Value::Object(map)) => map.into_values().next(),
        other => other.ok(),
    });
    json!({
        "sequence": fact.sequence, "time_ms": fact.time_ms, "log_created_ms": fact.log_created_ms, "kind": kind,
        "project": project, "id": id, "subject": fact.subject, "headers": headers, "fact": body,
    })
}

fn track(track: i32) -> Option<&'static str> {
    match Track::try_from(track) {
        Ok(Track::Stable) => Some("stable"),
        Ok(Track::Candidate) => Some("candidate"),
        _ => None,
    }
}

pub(super) fn range(answer: &RangeResponse) -> String {
    if answer.series.is_empty() {
        return "nothing was measured\n".to_owned();
    }
    let number = |n: Option<f64>| n.map_or("-".to_owned(), |n| format!("{n:.4}"));
    let count = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let mut out = String::new();
    for series in &answer.series {
        let region = if series.region.is_empty() {
            "-"
        } else {
            &series.region
        };
        out.push_str(&format!(
            "{} of {} {}, track {}, region {region}, every {} s\n",
            series.metric,
            series.project,
            series.service,
            track(series.track).unwrap_or("none"),
            answer.step_ms as f64 / 1_000.0,
        ));
        let mut rows = head([
            "FROM", "VALUE", "BAD", "TOTAL", "MIN", "MAX", "P50", "P95", "P99", "POINTS",
        ]);
        rows.extend(series.windows.iter().map(|w| {
            row([
                view::instant(w.start_ms),
                number(w.value),
                count(w.bad),
                count(w.total),
                number(w.min),
                number(w.max),
                number(w.p50),
                number(w.p95),
                number(w.p99),
                w.points.to_string(),
            ])
        }));
        out.push_str(&print::table(&rows));
    }
    out
}

pub(super) fn range_document(answer: &RangeResponse) -> Value {
    let series = answer.series.iter().map(|s: &MetricSeries| {
        let windows = s.windows.iter().map(|w| {
            json!({
                "start_ms": w.start_ms, "points": w.points, "value": w.value, "bad": w.bad, "total": w.total,
                "min": w.min, "max": w.max, "p50": w.p50, "p95": w.p95, "p99": w.p99,
            })
        });
        json!({
            "metric": s.metric, "project": s.project, "service": s.service, "track": track(s.track),
            "region": s.region, "windows": windows.collect::<Vec<_>>(),
        })
    });
    json!({ "step_ms": answer.step_ms, "series": series.collect::<Vec<_>>() })
}

pub(super) fn audit(entries: &[AuditEntry]) -> String {
    if entries.is_empty() {
        return "nobody asked, and nothing was decided\n".to_owned();
    }
    let mut rows = head([
        "WHEN", "PROJECT", "ROLLOUT", "WHO", "WHAT", "WEIGHT", "MODEL", "POLICY", "WHY",
    ]);
    rows.extend(entries.iter().map(|e| {
        let weight = if e.decided {
            format!("{} %", e.weight)
        } else {
            String::new()
        };
        row([
            view::instant(e.time_ms),
            e.project.clone(),
            e.rollout.clone(),
            e.actor.clone(),
            e.what.clone(),
            weight,
            e.model.clone(),
            e.policy.clone(),
            e.note.clone(),
        ])
    }));
    print::table(&rows)
}

pub(super) fn audit_document(entries: &[AuditEntry]) -> Value {
    let document = |e: &AuditEntry| {
        let common = json!({
            "sequence": e.sequence, "time_ms": e.time_ms, "project": e.project, "rollout": e.rollout,
            "what": e.what, "actor": e.actor, "note": e.note, "decided": e.decided,
        });
        let more = match e.decided {
            false if e.model.is_empty() => json!({}),
            false => json!({ "model": e.model, "features": e.features, "alias": e.reason }),
            true => json!({
                "service": e.service, "reason": e.reason, "model": e.model, "policy": e.policy,
                "features": e.features, "weight": e.weight, "p_failure": e.p_failure, "score_id": e.score_id,
                "acts": e.acts,
            }),
        };
        match (common, more) {
            (Value::Object(mut all), Value::Object(more)) => {
                all.extend(more);
                Value::Object(all)
            }
            (common, _) => common,
        }
    };
    Value::from(entries.iter().map(document).collect::<Vec<_>>())
}

pub(super) fn status(answer: &VerifyResponse) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    match answer.checked_ms {
        0 => line("archive  not read yet since the start (`auspex history status --now`)".to_owned()),
        at => line(format!(
            "archive  {} at {}: {} segments, {} facts",
            if answer.sound { "whole" } else { "DAMAGED" },
            view::instant(at),
            answer.segments,
            answer.facts
        )),
    }
    for fault in &answer.faults {
        line(format!(
            "         {} is {}: {}",
            fault.name, fault.fault, fault.detail
        ));
    }
    answer.gaps.iter().for_each(|gap| line(format!("         {gap}")));
    line(format!(
        "waiting  {} facts on the log are not in a segment yet",
        answer.waiting
    ));
    if !answer.archive_fault.is_empty() {
        let oldest = match answer.oldest_waiting_ms {
            0 => String::new(),
            at => format!(", the oldest of {}", view::instant(at)),
        };
        line(format!(
            "         the archive is away{oldest}: {}",
            answer.archive_fault
        ));
    }
    let metrics = answer.metrics.clone().unwrap_or_default();
    line(format!(
        "metrics  {}: {} points written, {} refused, {} bytes wait on disk",
        metrics.database, metrics.written, metrics.refused, metrics.spooled_bytes
    ));
    if metrics.away_since_ms > 0 {
        line(format!(
            "         away since {}: {}",
            view::instant(metrics.away_since_ms),
            metrics.last_fault
        ));
    }
    out
}

pub(super) fn status_document(answer: &VerifyResponse) -> Value {
    let metrics = answer.metrics.clone().unwrap_or_default();
    let faults = answer
        .faults
        .iter()
        .map(|f| json!({ "segment": f.segment, "name": f.name, "fault": f.fault, "detail": f.detail }));
    json!({
        "sound": answer.sound, "checked_ms": answer.checked_ms, "segments": answer.segments, "facts": answer.facts,
        "first_sequence": answer.first_sequence, "last_sequence": answer.last_sequence, "head": answer.head,
        "faults": faults.collect::<Vec<_>>(), "gaps": answer.gaps, "waiting": answer.waiting,
        "oldest_waiting_ms": answer.oldest_waiting_ms, "archive_fault": answer.archive_fault,
        "metrics": {
            "database": metrics.database, "written": metrics.written, "refused": metrics.refused,
            "spooled_bytes": metrics.spooled_bytes, "away_since_ms": metrics.away_since_ms,
            "last_fault": metrics.last_fault,
        },
    })
}
