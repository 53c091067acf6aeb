//! Auspex's own answers: the judge over two `PromQL` queries, and the score of the change.

use std::collections::BTreeMap;

use auspex_argo::duration;
use auspex_argo::expr::{Key, Value};
use auspex_argo::phase::Phase;
use auspex_argo::provider::{Auspex, Judge, Prometheus, RangeQuery};
use auspex_judge::rows::{Row, Sample, Track};
use auspex_judge::{Direction, Levels, Looks, Options, Verdict, report};
use futures::future::BoxFuture;
use serde_json::Value as Json;

use super::{Found, Provider, Site, prometheus};

/// How far back the judge looks when a metric does not say.
const WINDOW: &str = "5m";
/// Between two points when it does not say.
const STEP: &str = "10s";

pub(super) struct Own(pub Auspex);

impl Provider for Own {
    fn measure<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Found, String>> {
        Box::pin(async move {
            match (&self.0.judge, &self.0.score) {
                (Some(judge), None) => judged(judge, site).await,
                (None, Some(_)) => match site.score {
                    Some(p_failure) => Ok(Found {
                        value: Value::Float(p_failure),
                        shown: format!("{p_failure}"),
                        ..Found::default()
                    }),
                    None => Ok(Found {
                        phase: Some(Phase::NoData),
                        note: "there is no score of it".to_owned(),
                        ..Found::default()
                    }),
                },
                _ => Err("auspex: wants exactly one of judge and score".to_owned()),
            }
        })
    }
}

/// Values by time in milliseconds.
type Series = BTreeMap<i64, f64>;

fn or<'t>(text: &'t str, otherwise: &'t str) -> &'t str {
    if text.is_empty() { otherwise } else { text }
}

async fn series(judge: &Judge, query: &str, site: &Site) -> Result<Series, String> {
    let window = or(&judge.window, WINDOW);
    duration::parse(window).map_err(|fault| format!("auspex.judge.window: {fault}"))?;
    let document = Prometheus {
        address: judge.address.clone(),
        query: query.to_owned(),
        range_query: Some(RangeQuery {
            start: format!("now() - duration(\"{window}\")"),
            end: "now()".to_owned(),
            step: or(&judge.step, STEP).to_owned(),
        }),
        ..Prometheus::default()
    };
    let data = prometheus::ask(&document, site).await?;
    Ok(by_time(&data))
}

/// The mean over the series at each time: one value per instance is no more evidence than one.
#[allow(
    clippy::cast_possible_truncation,
    reason = "milliseconds of this age fit, and are rounded"
)]
fn by_time(data: &Json) -> Series {
    let list = data.get("result").and_then(Json::as_array).into_iter().flatten();
    let mut sums: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for pair in list.flat_map(|series| {
        series
            .get("values")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
    }) {
        let time = pair.get(0).and_then(Json::as_f64);
        let value = pair
            .get(1)
            .and_then(Json::as_str)
            .and_then(|text| text.parse::<f64>().ok());
        if let (Some(time), Some(value)) = (time, value.filter(|value| value.is_finite())) {
            let sum = sums.entry((time * 1_000.0).round() as i64).or_default();
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
    }
    sums.into_iter()
        .map(|(time, (sum, count))| (time, sum / count))
        .collect()
}

async fn judged(judge: &Judge, site: &Site) -> Result<Found, String> {
    let mut rows = Vec::new();
    let counted = !judge.candidate_total.is_empty() && !judge.baseline_total.is_empty();
    let direction = match judge.direction.as_str() {
        "" | "increase" => Direction::Increase,
        "decrease" => Direction::Decrease,
        "either" => Direction::Either,
        other => {
            return Err(format!(
                "auspex.judge.direction: `{other}` is none of increase, decrease and either"
            ));
        }
    };
    for (track, query, total) in [
        (Track::Candidate, &judge.candidate, &judge.candidate_total),
        (Track::Baseline, &judge.baseline, &judge.baseline_total),
    ] {
        let values = series(judge, query, site).await?;
        let totals = if counted {
            Some(series(judge, total, site).await?)
        } else {
            None
        };
        for (time, value) in values {
            let sample = match &totals {
                None => Sample::Value(value),
                Some(totals) => match totals.get(&time) {
                    Some(total) => counts(value, *total),
                    None => continue,
                },
            };
            rows.push(Row {
                time: millis(time),
                track: Some(track),
                metric: "metric".to_owned(),
                sample,
                direction: Some(direction),
                weight: None,
                critical: true,
            });
        }
    }
    rows.sort_by(|a, b| a.time.total_cmp(&b.time));
    verdict(judge, &rows)
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of this age fit")]
fn millis(time: i64) -> f64 {
    time as f64 / 1_000.0
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and not below 0"
)]
fn counts(bad: f64, total: f64) -> Sample {
    let total = total.max(0.0).round() as u64;
    Sample::Counts {
        bad: (bad.max(0.0).round() as u64).min(total),
        total,
    }
}

fn verdict(judge: &Judge, rows: &[Row]) -> Result<Found, String> {
    let nothing = || Found {
        phase: Some(Phase::NoData),
        note: "there is nothing to compare: one of the queries gave nothing".to_owned(),
        ..Found::default()
    };
    let of = |track: Track| rows.iter().any(|row| row.track == Some(track));
    if !of(Track::Candidate) || !of(Track::Baseline) {
        return Ok(nothing());
    }
    let options = Options {
        levels: Levels {
            alpha: judge.alpha.unwrap_or_else(|| Levels::default().alpha),
            ..Levels::default()
        },
        margin: judge.margin.unwrap_or(1.25),
        looks: Looks::End,
        ..Options::default()
    };
    let looks = report::run(rows, &options).map_err(|fault| format!("auspex.judge: {fault}"))?;
    let Some(look) = looks.last() else {
        return Ok(nothing());
    };
    let (phase, word) = match look.verdict {
        Verdict::NoWorse => (Phase::Successful, "no_worse"),
        Verdict::Worse => (Phase::Failed, "worse"),
        Verdict::Undecided => (Phase::Inconclusive, "undecided"),
        Verdict::NoEvidence => (Phase::NoData, "no_evidence"),
    };
    let value = [
        ("verdict", Value::Text(word.to_owned())),
        ("posterior", Value::Float(look.posterior)),
        ("eWorse", Value::Float(look.e_worse)),
    ];
    Ok(Found {
        value: Value::Map(
            value
                .into_iter()
                .map(|(key, value)| (Key::Text(key.to_owned()), value))
                .collect(),
        ),
        shown: format!("{word}, P(bad) {:.3}", look.posterior),
        phase: Some(phase),
        note: String::new(),
    })
}
