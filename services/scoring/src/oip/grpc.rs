//! `inference.GRPCInferenceService`: the protocol over gRPC.

use auspex_proto::open_inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use auspex_proto::open_inference::model_infer_response::InferOutputTensor;
use auspex_proto::open_inference::model_metadata_response::TensorMetadata;
use auspex_proto::open_inference::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use tonic::{Request, Response, Status};

use super::{Answer, Question, Refusal, answer, find, outputs, split};
use crate::serving::Serving;

/// Answers in the protocol.
#[derive(Debug, Clone)]
pub struct Inference {
    serving: Serving,
}

impl Inference {
    /// The door.
    #[must_use]
    pub fn server(serving: Serving) -> GrpcInferenceServiceServer<Self> {
        GrpcInferenceServiceServer::new(Self { serving }).max_decoding_message_size(32 << 20)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(text) => Self::not_found(text),
            Refusal::Invalid(text) => Self::invalid_argument(text),
            Refusal::Failed(text) => Self::internal(text),
        }
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self
            .serving
            .table()
            .lineups
            .values()
            .any(|lineup| lineup.champion().is_some());
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let asked = request.into_inner();
        let ready = find(&self.serving, &asked.name, &asked.version).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: "auspex".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: Vec::new(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let asked = request.into_inner();
        let served = find(&self.serving, &asked.name, &asked.version)?;
        let manifest = &served.model.manifest;
        let (name, version) = split(&served.model.label);
        let tensor = |name: &str, columns: usize| TensorMetadata {
            name: name.to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![-1, i64::try_from(columns).unwrap_or(i64::MAX)],
        };
        let features: Vec<&str> = manifest.features.iter().map(|f| f.name.as_str()).collect();
        Ok(Response::new(ModelMetadataResponse {
            name: name.to_owned(),
            versions: vec![version.to_owned()],
            platform: "onnxruntime_onnx".to_owned(),
            inputs: vec![tensor(&manifest.input.name, manifest.features.len())],
            outputs: outputs(&served).iter().map(|name| tensor(name, 1)).collect(),
            properties: [
                ("features".to_owned(), features.join(",")),
                ("schema_hash".to_owned(), manifest.feature_schema_sha256.clone()),
            ]
            .into(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let asked = request.into_inner();
        let served = find(&self.serving, &asked.model_name, &asked.model_version)?;
        let raw = !asked.raw_input_contents.is_empty();
        let id = asked.id.clone();
        let question = question(asked)?;
        let answered = tokio::task::spawn_blocking(move || answer(&served, &question)).await;
        let answer = answered.map_err(|fault| Status::internal(fault.to_string()))??;
        Ok(Response::new(response(answer, id, raw)))
    }
}

/// Values come typed, or as bytes of the lower end first: whichever came, the answer goes the same way.
fn question(asked: ModelInferRequest) -> Result<Question, Refusal> {
    let invalid = |text: &str| Refusal::Invalid(text.to_owned());
    let count = asked.inputs.len();
    let only = asked.inputs.into_iter().next().filter(|_| count == 1);
    let input = only.ok_or_else(|| Refusal::Invalid(format!("inputs: are {count}, the model reads one")))?;
    let values = match (
        asked.raw_input_contents.as_slice(),
        input.contents,
        input.datatype.as_str(),
    ) {
        ([bytes], _, "FP32") => numbers(bytes, f32::from_le_bytes)?,
        ([bytes], _, "FP64") => numbers(bytes, |number| f64::from_le_bytes(number) as f32)?,
        ([], Some(contents), "FP32") => contents.fp32_contents,
        ([], Some(contents), "FP64") => contents.fp64_contents.iter().map(|v| *v as f32).collect(),
        ([], None, _) => return Err(invalid("inputs.contents: is missing")),
        (_, _, other) => {
            let text =
                format!("inputs.datatype: is {other}, not FP32 or FP64, or it came in more than one piece");
            return Err(Refusal::Invalid(text));
        }
    };
    Ok(Question {
        input: input.name,
        datatype: input.datatype,
        shape: input.shape,
        values,
        outputs: asked.outputs.into_iter().map(|output| output.name).collect(),
    })
}

fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Result<Vec<f32>, Refusal> {
    let (numbers, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        let text = format!("raw_input_contents: does not hold whole numbers of {N} bytes");
        return Err(Refusal::Invalid(text));
    }
    Ok(numbers.iter().map(|number| read(*number)).collect())
}

fn response(answer: Answer, id: String, raw: bool) -> ModelInferResponse {
    let rows = i64::try_from(answer.rows).unwrap_or(i64::MAX);
    let mut raw_output_contents = Vec::new();
    let mut outputs = Vec::new();
    for (name, values) in answer.outputs {
        let mut contents = None;
        if raw {
            raw_output_contents.push(values.iter().flat_map(|v| v.to_le_bytes()).collect());
        } else {
            contents = Some(InferTensorContents {
                fp32_contents: values,
                ..InferTensorContents::default()
            });
        }
        outputs.push(InferOutputTensor {
            name,
            datatype: "FP32".to_owned(),
            shape: vec![rows, 1],
            parameters: Default::default(),
            contents,
        });
    }
    ModelInferResponse {
        model_name: answer.model,
        model_version: answer.version,
        id,
        parameters: Default::default(),
        outputs,
        raw_output_contents,
    }
}
