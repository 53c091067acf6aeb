//! The streams and buckets, laid out the same by whoever comes first.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, kv, object_store};
use auspex_proto::subject;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// How often a cluster is asked to lay something out, and how long between two times.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Sizes and lifetimes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// Copies of each stream: 1, or 3 in a cluster. What is there takes another number at the next start.
    pub replicas: usize,
    /// Size at which the log is full and intake closes, in bytes.
    pub max_bytes: i64,
    /// Within which the server drops a repeated message id, in seconds.
    pub duplicate_window_seconds: u64,
    /// After which an unrenewed lease is free, in seconds; at least 1.
    pub lease_seconds: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            replicas: 1,
            max_bytes: 4 << 30,
            duplicate_window_seconds: 120,
            lease_seconds: 10,
        }
    }
}

impl StreamSettings {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=5).contains(&self.replicas) {
            problems.push("replicas: is not within 1..=5".to_owned());
        }
        if self.max_bytes < 1 << 20 {
            problems.push("max_bytes: is below 1 MiB".to_owned());
        }
        if self.lease_seconds == 0 {
            problems.push("lease_seconds: is below 1".to_owned());
        }
        if self.duplicate_window_seconds == 0 {
            problems.push("duplicate_window_seconds: is below 1".to_owned());
        }
        problems
    }
}

pub(super) async fn lay_out(js: &jetstream::Context, settings: &StreamSettings) -> anyhow::Result<()> {
    let window = Duration::from_secs(settings.duplicate_window_seconds);
    let facts = facts(settings, None);

    let dead = Config {
        name: subject::DEAD.to_owned(),
        subjects: vec![subject::DEAD_SUBJECTS.to_owned()],
        description: Some("what could not be absorbed, with its reason".to_owned()),
        num_replicas: settings.replicas,
        max_bytes: settings.max_bytes / 4,
        max_age: Duration::from_secs(90 * 86_400),
        discard: DiscardPolicy::New,
        allow_direct: true,
        duplicate_window: window,
        ..Config::default()
    };
    for config in [facts, dead] {
        let (name, size) = (config.name.clone(), config.max_bytes);
        patiently(settings.replicas, || agree(js, &config).boxed())
            .await
            .with_context(|| format!("laying out stream {name} for {size} bytes (nats.streams.max_bytes)"))?;
    }
    let lease = Duration::from_secs(settings.lease_seconds);
    let store = leases(js, settings.replicas, lease).await?;
    if store.stream.cached_info().config.max_age != lease {
        js.update_stream(lease_bucket(settings.replicas, lease))
            .await
            .context("changing nats.streams.lease_seconds")?;
    }
    state_bucket(js, subject::CURSORS, settings.replicas).await?;
    Ok(())
}

/// Lays a stream out. One that is there takes the settings that may change: a full log gets room by `max_bytes`. It never gets
/// less than it holds: the server would let go of facts.
async fn agree(js: &jetstream::Context, wanted: &Config) -> anyhow::Result<()> {
    let stream = js.get_or_create_stream(wanted.clone()).await?;
    let jetstream::stream::Info { config, state, .. } = stream.cached_info();
    let fits = u64::try_from(wanted.max_bytes).is_ok_and(|most| state.bytes <= most);
    if !fits {
        let (stream, holds, most) = (&wanted.name, state.bytes, wanted.max_bytes);
        tracing::warn!(%stream, holds, most, "nats.streams.max_bytes is less than the stream holds: it keeps its size");
    }
    let agreed = Config {
        max_bytes: if fits { wanted.max_bytes } else { config.max_bytes },
        num_replicas: wanted.num_replicas,
        duplicate_window: wanted.duplicate_window,
        ..config.clone()
    };
    if agreed != *config {
        let (stream, was, is) = (&agreed.name, config.max_bytes, agreed.max_bytes);
        let copies = agreed.num_replicas;
        js.update_stream(&agreed).await?;
        tracing::info!(%stream, was, is, copies, "the stream has other limits now");
    }
    Ok(())
}

/// The stream of facts; an empty one may begin at a sequence of its own.
fn facts(settings: &StreamSettings, first_sequence: Option<u64>) -> Config {
    Config {
        name: subject::FACTS.to_owned(),
        subjects: vec![subject::FACTS_SUBJECTS.to_owned()],
        description: Some("every fact, in one order per project".to_owned()),
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_bytes: settings.max_bytes,
        // A full log refuses: an acknowledged fact is never pushed out by a newer one.
        discard: DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        allow_message_ttl: true,
        allow_direct: true,
        duplicate_window: Duration::from_secs(settings.duplicate_window_seconds),
        first_sequence,
        ..Config::default()
    }
}

