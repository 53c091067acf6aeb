//! `/v2`: the protocol over REST.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Question, Refusal, answer, find, outputs, split};
use crate::serving::Serving;

/// The header by which a client says that numbers follow the JSON as bytes, an extension of the protocol.
const BINARY: &str = "inference-header-content-length";

/// The doors.
pub fn router(serving: Serving) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/", get(server))
        .route("/v2/health/live", get(|| async { Json(json!({"live": true})) }))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(model))
        .route("/v2/models/{model}/versions/{version}/ready", get(model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer))
        .layer(axum::extract::DefaultBodyLimit::max(32 << 20))
        .with_state(serving)
}

/// Which model, and of which version when one is named.
#[derive(Deserialize)]
struct Which {
    model: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Option<String>,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Value,
}

#[derive(Deserialize)]
struct Output {
    name: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
}

async fn server() -> Json<Value> {
    Json(json!({"name": "auspex", "version": env!("CARGO_PKG_VERSION"), "extensions": []}))
}

async fn ready(State(serving): State<Serving>) -> Response {
    let ready = serving
        .table()
        .lineups
        .values()
        .any(|lineup| lineup.champion().is_some());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({"ready": ready}))).into_response()
}

async fn model_ready(State(serving): State<Serving>, Path(which): Path<Which>) -> Response {
    match find(&serving, &which.model, &which.version) {
        Ok(served) => Json(json!({"name": split(&served.model.label).0, "ready": true})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn model(State(serving): State<Serving>, Path(which): Path<Which>) -> Result<Json<Value>, Refusal> {
    let served = find(&serving, &which.model, &which.version)?;
    let manifest = &served.model.manifest;
    let (name, version) = split(&served.model.label);
    let tensor = |name: &str, shape: Value| json!({"name": name, "datatype": "FP32", "shape": shape});
    let outputs: Vec<Value> = outputs(&served)
        .iter()
        .map(|name| tensor(name, json!([-1, 1])))
        .collect();
    let features: Vec<&str> = manifest.features.iter().map(|f| f.name.as_str()).collect();
    Ok(Json(json!({
        "name": name,
        "versions": [version],
        "platform": "onnxruntime_onnx",
        "inputs": [tensor(&manifest.input.name, json!([-1, manifest.features.len()]))],
        "outputs": outputs,
        "properties": {"features": features, "schema_hash": manifest.feature_schema_sha256},
    })))
}

async fn infer(
    State(serving): State<Serving>,
    Path(which): Path<Which>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Json<Value>, Refusal> {
    let served = find(&serving, &which.model, &which.version)?;
    if headers.contains_key(BINARY) {
        let text =
            format!("{BINARY}: binary tensors are not spoken over REST; send them as JSON, or by gRPC");
        return Err(Refusal::Invalid(text));
    }
    let request: Request = serde_json::from_slice(&body).map_err(|f| Refusal::Invalid(f.to_string()))?;
    let id = request.id.clone();
    let question = question(request)?;
    let asked = tokio::task::spawn_blocking(move || answer(&served, &question)).await;
    let answer = asked.map_err(|fault| Refusal::Failed(fault.to_string()))??;
    Ok(Json(document(&answer, id)))
}

fn question(request: Request) -> Result<Question, Refusal> {
    let only = <[Input; 1]>::try_from(request.inputs);
    let [input] =
        only.map_err(|all| Refusal::Invalid(format!("inputs: are {}, the model reads one", all.len())))?;
    if !matches!(input.datatype.as_str(), "FP32" | "FP64" | "INT32" | "INT64") {
        let text = format!("inputs.datatype: is {}, not FP32", input.datatype);
        return Err(Refusal::Invalid(text));
    }
    let mut values = Vec::new();
    flatten(&input.data, &mut values)?;
    Ok(Question {
        input: input.name,
        datatype: input.datatype,
        shape: input.shape,
        values,
        outputs: request.outputs.into_iter().map(|output| output.name).collect(),
    })
}

/// Numbers, nested or not; `null` is a missing one.
fn flatten(from: &Value, into: &mut Vec<f32>) -> Result<(), Refusal> {
    match from {
        Value::Null => into.push(f32::NAN),
        Value::Array(all) => all.iter().try_for_each(|one| flatten(one, into))?,
        Value::Bool(yes) => into.push(f32::from(*yes)),
        other => {
            let number = other
                .as_f64()
                .ok_or_else(|| Refusal::Invalid(format!("inputs.data: {other} is not a number")))?;
            into.push(number as f32);
        }
    }
    Ok(())
}

fn document(answer: &Answer, id: Option<String>) -> Value {
    let output = |(name, values): &(String, Vec<f32>)| json!({"name": name, "datatype": "FP32", "shape": [answer.rows, 1], "data": values});
    let outputs: Vec<Value> = answer.outputs.iter().map(output).collect();
    let mut document = json!({
        "model_name": answer.model,
        "model_version": answer.version,
        "outputs": outputs,
    });
    if let (Some(id), Value::Object(fields)) = (id, &mut document) {
        fields.insert("id".to_owned(), Value::from(id));
    }
    document
}
