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
            .tcp_nodelay(true)
            .add_service(ScoringServer::new(answers))
            .add_service(oip::grpc::Inference::server(scoring));
        let serving = tokio::spawn(async move {
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
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
    let requests: Vec<ScoreRequest> = vectors
        .iter()
        .map(|vector| ScoreRequest {
            vector: Some(vector.to_wire()),
            with_reasons: false,
        })
        .collect();
    let mut both = Vec::new();
    for round in 0..=rounds {
        let (mut scored, mut echoed) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
        for request in requests.iter().cycle().take(CALLS) {
            let request = request.clone();
            let began = Instant::now();
            scoring.score(request).await?;
            scored.push(micros(began.elapsed()));
            let began = Instant::now();
            empty.server_live(ServerLiveRequest {}).await?;
            echoed.push(micros(began.elapsed()));
        }
        if round > 0 {
            both.push((median(&scored), median(&echoed)));
        }
    }
    let (value, limit) = median_round(&both);
    Ok(vec![
        Row::told("score over gRPC, p50", value, "us")
            .beside(limit, "empty gRPC call")
            .floor(2.5, Better::Less),
    ])
}