/// Lays the stream of facts out anew, to begin at this sequence. There must be nothing in it.
pub(super) async fn facts_at(
    js: &jetstream::Context,
    settings: &StreamSettings,
    first: u64,
) -> anyhow::Result<()> {
    js.delete_stream(subject::FACTS)
        .await
        .context("laying out the log anew")?;
    js.create_stream(facts(settings, Some(first)))
        .await
        .context("laying out the log anew")?;
    Ok(())
}

/// The bucket of leases. A server that was restarted has forgotten it: whoever needs it lays it out again.
pub(super) async fn leases(
    js: &jetstream::Context,
    replicas: usize,
    lease: Duration,
) -> anyhow::Result<kv::Store> {
    let wanted = lease_bucket(replicas, lease);
    patiently(replicas, || bucket(js, subject::LEASES, &wanted).boxed()).await
}

/// Leases need no disk: after a restart everybody asks again, and saving is by compare-and-set anyway.
fn lease_bucket(replicas: usize, lease: Duration) -> Config {
    Config {
        max_age: lease,
        storage: StorageType::Memory,
        ..kept_bucket(subject::LEASES, replicas)
    }
}

/// As the client lays out a bucket, but for who is asked: of several copies the one that leads alone, as another may be behind what was
/// acknowledged (a state older than its cursor would be missing facts), or be stopped and answer nothing.
fn kept_bucket(name: &str, replicas: usize) -> Config {
    Config {
        name: subject::bucket_stream(name),
        subjects: vec![subject::bucket_key(name, ">")],
        max_messages_per_subject: 1,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: replicas == 1,
        num_replicas: replicas,
        ..Config::default()
    }
}

/// The bucket that keeps a stage's state, cursors or documents.
pub(super) async fn state_bucket(
    js: &jetstream::Context,
    name: &str,
    replicas: usize,
) -> anyhow::Result<kv::Store> {
    let wanted = kept_bucket(name, replicas);
    patiently(replicas, || bucket(js, name, &wanted).boxed()).await
}

async fn bucket(js: &jetstream::Context, name: &str, wanted: &Config) -> anyhow::Result<kv::Store> {
    let store = match js.get_key_value(name).await {
        Ok(store) => store,
        Err(_) => {
            js.create_stream(wanted)
                .await
                .with_context(|| format!("laying out bucket {name}"))?;
            js.get_key_value(name).await?
        }
    };
    match keep(js, &store.stream.cached_info().config, wanted.num_replicas).await? {
        true => Ok(js.get_key_value(name).await?),
        false => Ok(store),
    }
}

/// Of a cluster that is just starting, or that has lost a server, some of the first answers never come; and of those who begin together
/// one lays out what the others then find.
async fn patiently<'a, T>(
    copies: usize,
    lay_out: impl Fn() -> BoxFuture<'a, anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let attempts = if copies == 1 { 1 } else { ATTEMPTS };
    for _ in 1..attempts {
        match lay_out().await {
            Ok(laid_out) => return Ok(laid_out),
            Err(fault) => tracing::warn!("the cluster has not laid it out, and is asked again: {fault:#}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    lay_out().await
}

/// Has what is there kept so many times, and read accordingly ([`kept_bucket`]). Whether that had to be said.
async fn keep(js: &jetstream::Context, config: &Config, copies: usize) -> anyhow::Result<bool> {
    let agreed = Config {
        num_replicas: copies,
        allow_direct: copies == 1,
        ..config.clone()
    };
    if agreed == *config {
        return Ok(false);
    }
    let (stream, was) = (&config.name, config.num_replicas);
    js.update_stream(&agreed)
        .await
        .with_context(|| format!("keeping {stream} {copies} times (nats.streams.replicas)"))?;
    if was != copies {
        tracing::info!(%stream, was, is = copies, "the stream has as many copies as that now");
    }
    Ok(true)
}

/// A store of files.
pub(super) async fn objects(
    js: &jetstream::Context,
    bucket: &str,
    replicas: usize,
) -> anyhow::Result<object_store::ObjectStore> {
    let config = object_store::Config {
        bucket: bucket.to_owned(),
        num_replicas: replicas,
        storage: StorageType::File,
        ..object_store::Config::default()
    };
    patiently(replicas, || object_store(js, &config).boxed()).await
}

async fn object_store(
    js: &jetstream::Context,
    wanted: &object_store::Config,
) -> anyhow::Result<object_store::ObjectStore> {
    let name = &wanted.bucket;
    if js.get_object_store(name).await.is_err() {
        js.create_object_store(wanted.clone())
            .await
            .with_context(|| format!("laying out object store {name}"))?;
    }
    let stream = js.get_stream(subject::objects_stream(name)).await?;
    keep(js, &stream.cached_info().config, wanted.num_replicas).await?;
    Ok(js.get_object_store(name).await?)
}
