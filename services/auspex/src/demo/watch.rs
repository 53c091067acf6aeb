//! Looks at the mesh as any tool would: over gRPC.

use std::time::Duration;

use anyhow::bail;
use auspex_proto::wire::alert_service_client::AlertServiceClient;
use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::{
    DeliveryState, GetRolloutRequest, GetScoreRequest, ListDeliveriesRequest, RolloutView, Score,
};
use tokio::time::Instant;
use tonic::transport::Channel;

use super::ci::{REPOSITORY, SERVICE};

/// How often something is asked for that is not there yet.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A connection for looking.
#[derive(Debug, Clone)]
pub struct Watch {
    rollouts: RolloutServiceClient<Channel>,
    scores: ScoringClient<Channel>,
    alerts: AlertServiceClient<Channel>,
}

impl Watch {
    /// Connects.
    ///
    /// # Errors
    /// When the mesh is out of reach.
    pub async fn at(server: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(server.to_owned())?.connect().await?;
        Ok(Self {
            rollouts: RolloutServiceClient::new(channel.clone()),
            scores: ScoringClient::new(channel.clone()),
            alerts: AlertServiceClient::new(channel),
        })
    }

    /// The score of a revision, once there is one that was made after this place in the log.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn score(&mut self, revision: &str, after: u64, within: Duration) -> anyhow::Result<Score> {
        let begun = Instant::now();
        let wanted = GetScoreRequest {
            project: REPOSITORY.to_owned(),
            revision: revision.to_owned(),
            ..GetScoreRequest::default()
        };
        loop {
            match self.scores.get_score(wanted.clone()).await {
                Ok(score) if cause(score.get_ref()) > after => return Ok(score.into_inner()),
                Err(status) if status.code() != tonic::Code::NotFound => return Err(status.into()),
                Ok(_) | Err(_) if begun.elapsed() > within => {
                    bail!("there was no score of {revision} within {within:?}")
                }
                Ok(_) | Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    /// The rollout, at once and whenever it changes, once there is one.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn rollout(&mut self, within: Duration) -> anyhow::Result<tonic::Streaming<RolloutView>> {
        let begun = Instant::now();
        let wanted = GetRolloutRequest {
            project: REPOSITORY.to_owned(),
            name: SERVICE.to_owned(),
        };
        loop {
            match self.rollouts.watch(wanted.clone()).await {
                Ok(views) => return Ok(views.into_inner()),
                Err(status) if status.code() != tonic::Code::NotFound => return Err(status.into()),
                Err(_) if begun.elapsed() > within => bail!("no rollout began within {within:?}"),
                Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }
}

impl Watch {
    /// How many messages wait to be delivered.
    ///
    /// # Errors
    /// When the mesh is out of reach.
    pub async fn waiting(&mut self) -> anyhow::Result<usize> {
        let wanted = ListDeliveriesRequest {
            project: REPOSITORY.to_owned(),
        };
        let deliveries = self.alerts.list_deliveries(wanted).await?.into_inner().deliveries;
        let queued = deliveries
            .iter()
            .filter(|delivery| delivery.state() == DeliveryState::Queued);
        Ok(queued.count())
    }
}

/// The place in the log of what a score was made from.
fn cause(score: &Score) -> u64 {
    score.meta.as_ref().map_or(0, |meta| meta.cause_seq)
}
