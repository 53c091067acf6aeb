//! All newest messages of a pattern of subjects at this moment: how an owner finds its keys.

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt;

use super::Bus;

/// One key's newest value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) revision: u64,
    pub(crate) value: bytes::Bytes,
}

/// The newest values of a bucket's keys that match a pattern. Deleted keys are left out.
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
