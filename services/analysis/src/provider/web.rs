//! JSON over HTTP.

use std::time::Duration;

use auspex_argo::expr::Value;
use auspex_argo::jsonpath;
use auspex_argo::phase::Phase;
use auspex_argo::provider::Web as Document;
use futures::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::Value as Json;

use super::http::{authenticated, body, client, headers, told};
use super::{Found, Provider, Site};

/// Seconds that an answer may take when the metric does not say.
const TIMEOUT: u64 = 10;

pub(super) struct Web(pub Document);

impl Provider for Web {
    fn measure<'a>(&'a self, _site: &'a Site) -> BoxFuture<'a, Result<Found, String>> {
        Box::pin(ask(&self.0))
    }
}

async fn ask(document: &Document) -> Result<Found, String> {
    let method = match document.method.as_str() {
        "" | "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        other => return Err(format!("method: `{other}` is none of GET, POST and PUT")),
    };
    let given = !document.body.is_empty() || document.json_body.is_some();
    if !document.body.is_empty() && document.json_body.is_some() {
        return Err("use either Body or JSONBody; both cannot exists for WebMetric payload".to_owned());
    }
    if given && method == Method::GET {
        return Err("Body/JSONBody can only be used with POST or PUT WebMetric Method types".to_owned());
    }
    jsonpath::readable(if document.json_path.is_empty() {
        "{$}"
    } else {
        &document.json_path
    })
    .map_err(|fault| fault.to_string())?;
    let seconds = document
        .timeout_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    let timeout = Duration::from_secs(seconds.filter(|seconds| *seconds > 0).unwrap_or(TIMEOUT));
    let client = client(timeout, document.insecure)?;
    let mut headers = headers(&document.headers)?;
    if document.json_body.is_some() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    let mut request = client.request(method, &document.url).headers(headers);
    if let Some(json) = &document.json_body {
        request = request.body(json.to_string());
    } else if !document.body.is_empty() {
        request = request.body(document.body.clone());
    }
    let request = authenticated(&client, request, &document.authentication).await?;
    let answer = request.send().await.map_err(told)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("received non 2xx response code: {}", status.as_u16()));
    }
    found(&body(answer).await?, &document.json_path)
}

fn found(body: &[u8], path: &str) -> Result<Found, String> {
    let Ok(json) = serde_json::from_slice::<Json>(body) else {
        // Argo Rollouts calls every body that is no JSON successful, whatever the conditions say.
        let text = String::from_utf8_lossy(body).into_owned();
        return Ok(Found {
            value: Value::Nil,
            note: "the answer is no JSON: its conditions were not asked, as in Argo Rollouts".to_owned(),
            shown: text,
            phase: Some(Phase::Successful),
        });
    };
    let value = jsonpath::first(path, &json).map_err(|fault| fault.to_string())?;
    Ok(Found {
        shown: value.to_string(),
        value: Value::from(&value),
        ..Found::default()
    })
}
