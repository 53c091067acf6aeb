//! The Open Inference Protocol and the explanation, through the doors of a running service.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::too_many_lines)]

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options};
use auspex_proto::open_inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use auspex_proto::open_inference::model_infer_request::InferInputTensor;
use auspex_proto::open_inference::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelReadyRequest,
};
use auspex_proto::vector::Feature;
use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::{ExplainRequest, ListServedRequest};
use auspex_proto::{Entity, EntityKind, FactId, FeatureVector, Meta, Project, Revision, Timestamp};
use auspex_scoring::embedded;
use auspex_scoring::model::Model;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;

async fn up(test: &TestHouse) -> (Mesh, String) {
    let options = Options {
        set: vec![
            format!("nats.url={}", test.settings.url),
            "nats.partitions=2".to_owned(),
            "server.listen=127.0.0.1:0".to_owned(),
        ],
        alone: true,
        ..Options::default()
    };
    let mesh = Mesh::start(&[auspex_scoring::SERVICE], &options).await.unwrap();
    let address = format!("http://{}", mesh.address());
    (mesh, address)
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_answered_over_rest_and_over_grpc_alike() {
    let test = TestHouse::start().await.unwrap();
    let (_mesh, address) = up(&test).await;
    let model = Model::check(embedded::files()).unwrap();
    let rows = &model.golden.rows[..5];
    let http = reqwest::Client::new();
    let get = |path: &str| {
        let request = http.get(format!("{address}{path}"));
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(get("/v2/health/ready").await, (200, json!({"ready": true})));
    assert_eq!(get("/v2/models/change-risk/ready").await.0, 200);
    assert_eq!(get("/v2/models/nothing/ready").await.0, 404);
    let (_, metadata) = get("/v2/models/change-risk/versions/1").await;
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 14]));
    assert_eq!(metadata["outputs"][0]["name"], "p_fail");

    let nested: Vec<Value> = rows.iter().map(|row| json!(row.features)).collect();
    let body = json!({
        "id": "42",
        "inputs": [{"name": "features", "shape": [5, 14], "datatype": "FP32", "data": nested}],
    });
    let infer = format!("{address}/v2/models/change-risk/infer");
    let answer: Value = http
        .post(&infer)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&answer["id"], &answer["model_version"]),
        (&json!("42"), &json!("1"))
    );
    let output = |name: &str| -> Vec<f64> {
        let all = answer["outputs"].as_array().unwrap();
        let one = all.iter().find(|o| o["name"] == name).unwrap();
        one["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    for (((p, low), high), row) in output("p_fail")
        .iter()
        .zip(output("low"))
        .zip(output("high"))
        .zip(rows)
    {
        assert!((p - row.p_fail).abs() < 1e-6 && low <= *p && *p <= high);
    }
    let zeros = vec![0; 14];
    for wrong in [
        json!({"inputs": []}),
        json!({"inputs": [{"name": "x", "shape": [1, 14], "datatype": "FP32", "data": zeros}]}),
        json!({"inputs": [{"name": "features", "shape": [2, 14], "datatype": "FP32", "data": zeros}]}),
        json!({"inputs": [{"name": "features", "shape": [1, 14], "datatype": "BYTES", "data": zeros}]}),
        json!({"inputs": [{"name": "features", "shape": [0, 14], "datatype": "FP32", "data": []}]}),
    ] {
        let refused = http.post(&infer).json(&wrong).send().await.unwrap();
        assert_eq!(refused.status().as_u16(), 400, "{wrong}");
        assert!(refused.json::<Value>().await.unwrap()["error"].is_string());
    }

    let beyond: Vec<f64> = (0..14).map(|at| if at == 3 { 1e39 } else { 1.0 }).collect();
    let beyond =
        json!({"inputs": [{"name": "features", "shape": [1, 14], "datatype": "FP64", "data": beyond}]});
    let refused = http.post(&infer).json(&beyond).send().await.unwrap();
    let why = refused.json::<Value>().await.unwrap()["error"].to_string();
    assert!(
        why.contains("inputs.data: row 0 has a value beyond FP32"),
        "{why}"
    );

    let binary = http.post(&infer).header("Inference-Header-Content-Length", "9");
    let refused = binary.body("{}").send().await.unwrap();
    let why = refused.json::<Value>().await.unwrap()["error"].to_string();
    assert!(why.contains("JSON"), "{why}");

    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = GrpcInferenceServiceClient::new(channel);
    let ready = ModelReadyRequest {
        name: "change-risk".to_owned(),
        version: "1".to_owned(),
    };
    assert!(client.model_ready(ready).await.unwrap().into_inner().ready);
    let metadata = client.model_metadata(ModelMetadataRequest {
        name: "change-risk".to_owned(),
        version: String::new(),
    });
    assert_eq!(metadata.await.unwrap().into_inner().outputs.len(), 3);
    let flat: Vec<f32> = rows.iter().flat_map(|row| row.row()).collect();
    let input = InferInputTensor {
        name: "features".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![5, 14],
        ..InferInputTensor::default()
    };
    let mut request = ModelInferRequest {
        model_name: "change-risk".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![bytes(&flat)],
        ..ModelInferRequest::default()
    };
    let raw = client.model_infer(request.clone()).await.unwrap().into_inner();
    let (numbers, _) = raw.raw_output_contents[0].as_chunks::<4>();
    let raw: Vec<f32> = numbers.iter().map(|n| f32::from_le_bytes(*n)).collect();
    let wide = flat.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let mut double = request.clone();
    (double.raw_input_contents, double.inputs[0].datatype) = (vec![wide], "FP64".to_owned());
    let double = client.model_infer(double).await.unwrap().into_inner();
    assert_eq!(double.raw_output_contents[0], bytes(&raw));
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(InferTensorContents {
        fp32_contents: flat,
        ..InferTensorContents::default()
    });
    let typed = client.model_infer(request.clone()).await.unwrap().into_inner();
    assert_eq!(typed.outputs[0].contents.as_ref().unwrap().fp32_contents, raw);
    let mut beyond = request.clone();
    if let Some(contents) = &mut beyond.inputs[0].contents {
        contents.fp32_contents[15] = f32::INFINITY;
    }
    let refused = client.model_infer(beyond).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("row 1 "), "{refused}");
    request.model_name = "nothing".to_owned();
    assert_eq!(
        client.model_infer(request).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_adds_up_and_names_what_is_served() {
    let test = TestHouse::start().await.unwrap();
    let (_mesh, address) = up(&test).await;
    let model = Model::check(embedded::files()).unwrap();
    let golden = model
        .golden
        .rows
        .iter()
        .find(|row| row.contributions.is_some() && row.features.iter().all(Option::is_some));
    let golden = golden.unwrap();
    let features = model.manifest.features.iter().zip(&golden.features);
    let vector = FeatureVector {
        meta: Meta {
            id: FactId::new("v1").unwrap(),
            project: Project::new("shop").unwrap(),
            time: Timestamp(0),
            cause: 0,
            source: String::new(),
        },
        entity: Entity {
            kind: EntityKind::Change,
            id: "abc".to_owned(),
            revision: Revision::new("abc").unwrap(),
            service: None,
        },
        feature_service: model.manifest.feature_service.clone(),
        schema_hash: model.manifest.feature_schema_sha256.clone(),
        features: features
            .map(|(f, v)| Feature::present(f.name.as_str(), f64::from(v.unwrap())))
            .collect(),
        context: Vec::new(),
        wants_reasons: false,
    };
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = ScoringClient::new(channel);
    let request = ExplainRequest {
        vector: Some(vector.to_wire()),
        model: String::new(),
    };
    let found = client.explain(request.clone()).await.unwrap().into_inner();
    assert_eq!(found.method, "tree_shap");
    assert!((found.raw - golden.raw).abs() < 1e-6 && found.remainder.abs() < 1e-9);
    for (found, known) in found
        .contributions
        .iter()
        .zip(golden.contributions.as_ref().unwrap())
    {
        assert!((found.log_odds - known).abs() < 1e-6, "{}", found.feature);
    }
    assert!((found.score.unwrap().p_failure - golden.p_fail).abs() < 1e-6);
    let other = ExplainRequest {
        model: "nothing@7".to_owned(),
        ..request
    };
    let missing = client.explain(other).await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "model: nothing@7 is not served here")
    );
    let served = client
        .list_served(ListServedRequest {})
        .await
        .unwrap()
        .into_inner()
        .models;
    assert_eq!(
        (served.len(), served[0].model.as_str(), served[0].arm.as_str()),
        (1, "change-risk@1", "champion")
    );
}
