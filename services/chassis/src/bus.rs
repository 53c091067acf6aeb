//! The bus: the one place that speaks to NATS. Connecting, the streams and buckets, publishing, dead letters.

mod beats;
mod connect;
mod publish;
mod reader;
mod refusals;
mod snapshot;
mod stale;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::{self, kv};
use auspex_proto::{Decision, Fact, FactKind, Partitions, Project, ServiceName, Timestamp, subject};

pub use self::connect::BusSettings;
pub(crate) use self::publish::KEPT;
pub use self::publish::{DeadLetter, Outgoing, Pending, PublishError, Receipt};
pub(crate) use self::reader::{Raw, Reader, Start, stream_time};
pub(crate) use self::snapshot::{Entry as KeyValue, newest, snapshot};
pub(crate) use self::stale::is_stale;
pub use self::streams::StreamSettings;

/// Messages per partition that a connection carries before it makes publishers wait. An owner sends all that it has to say before
/// it asks what became of it: two stages on a connection, each with an outbox of 128 kB, have less.
const ON_THEIR_WAY: usize = 2_048;
/// That many a connection carries in any case.
const AT_LEAST_ON_THEIR_WAY: usize = 8_192;

/// A connection to the bus; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    client: async_nats::Client,
    js: jetstream::Context,
    partitions: Partitions,
    intake: Arc<Gate>,
    refusals: Arc<refusals::Refusals>,
    replicas: usize,
    lease: Duration,
}

/// Whether facts may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intake {
    /// They may.
    Open,
    /// They may not: what is acknowledged must be absorbed before it expires.
    Closed {
        /// Why.
        reason: String,
        /// When to ask again.
        retry_after: Duration,
    },
}

#[derive(Debug, Default)]
struct Gate {
    closed: AtomicBool,
    reason: std::sync::Mutex<String>,
}

impl Bus {
    /// Connects, refuses a server below 2.12, and lays out streams and buckets.
    ///
    /// # Errors
    /// When the server is out of reach, too old, or has streams of another shape.
    pub async fn connect(settings: &BusSettings, name: &str) -> anyhow::Result<Self> {
        let bus = Self::open(settings, name).await?;
        streams::lay_out(&bus.js, &settings.streams).await?;
        Ok(bus)
    }

    /// Another connection of the same process, to the same bus: all that one connection carries goes through the hands of one task,
    /// and services that stand together need not wait for each other there. Whether facts may come in is known to both.
    ///
    /// # Errors
    /// When the server is out of reach or too old.
    pub(crate) async fn beside(&self, settings: &BusSettings, name: &str) -> anyhow::Result<Self> {
        let bus = Self::open(settings, name).await?;
        Ok(Self {
            intake: Arc::clone(&self.intake),
            ..bus
        })
    }

    async fn open(settings: &BusSettings, name: &str) -> anyhow::Result<Self> {
        let client = connect::connect(settings, name).await?;
        let on_their_way = usize::from(settings.partitions) * ON_THEIR_WAY;
        let js = jetstream::ContextBuilder::new()
            .timeout(Duration::from_secs(5))
            .ack_timeout(Duration::from_secs(5))
            .max_ack_inflight(on_their_way.max(AT_LEAST_ON_THEIR_WAY))
            .build(client.clone());
        let refusals = Arc::new(refusals::Refusals::new(client.statistics()));
        Ok(Self {
            client,
            js,
            partitions: Partitions::new(settings.partitions)?,
            intake: Arc::default(),
            refusals,
            replicas: settings.streams.replicas,
            lease: Duration::from_secs(settings.streams.lease_seconds),
        })
    }

    /// How the projects are spread.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// How long a lease holds without renewal.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Whether each message is kept more than once.
    pub(crate) fn is_replicated(&self) -> bool {
        self.replicas > 1
    }

    /// Whether facts may come in.
    #[must_use]
    pub fn intake(&self) -> Intake {
        if !self.intake.closed.load(Ordering::Acquire) {
            return Intake::Open;
        }
        let reason = self
            .intake
            .reason
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        Intake::Closed {
            reason,
            retry_after: Duration::from_secs(30),
        }
    }

    pub(crate) fn set_intake(&self, closed: Option<String>) {
        let mut reason = self
            .intake
            .reason
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.intake.closed.store(closed.is_some(), Ordering::Release);
        *reason = closed.unwrap_or_default();
    }

    pub(crate) fn js(&self) -> &jetstream::Context {
        &self.js
    }

    /// The stream behind a bucket, and how it stands.
    pub(crate) async fn stream_of(&self, bucket: &str) -> Result<jetstream::stream::Stream, GetStreamError> {
        self.js.get_stream(subject::bucket_stream(bucket)).await
    }

    pub(crate) fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Why nothing can be published at this moment, though the connection stands; `None`: nothing is known against it.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if let Intake::Closed { reason, .. } = self.intake() {
            return Some(format!("intake is closed: {reason}"));
        }
        let (since, why) = self.refusals.standing(std::time::Instant::now())?;
        let seconds = since.as_secs();
        Some(format!("the log has taken no fact for {seconds} s: {why}"))
    }

    /// The number of the connection that stands, or that stood last: each reconnection has a new one.
    pub(crate) fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// The newest acting decision about a service that the log holds at this moment, with its sequence: asked of the stream's
    /// leader, for whoever acts outside must not act on an old one.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn last_decision(
        &self,
        project: &Project,
        service: &ServiceName,
    ) -> anyhow::Result<Option<(u64, Decision)>> {
        use jetstream::stream::LastRawMessageErrorKind::NoMessageFound;
        anyhow::ensure!(self.is_connected(), "not connected");
        let partition = self.partitions.of(project);
        let subject = subject::fact(partition, FactKind::Decision, project, service.as_str());
        let stream = self.js.get_stream_no_info(subject::FACTS).await?;
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => match Fact::decode(FactKind::Decision, &message.payload) {
                Ok(Fact::Decision(decision)) => Ok(Some((message.sequence, decision))),
                Ok(_) => Ok(None),
                Err(fault) => Err(fault.into()),
            },
            Err(fault) if fault.kind() == NoMessageFound => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    pub(crate) async fn bucket(&self, name: &str) -> anyhow::Result<kv::Store> {
        Ok(self.js.get_key_value(name).await?)
    }

    pub(crate) async fn lay_out_facts_at(&self, settings: &StreamSettings, first: u64) -> anyhow::Result<()> {
        streams::facts_at(&self.js, settings, first).await
    }

    pub(crate) async fn lay_out_leases(&self) -> anyhow::Result<kv::Store> {
        streams::leases(&self.js, self.replicas, self.lease).await
    }

    pub(crate) async fn lay_out_documents(&self, bucket: &str) -> anyhow::Result<kv::Store> {
        streams::state_bucket(&self.js, bucket, self.replicas).await
    }

    pub(crate) async fn lay_out_objects(
        &self,
        bucket: &str,
    ) -> anyhow::Result<jetstream::object_store::ObjectStore> {
        streams::objects(&self.js, bucket, self.replicas).await
    }

    pub(crate) async fn lay_out_state(&self, stage: &str) -> anyhow::Result<()> {
        streams::state_bucket(&self.js, &subject::state_bucket(stage), self.replicas).await?;
        Ok(())
    }
}

/// A server's instant as ours.
pub(crate) fn timestamp(unix_nanos: i128) -> Timestamp {
    Timestamp(i64::try_from(unix_nanos / 1_000_000).unwrap_or_default())
}
