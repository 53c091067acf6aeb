//! Driving a run: measuring what is due, until it is over.

use std::time::Duration;

use auspex_argo::arguments::{self, Values};
use auspex_argo::document::Argument;
use auspex_argo::duration;
use auspex_argo::expr::Mode;
use auspex_argo::metric::Metric;
use auspex_argo::phase::Phase;
use auspex_argo::plan::Experiment;
use auspex_argo::run::{Measurement, Run};
use auspex_argo::template::Together;
use futures::StreamExt as _;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use serde_json::json;

use crate::provider::{Site, measure};

/// Measurements that ended together.
type Taken = Vec<(usize, Measurement)>;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Puts values into what is measured.
///
/// # Errors
/// An argument without a value, or a metric that is none any more.
pub fn with_values(mut whole: Together, values: &Values) -> Result<Together, String> {
    for metric in &mut whole.metrics {
        let resolved = arguments::resolve(&json!(metric), values)
            .map_err(|fault| format!("unable to resolve metric arguments: {fault}"))?;
        *metric = serde_json::from_value(resolved)
            .map_err(|fault| format!("unable to resolve metric arguments: {fault}"))?;
    }
    Ok(whole)
}

/// The values of arguments, and those of secrets apart: in the first, a secret stands as its own tag, so that what is kept of
/// a run holds none. Secrets and revisions are asked for.
///
/// # Errors
/// One has none.
pub fn values(
    args: &[Argument],
    secret: impl Fn(&str, &str) -> Option<String>,
    revision: impl Fn(&str) -> Option<String>,
) -> Result<(Values, Values), String> {
    let mut values = Values::new();
    let mut secrets = Values::new();
    for argument in args {
        let name = &argument.name;
        let from = argument.value_from.clone().unwrap_or_default();
        let value = if let Some(value) = &argument.value {
            value.clone()
        } else if let Some(key) = &from.secret_key_ref {
            let value = secret(&key.name, &key.key)
                .ok_or_else(|| format!("args.{name}: no secret {}/{} is given", key.name, key.key))?;
            secrets.insert(name.clone(), value);
            format!("{{{{args.{name}}}}}")
        } else if let Some(which) = &from.pod_template_hash_value {
            revision(which).ok_or_else(|| format!("args.{name}: the {which} revision is not known"))?
        } else {
            return Err(format!("args.{name} was not resolved"));
        };
        values.insert(name.clone(), value);
    }
    Ok((values, secrets))
}

/// Measures what is due and waits for what will be, until the run is over. What is dropped is cancelled, commands are killed.
pub async fn drive(run: &mut Run, mode: Mode, site: &Site, mut told: impl FnMut(&Run) + Send) {
    let mut under_way: FuturesUnordered<BoxFuture<'_, Taken>> = FuturesUnordered::new();
    while !run.phase.is_completed() {
        let now = now_ms();
        let (jobs, others): (Vec<usize>, Vec<usize>) = run.due(now).into_iter().partition(|at| {
            run.metrics
                .get(*at)
                .is_some_and(|metric| metric.provider.kind() == "job")
        });
        for batch in jobs.into_iter().map(|at| vec![at]).chain([others]) {
            if batch.is_empty() {
                continue;
            }
            let mut metrics = Vec::new();
            for at in batch {
                run.started(at, now);
                metrics.extend(run.metrics.get(at).map(|metric| (at, metric.clone())));
            }
            under_way.push(Box::pin(take(metrics, mode, site)));
        }
        let wait = run.next_ms().map(|next| next.saturating_sub(now_ms()).max(1));
        let sleep = async {
            match wait.and_then(|wait| u64::try_from(wait).ok()) {
                Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
                None => std::future::pending().await,
            }
        };
        if under_way.is_empty() && wait.is_none() {
            return;
        }
        tokio::select! {
            Some(taken) = under_way.next(), if !under_way.is_empty() => {
                run.finished_all(taken);
                told(run);
            }
            () = sleep => {}
        }
    }
}

async fn take(metrics: Vec<(usize, Metric)>, mode: Mode, site: &Site) -> Taken {
    let each = metrics
        .iter()
        .map(|(at, metric)| async move { (*at, measure(metric, mode, site).await) });
    join_all(each).await
}

/// Drives a run; an experiment lasts at least as long as it says, and when nothing in it is required, no longer.
pub async fn experiment(
    run: &mut Run,
    (mode, lasts): (Mode, Option<&Experiment>),
    site: &Site,
    told: &(dyn Fn(&Run) + Send + Sync),
) {
    let Some(lasts) = lasts else {
        return drive(run, mode, site, told).await;
    };
    let length = duration::parse(&lasts.duration).ok();
    let begun = run.started_ms;
    let left = length.map(|length| (begun.saturating_add(length / 1_000_000)).saturating_sub(now_ms()));
    let left = left.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or(0)));
    let nothing = run.metrics.is_empty();
    let end = async {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            // Until a person goes on.
            None => std::future::pending().await,
        }
    };
    if nothing {
        end.await;
        run.terminate = true;
        run.end();
        return;
    }
    tokio::pin!(end);
    tokio::select! {
        () = drive(run, mode, site, told) => {
            // What went wrong ends it at once; what went well waits for its time.
            if run.phase == Phase::Successful && left.is_some() {
                end.await;
            } else if run.phase == Phase::Successful && !lasts.required {
                std::future::pending::<()>().await;
            }
            return;
        }
        () = &mut end => {}
    }
    run.end();
}

#[cfg(test)]
mod tests {
    use auspex_argo::document::ValueFrom;
    use auspex_argo::document::kinds::SecretKey;

    use super::*;

    #[test]
    fn what_is_kept_of_a_run_holds_no_secret() {
        let key = SecretKey {
            name: "prometheus".to_owned(),
            key: "token".to_owned(),
        };
        let from = ValueFrom {
            secret_key_ref: Some(key),
            ..ValueFrom::default()
        };
        let args = [
            Argument {
                name: "token".to_owned(),
                value: None,
                value_from: Some(from),
            },
            Argument {
                name: "service".to_owned(),
                value: Some("shop".to_owned()),
                value_from: None,
            },
        ];
        let metric = json!({"name": "errors", "provider": {"prometheus": {
            "query": "errors{service=\"{{args.service}}\"}",
            "headers": [{"key": "Authorization", "value": "Bearer {{ args.token }}"}],
        }}});
        let whole = Together {
            metrics: vec![serde_json::from_value(metric).unwrap()],
            ..Together::default()
        };
        let secret = |_: &str, _: &str| Some("s3cret".to_owned());
        let (values, secrets) = values(&args, secret, |_| None).unwrap();
        let run = Run::begin(with_values(whole, &values).unwrap(), 0);
        let kept = json!(run).to_string();
        assert!(kept.contains("shop") && !kept.contains("s3cret"), "{kept}");
        assert_eq!(secrets.get("token").map(String::as_str), Some("s3cret"));
    }
}
