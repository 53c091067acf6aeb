//! Asks every target whether it is ready.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::Health;
use crate::link::Upstream;
use crate::plane::Plane;

/// Asks forever, and closes connections that nobody needs.
pub async fn watch(plane: Arc<Plane>) {
    let health = plane.config.health.clone();
    let mut round = tokio::time::interval(Duration::from_millis(health.interval_ms));
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let upstreams = plane.upstreams();
        join_all(upstreams.iter().map(|upstream| check(upstream, &health))).await;
        for upstream in &upstreams {
            upstream.sweep(plane.timeouts().pool_idle());
        }
        plane.refresh();
    }
}

async fn check(upstream: &Upstream, health: &Health) {
    let patience = Duration::from_millis(health.timeout_ms);
    let answers = tokio::time::timeout(patience, ask(upstream, &health.path)).await;
    upstream.note(matches!(answers, Ok(Ok(true))), health.fall);
}

async fn ask(upstream: &Upstream, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((upstream.origin.host.as_str(), upstream.origin.port)).await?;
    if path.is_empty() {
        return Ok(true);
    }
    let host = upstream.authority.to_str().unwrap_or_default();
    let question = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: auspex-proxy\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(question.as_bytes()).await?;
    // `HTTP/1.1 200`: the rest does not matter.
    let mut line = [0_u8; 12];
    stream.read_exact(&mut line).await?;
    Ok(line.starts_with(b"HTTP/1.") && matches!(line.get(9), Some(b'2' | b'3')))
}
