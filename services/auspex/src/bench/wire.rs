//! One vector scored over gRPC, against an empty call to the same server on the same connection.

use std::time::Instant;

use auspex_chassis::tools;
use auspex_proto::FeatureVector;
use auspex_proto::open_inference::ServerLiveRequest;
use auspex_proto::open_inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use auspex_proto::wire::ScoreRequest;
use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::scoring_server::ScoringServer;
use auspex_scoring::{Config, oip, query};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};

use super::row::{Better, Row, median, median_round, micros};

/// Calls a round and way.
const CALLS: usize = 400;

/// Scoring behind a listener of its own; it ends when this is dropped.
struct Wire {
    channel: Channel,
    serving: JoinHandle<()>,
}

impl Wire {
    async fn open() -> anyhow::Result<Self> {
        let library = tools::onnxruntime().await?;
        let opened =
            tokio::task::spawn_blocking(move || auspex_scoring::start_with(&library, &Config::default()));
        let (scoring, _opener) = opened.await??;
        let answers = query::Answers::new(scoring.clone(), Default::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Server::builder()
            .add_service(ScoringServer::new(answers))
            .add_service(oip::grpc::Inference::server(scoring));
        let serving = tokio::spawn(async move {
            // As the chassis listens: else an answer's second piece waits for the other side's word about the first.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            routes.serve_with_incoming(incoming).await.ok();
        });
        let endpoint = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await?;
        Ok(Self { channel, serving })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Both ways take turns.
pub(super) async fn measure(rounds: usize, vectors: &[FeatureVector]) -> anyhow::Result<Vec<Row>> {
    let wire = Wire::open().await?;
    let mut scoring = ScoringClient::new(wire.channel.clone());
    let mut empty = GrpcInferenceServiceClient::new(wire.channel.clone());
    // As in the row beside the bare session: a score that nobody wants reasons for; and, told apart, one that brings them.
    let (mut plain, mut reasoned) = (Vec::new(), Vec::new());
    for vector in vectors {
        let request = ScoreRequest {
            vector: Some(vector.to_wire()),
            with_reasons: false,
        };
        let answer = scoring.score(request.clone()).await?.into_inner();
        if answer.reasons.is_empty() {
            &mut plain
        } else {
            &mut reasoned
        }
        .push(request);
    }
    let mut rounds_of = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mut scored, mut explained, mut echoed) = (Vec::new(), Vec::new(), Vec::new());
        for (one, other) in plain.iter().cycle().zip(reasoned.iter().cycle()).take(CALLS) {
            scored.push(timed(scoring.score(one.clone())).await?);
            echoed.push(timed(empty.server_live(ServerLiveRequest {})).await?);
            explained.push(timed(scoring.score(other.clone())).await?);
        }
        if round > 0 {
            let echo = median(&echoed);
            rounds_of.0.push((median(&scored), echo));
            rounds_of.1.push((median(&explained), echo));
        }
    }
    let (value, limit) = median_round(&rounds_of.0);
    let (with_reasons, beside) = median_round(&rounds_of.1);
    let call = "empty gRPC call";
    Ok(vec![
        Row::told("score over gRPC without reasons, p50", value, "us")
            .beside(limit, call)
            .floor(2.5, Better::Less),
        Row::told("score over gRPC with reasons, p50", with_reasons, "us").beside(beside, call),
    ])
}

/// How long a call takes, in microseconds.
async fn timed<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<f64, tonic::Status> {
    let began = Instant::now();
    call.await?;
    Ok(micros(began.elapsed()))
}
