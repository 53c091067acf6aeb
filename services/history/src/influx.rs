//! InfluxDB 2, through the crate `influxdb2`, whose faults stay inside.
//!
//! What the crate does wrong and what is done about it: it panics on a null in a double column, on a body that is cut short
//! and on text that is no UTF-8 (the query runs in a task of its own, asks for no nulls, and [`relay`] hands over whole
//! answers only); it waits for ever (the relay has a limit); it loses `Retry-After` (the relay writes it into the text); it
//! writes tags raw, so that one with a line break adds a line ([`line`] builds lines, and cleans them); it does not compress
//! lines and drops the path of an address (the relay does both); its TLS stack is years old (it speaks plain HTTP to the relay
//! in this process, the relay speaks TLS with the stack of the house).

pub mod flux;
pub mod line;
mod relay;
mod rows;

use std::time::Duration;

use futures::future::BoxFuture;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::models::Query;
use influxdb2::{Client, ClientBuilder, RequestError};

use self::relay::Relay;
use crate::config::InfluxConfig;
use crate::series::{Ask, Point, Series, TimeSeries, WriteFault};

/// The database.
#[derive(Debug)]
pub struct Influx {
    client: Client,
    config: InfluxConfig,
    /// Held for as long as the client speaks to it.
    _relay: Relay,
}

impl Influx {
    /// Ready to ask; it is not asked yet.
    ///
    /// # Errors
    /// When the relay cannot be opened.
    pub async fn open(config: &InfluxConfig) -> anyhow::Result<Self> {
        let relay = Relay::open(config).await?;
        let client = ClientBuilder::new(relay.url(), &config.org, config.token.expose()).build()?;
        Ok(Self {
            client,
            config: config.clone(),
            _relay: relay,
        })
    }

    async fn send(&self, points: &[Point]) -> Result<(), WriteFault> {
        let lines = line::lines(points);
        if lines.is_empty() {
            return Ok(());
        }
        let (org, bucket) = (&self.config.org, &self.config.bucket);
        let sent = self
            .client
            .write_line_protocol_with_precision(org, bucket, lines, TimestampPrecision::Milliseconds)
            .await;
        match sent {
            Ok(()) => Ok(()),
            Err(fault) => Err(explain(fault)),
        }
    }
}

impl TimeSeries for Influx {
    fn name(&self) -> &'static str {
        "influx"
    }

    fn write<'a>(&'a self, points: &'a [Point]) -> BoxFuture<'a, Result<(), WriteFault>> {
        Box::pin(async move {
            // What is too large for the server goes in halves.
            let mut left = vec![points];
            while let Some(part) = left.pop() {
                match self.send(part).await {
                    Err(WriteFault::Refused(reason)) if part.len() > 1 && reason.starts_with("413") => {
                        let (first, second) = part.split_at(part.len() / 2);
                        left.extend([second, first]);
                    }
                    sent => sent?,
                }
            }
            Ok(())
        })
    }

    fn range<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, anyhow::Result<Vec<Series>>> {
        let query = Query::new(flux::range(ask, &self.config.bucket));
        let client = self.client.clone();
        let limit = Duration::from_millis(self.config.timeout_ms.saturating_add(1_000));
        Box::pin(async move {
            // A task of its own: where the crate panics, it ends, and nothing else does.
            let asked = tokio::spawn(async move {
                let answer = client.query_raw_iter(Some(query)).await?;
                rows::collect(&answer)
            });
            match tokio::time::timeout(limit, asked).await {
                Ok(Ok(Ok(records))) => Ok(rows::series(records)),
                Ok(Ok(Err(fault))) => Err(anyhow::anyhow!("InfluxDB: {}", told(&fault))),
                Ok(Err(_)) => Err(anyhow::anyhow!("InfluxDB: its answer cannot be read")),
                Err(_) => Err(anyhow::anyhow!("InfluxDB: no answer within {limit:?}")),
            }
        })
    }

    fn forget(&self, _before_ms: i64) -> BoxFuture<'_, anyhow::Result<u64>> {
        // A bucket has its own rule of retention.
        Box::pin(std::future::ready(Ok(0)))
    }
}

fn told(fault: &RequestError) -> String {
    match fault {
        RequestError::Http { status, text } => format!("{status}: {}", relay::text(text)),
        RequestError::Deserializing { text } => text.clone(),
        fault => fault.to_string(),
    }
}

/// What a failed write means: bad lines will never be taken, everything else passes.
fn explain(fault: RequestError) -> WriteFault {
    let reason = told(&fault);
    match fault {
        RequestError::Http { status, .. } if matches!(status.as_u16(), 400 | 413 | 422) => {
            WriteFault::Refused(reason)
        }
        RequestError::Http { text, .. } => WriteFault::Away {
            reason,
            retry_after_ms: relay::retry_after(&text),
        },
        _ => WriteFault::Away {
            reason,
            retry_after_ms: None,
        },
    }
}
