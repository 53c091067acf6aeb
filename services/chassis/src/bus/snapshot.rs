//! All newest values of a pattern of keys at this moment: how an owner finds its keys.

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::kv;
use futures::{StreamExt, TryStreamExt};

use super::Bus;

/// One key's newest value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) revision: u64,
    pub(crate) value: bytes::Bytes,
}

/// How many keys are asked for at the same time.
const SIDE_BY_SIDE: usize = 64;

/// The newest values of a bucket's keys that match a pattern, all that were acknowledged among them. Deleted keys are left out.
pub(crate) async fn newest(bus: &Bus, bucket: &str, pattern: &str) -> anyhow::Result<Vec<Entry>> {
    match bus.is_replicated() {
        true => key_by_key(bus, bucket, pattern).await,
        false => snapshot(bus, bucket, pattern).await,
    }
}

/// Of several copies the one that leads is asked.
async fn key_by_key(bus: &Bus, bucket: &str, pattern: &str) -> anyhow::Result<Vec<Entry>> {
    use auspex_proto::subject;
    let stream = bus.stream_of(bucket).await?;
    let subjects = stream
        .info_with_subjects(subject::bucket_key(bucket, pattern))
        .await?;
    let store = bus.bucket(bucket).await?;
    let values = subjects.map_err(anyhow::Error::from).map_ok(|(place, _)| {
        let store = &store;
        async move {
            let key = subject::bucket_key_of(bucket, &place).context("a key outside its bucket")?;
            let entry = store.entry(key).await?;
            let put = entry.filter(|entry| entry.operation == kv::Operation::Put);
            Ok(put.map(|entry| Entry {
                key: key.to_owned(),
                revision: entry.revision,
                value: entry.value,
            }))
        }
    });
    let found: Vec<Option<Entry>> = values.try_buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// The same in one go, through a consumer. It may stand at a copy that is a moment behind, and cannot tell: for whoever is
/// refused what he makes of it (a save by revision, a word behind a fence), or looks again soon.
pub(crate) async fn snapshot(bus: &Bus, bucket: &str, pattern: &str) -> anyhow::Result<Vec<Entry>> {
    use auspex_proto::subject;
    let stream = bus.stream_of(bucket).await?;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::None,
        filter_subject: subject::bucket_key(bucket, pattern),
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: std::time::Duration::from_secs(30),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut left = consumer.cached_info().num_pending;
    let mut entries = Vec::with_capacity(usize::try_from(left).unwrap_or_default());
    while left > 0 {
        let size = usize::try_from(left.min(500)).unwrap_or(500);
        let expires = std::time::Duration::from_secs(5);
        let mut batch = consumer
            .fetch()
            .max_messages(size)
            .expires(expires)
            .messages()
            .await?;
        let mut got = 0;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|fault| anyhow::anyhow!("reading bucket {bucket}: {fault}"))?;
            got += 1;
            let deleted = message
                .headers
                .as_ref()
                .is_some_and(|h| h.get("KV-Operation").is_some());
            let revision = message
                .info()
                .map_err(|f| anyhow::anyhow!("{f}"))?
                .stream_sequence;
            let key = subject::bucket_key_of(bucket, &message.subject).context("a key outside its bucket")?;
            if !deleted {
                entries.push(Entry {
                    key: key.to_owned(),
                    revision,
                    value: message.payload.clone(),
                });
            }
        }
        anyhow::ensure!(got > 0, "bucket {bucket} answered with {left} values outstanding");
        left = left.saturating_sub(got);
    }
    Ok(entries)
}
