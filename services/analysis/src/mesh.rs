//! Asking control and scoring, for those who ask here.

use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::Secret;
use auspex_proto::wire;
use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use auspex_proto::wire::scoring_client::ScoringClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::config::Config;

/// An answer takes at most this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to control and scoring; cheap to clone, connects when it is used.
#[derive(Debug, Clone)]
pub struct Mesh {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Mesh {
    /// As configured.
    ///
    /// # Errors
    /// The address is none, or the certificates cannot be read.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::from_shared(config.mesh.clone())?
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE);
        if config.mesh.starts_with("https://") {
            let mut tls = ClientTlsConfig::new().with_webpki_roots();
            if !config.ca.is_empty() {
                let pem = std::fs::read(&config.ca).with_context(|| format!("analysis.ca: {}", config.ca))?;
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint.tls_config(tls).context("analysis.mesh, analysis.ca")?;
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            token: bearer(&config.token)?,
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// May another controller go on?
    ///
    /// # Errors
    /// As control says it.
    pub async fn gate(&self, ask: wire::GateRequest) -> Result<wire::GateAnswer, Status> {
        let mut client = RolloutServiceClient::new(self.channel.clone());
        Ok(client.gate(self.request(ask)).await?.into_inner())
    }

    /// The last score of a revision; `None`: there is none yet.
    ///
    /// # Errors
    /// As scoring says it.
    pub async fn score(&self, project: &str, revision: &str) -> Result<Option<wire::Score>, Status> {
        let mut client = ScoringClient::new(self.channel.clone());
        let ask = wire::GetScoreRequest {
            project: project.to_owned(),
            revision: revision.to_owned(),
            ..wire::GetScoreRequest::default()
        };
        match client.get_score(self.request(ask)).await {
            Ok(score) => Ok(Some(score.into_inner())),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }
}

fn bearer(token: &Secret) -> anyhow::Result<Option<MetadataValue<Ascii>>> {
    if token.is_empty() {
        return Ok(None);
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose()).parse()?;
    value.set_sensitive(true);
    Ok(Some(value))
}
