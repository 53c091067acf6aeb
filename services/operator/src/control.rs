//! Control, by gRPC: commands in, what became of rollouts out.

use std::time::Duration;

use anyhow::Context;
use auspex_proto::wire;
use auspex_proto::wire::analysis_service_client::AnalysisServiceClient;
use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::config::Config;

/// How long one question may take.
const WITHIN: Duration = Duration::from_secs(15);

/// Control.
#[derive(Debug, Clone)]
pub struct Control {
    client: RolloutServiceClient<InterceptedService<Channel, Bearer>>,
    analyses: AnalysisServiceClient<InterceptedService<Channel, Bearer>>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It was carried out; the rollout after it.
    Done(Option<Box<wire::RolloutView>>),
    /// It was not, and why: asking again gives the same answer.
    Refused(String),
}

/// Puts the token on each call.
#[derive(Debug, Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Control {
    /// Control at the address that is configured. It connects when it is asked first.
    ///
    /// # Errors
    /// When the address, the token or the certificates cannot be used.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let bearer = match config.token.is_empty() {
            true => None,
            false => {
                let value = format!("Bearer {}", config.token.expose()).parse();
                let mut value: MetadataValue<Ascii> = value
                    .map_err(|_| anyhow::anyhow!("operator.token: holds characters that no token has"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let analysis = if config.analysis.is_empty() {
            &config.control
        } else {
            &config.analysis
        };
        Ok(Self {
            client: RolloutServiceClient::with_interceptor(
                channel(&config.control, &config.ca)?,
                Bearer(bearer.clone()),
            ),
            analyses: AnalysisServiceClient::with_interceptor(channel(analysis, &config.ca)?, Bearer(bearer)),
        })
    }

    /// What became of all rollouts.
    ///
    /// # Errors
    /// When control is away.
    pub async fn list(&self) -> anyhow::Result<Vec<wire::RolloutView>> {
        let asked = wire::ListRolloutsRequest::default();
        let answer = self.client.clone().list(asked).await.context("control")?;
        Ok(answer.into_inner().rollouts)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// When control is away: nobody knows whether it was carried out, and the same command may be sent again.
    pub async fn command(&self, command: wire::Command) -> anyhow::Result<Answer> {
        let asked = wire::CommandRolloutRequest {
            command: Some(command),
        };
        match self.client.clone().command(asked).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                Ok(if answer.refused.is_empty() {
                    Answer::Done(answer.rollout.map(Box::new))
                } else {
                    Answer::Refused(answer.refused)
                })
            }
            Err(status) => refusal(status),
        }
    }

    /// Keeps what is measured beside a rollout; the same plan again is the same plan.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn analysis(&self, project: &str, document: &str) -> anyhow::Result<Answer> {
        let asked = wire::PutAnalysisRequest {
            project: project.to_owned(),
            document: document.to_owned(),
            actor: "kubernetes".to_owned(),
        };
        match self.analyses.clone().put(asked).await {
            Ok(_) => Ok(Answer::Done(None)),
            Err(status) => refusal(status),
        }
    }
}

/// A connection that comes about when it is needed first.
fn channel(address: &str, ca: &str) -> anyhow::Result<Channel> {
    let named = || format!("operator.control, operator.analysis: {address}");
    let mut endpoint = Endpoint::from_shared(address.to_owned()).with_context(named)?;
    if address.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_webpki_roots();
        if !ca.is_empty() {
            let pem = std::fs::read(ca).with_context(|| format!("operator.ca: {ca}"))?;
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        endpoint = endpoint.tls_config(tls).with_context(named)?;
    }
    Ok(endpoint
        .connect_timeout(Duration::from_secs(5))
        .timeout(WITHIN)
        .connect_lazy())
}

/// A refusal that asking again does not change; everything else is an absence.
fn refusal(status: Status) -> anyhow::Result<Answer> {
    match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound => {
            Ok(Answer::Refused(status.message().to_owned()))
        }
        _ => Err(anyhow::Error::new(status).context("control")),
    }
}
