//! Taking messages in beats: whatever has come is fetched at once, then there is a rest.
//!
//! A message that is delivered by itself wakes the server to write it and a thread to read it: for whoever reads every one of
//! two thousand a second and is in no hurry that is a stage's worth of work for nothing.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures::{Stream, StreamExt};
use tokio::time::timeout;

use super::reader::{AHEAD, AHEAD_BYTES, EXPIRES};

/// A request that was lost with the server that had it is never answered: who asked for what is there asks anew after so long, who
/// asked to be told of something new after [`EXPIRES`] and as long again.
const SILENCE: Duration = Duration::from_secs(5);

/// What a consumer has, in its order. The first message after a pause comes at once; when all there is was taken there is a rest
/// before the next is asked for; a backlog comes without rest.
pub(super) fn in_beats(
    consumer: Consumer<pull::Config>,
    beat: Duration,
) -> impl Stream<Item = Result<Message, String>> + Send {
    let beats = Beats {
        consumer,
        beat,
        batch: None,
        patience: SILENCE,
        last: None,
    };
    futures::stream::try_unfold(beats, Beats::next)
}

struct Beats {
    consumer: Consumer<pull::Config>,
    beat: Duration,
    batch: Option<pull::Batch>,
    /// How long the batch may keep silent.
    patience: Duration,
    /// How many more there were when the last message of this batch was delivered; `None`: it had none yet.
    last: Option<u64>,
}

impl Beats {
    async fn next(mut self) -> Result<Option<(Message, Self)>, String> {
        loop {
            if let Some(batch) = &mut self.batch
                && let Some(message) = timeout(self.patience, batch.next())
                    .await
                    .map_err(|_| "a request was not answered")?
            {
                let message = message.map_err(|fault| fault.to_string())?;
                self.last = Some(message.info().map_err(|fault| fault.to_string())?.pending);
                return Ok(Some((message, self)));
            }
            self.batch = Some(self.ask().await.map_err(|fault| fault.to_string())?);
        }
    }

    async fn ask(&mut self) -> Result<pull::Batch, pull::BatchError> {
        self.batch = None;
        let Some(behind) = self.last.take() else {
            self.patience = EXPIRES + SILENCE;
            let first = self.consumer.batch().max_messages(1);
            return first.expires(EXPIRES).messages().await;
        };
        if behind == 0 {
            tokio::time::sleep(self.beat).await;
        }
        self.patience = SILENCE;
        let all = self.consumer.fetch().max_messages(AHEAD);
        all.max_bytes(AHEAD_BYTES).messages().await
    }
}
