//! One bare hop through the log, with nothing of ours but the decoding: what the path is measured against.

use anyhow::Context;
use auspex_chassis::testing::bare::{Answers, Bare};
use auspex_proto::{Fact, FactKind, FeatureVector};
use tokio::task::JoinHandle;

use super::pace::{Pace, Times};
use super::path::PATIENCE;
use super::score;

/// A vector goes into the log, is read, scored by a bare session, and the answer goes through the log to who sent it.
pub(super) struct Hop {
    driver: Bare,
    worker: JoinHandle<()>,
    answers: Answers,
    vectors: Vec<FeatureVector>,
}

impl Hop {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let (mut scorer, vectors) = score::open().await?;
        let driver = Bare::connect(url).await?;
        let answers = driver.answers().await?;
        // As in the path, who scores has a connection that is not the driver's.
        let worker = Bare::connect(url)
            .await?
            .answer(move |payload| {
                let Ok(Fact::Vector(vector)) = Fact::decode(FactKind::Vector, payload) else {
                    return None;
                };
                let p_failure = scorer.p_fail(&score::row(&vector)).ok()?.first().copied()?;
                let mut reply = vector.meta.cause.to_le_bytes().to_vec();
                reply.extend(p_failure.to_le_bytes());
                Some(reply)
            })
            .await?;
        Ok(Self {
            driver,
            worker,
            answers,
            vectors,
        })
    }

    /// Sends a round of vectors; how long each took to its answer.
    pub(super) async fn round(&mut self, rate: f64, count: usize) -> anyhow::Result<Vec<f64>> {
        let vectors = self.vectors.iter().cycle().zip(0_u64..).take(count);
        let payloads: Vec<bytes::Bytes> = vectors
            .map(|(vector, number)| {
                let mut vector = vector.clone();
                vector.meta.cause = number;
                Fact::Vector(vector).encode().into()
            })
            .collect();
        let pace = Pace::per_second(rate);
        let (driver, runtime) = (self.driver.clone(), tokio::runtime::Handle::current());
        let sending = tokio::task::spawn_blocking(move || {
            pace.keep(count, |number| match payloads.get(number) {
                Some(payload) => runtime.block_on(driver.put(payload.clone())),
                None => Ok(()),
            })
        });
        let mut times = Times::new(0..count);
        let all = async {
            while times.missing() > 0 {
                let answer = self.answers.next().await?;
                if let Some(number) = answer.first_chunk::<8>() {
                    times.note(usize::try_from(u64::from_le_bytes(*number))?);
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .with_context(|| format!("not every one of {count} messages came back within {PATIENCE:?}"))??;
        let began = sending.await??;
        Ok(times.micros(&began))
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.worker.abort();
    }
}
