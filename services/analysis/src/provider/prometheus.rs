//! Prometheus: a query at a point in time or over a range.

use std::time::Duration;

use auspex_argo::duration;
use auspex_argo::expr::{Of, Value, moment, show_float};
use auspex_argo::provider::{Prometheus as Document, RangeQuery};
use futures::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde_json::Value as Json;

use super::http::{authenticated, body, client, form, headers, told};
use super::{Found, Provider, Site};

/// Seconds that a query may take when the metric does not say.
const TIMEOUT: i64 = 30;

pub(super) struct Prometheus(pub Document);

impl Provider for Prometheus {
    fn measure<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Found, String>> {
        Box::pin(async move {
            let answer = ask(&self.0, site).await?;
            found(&answer)
        })
    }
}

/// The instant as seconds with a fraction.
fn seconds(nanoseconds: i128) -> String {
    let millis = nanoseconds.div_euclid(1_000_000);
    format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000))
}

/// Names and values of a query.
type Parameters = Vec<(&'static str, String)>;

fn parameters(document: &Document, now_ms: i64) -> Result<(&'static str, Parameters), String> {
    let now = i128::from(now_ms) * 1_000_000;
    let query = ("query", document.query.clone());
    let Some(RangeQuery { start, end, step }) = &document.range_query else {
        return Ok(("query", vec![query, ("time", seconds(now))]));
    };
    let at = |what: &str, text: &str| {
        moment(text, now).map_err(|fault| format!("failed to parse rangeQuery.{what} as time: {fault}"))
    };
    let step = duration::parse(step)
        .map_err(|fault| format!("failed to parse rangeQuery.step as duration: {fault}"))?;
    let parameters = vec![
        query,
        ("start", seconds(at("start", start)?)),
        ("end", seconds(at("end", end)?)),
        ("step", seconds(i128::from(step))),
    ];
    Ok(("query_range", parameters))
}

/// The answer's `data`.
pub(super) async fn ask(document: &Document, site: &Site) -> Result<Json, String> {
    let address = if document.address.is_empty() {
        site.prometheus.as_str()
    } else {
        document.address.as_str()
    };
    if address.is_empty() {
        return Err("prometheus address is not configured".to_owned());
    }
    let address = url::Url::parse(address)
        .ok()
        .filter(url::Url::has_host)
        .ok_or("prometheus address is not is url format")?;
    let timeout = document.timeout.unwrap_or(TIMEOUT);
    let timeout = u64::try_from(timeout).map_err(|_| "prometheus timeout should not be negative")?;
    let client = client(Duration::from_secs(timeout), document.insecure)?;
    let (path, parameters) = parameters(document, site.now_ms)?;
    let endpoint = format!("{}/api/v1/{path}", address.as_str().trim_end_matches('/'));
    let (status, body) = send(&client, document, (&endpoint, &parameters)).await?;
    let json: Option<Json> = serde_json::from_slice(&body).ok();
    let text = |field: &str| {
        let text = json.as_ref().and_then(|json| json.get(field));
        text.and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    if text("status") == "success" {
        let data = json.as_ref().and_then(|json| json.get("data")).cloned();
        return Ok(data.unwrap_or_default());
    }
    let (kind, error) = (text("errorType"), text("error"));
    if !error.is_empty() {
        return Err(format!("{kind}: {error}"));
    }
    Err(if status.is_server_error() {
        format!("server_error: server error: {}", status.as_u16())
    } else if status.is_client_error() {
        format!("client_error: client error: {}", status.as_u16())
    } else {
        "bad_response: the answer is none of Prometheus".to_owned()
    })
}

/// Posts, as long queries need it; servers that want to be asked with GET are.
async fn send(
    client: &Client,
    document: &Document,
    (endpoint, parameters): (&str, &[(&'static str, String)]),
) -> Result<(StatusCode, Vec<u8>), String> {
    let form = form(parameters);
    let posted = client
        .post(endpoint)
        .headers(headers(&document.headers)?)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.clone());
    let posted = authenticated(client, posted, &document.authentication).await?;
    let mut answer = posted.send().await.map_err(told)?;
    if matches!(
        answer.status(),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    ) {
        let got = client
            .get(format!("{endpoint}?{form}"))
            .headers(headers(&document.headers)?);
        let got = authenticated(client, got, &document.authentication).await?;
        answer = got.send().await.map_err(told)?;
    }
    let status = answer.status();
    Ok((status, body(answer).await?))
}

/// A sample: its value is a text in JSON, because of NaN.
fn sample(pair: &Json) -> Result<f64, String> {
    let text = pair.get(1).and_then(Json::as_str);
    let text = text.ok_or("a sample without a value")?;
    text.trim_start_matches('+')
        .parse()
        .map_err(|_| format!("`{text}` is no sample's value"))
}

/// What Argo Rollouts makes of an answer: a scalar is a float, a vector and a range are lists of floats.
fn found(data: &Json) -> Result<Found, String> {
    let result = data.get("result").unwrap_or(&Json::Null);
    let kind = data.get("resultType").and_then(Json::as_str).unwrap_or_default();
    let list = || result.as_array().map(Vec::as_slice).unwrap_or_default();
    let values: Vec<f64> = match kind {
        "scalar" => {
            let value = sample(result)?;
            return Ok(Found {
                value: Value::Float(value),
                shown: plain(value),
                ..Found::default()
            });
        }
        "vector" => list()
            .iter()
            .map(|series| sample(series.get("value").unwrap_or(&Json::Null)))
            .collect::<Result<_, _>>()?,
        "matrix" => list()
            .iter()
            .flat_map(|series| {
                series
                    .get("values")
                    .and_then(Json::as_array)
                    .into_iter()
                    .flatten()
            })
            .map(sample)
            .collect::<Result<_, _>>()?,
        _ => return Err("Prometheus metric type not supported".to_owned()),
    };
    let shown: Vec<String> = values.iter().copied().map(plain).collect();
    Ok(Found {
        value: Value::List(Of::Float, values.into_iter().map(Value::Float).collect()),
        shown: format!("[{}]", shown.join(",")),
        ..Found::default()
    })
}

/// Prometheus writes values without exponents.
fn plain(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        show_float(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_have_argos_types() {
        let of = |kind: &str, result: Json| found(&json!({"resultType": kind, "result": result}));
        let floats = |values: &[f64]| Value::floats(values);
        assert_eq!(
            of("scalar", json!([1.0, "0.5"])).unwrap().value,
            Value::Float(0.5)
        );
        let vector = json!([{"metric": {}, "value": [1.0, "0.5"]}, {"metric": {}, "value": [1.0, "+Inf"]}]);
        let found = of("vector", vector).unwrap();
        assert_eq!(
            (found.value, found.shown.as_str()),
            (floats(&[0.5, f64::INFINITY]), "[0.5,+Inf]")
        );
        assert_eq!(of("vector", json!([])).unwrap().value, floats(&[]));
        let matrix = json!([{"values": [[1.0, "1"], [2.0, "2"]]}, {"values": [[1.0, "3"]]}]);
        assert_eq!(of("matrix", matrix).unwrap().value, floats(&[1.0, 2.0, 3.0]));
        let nan = of("vector", json!([{"value": [1.0, "NaN"]}])).unwrap();
        assert_eq!(nan.shown, "[NaN]");
        assert_eq!(
            of("string", json!([1.0, "x"])).unwrap_err(),
            "Prometheus metric type not supported"
        );
    }

    #[test]
    fn a_range_is_a_query_of_its_own() {
        let document = Document {
            query: "up".to_owned(),
            range_query: Some(RangeQuery {
                start: "now() - duration(\"5m\")".to_owned(),
                end: "now()".to_owned(),
                step: "1m".to_owned(),
            }),
            ..Document::default()
        };
        let (path, parameters) = parameters(&document, 600_500).unwrap();
        assert_eq!(path, "query_range");
        let shown: Vec<String> = parameters
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(shown, ["query=up", "start=300.500", "end=600.500", "step=60.000"]);
    }
}
