//! What follows an upgrade: bytes both ways, until one side ends or the process stops.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::link::Link;

/// Both sides must have switched within this time; both have already said so.
const SWITCH: Duration = Duration::from_secs(10);

/// Copies until both sides are done. It has no idle timeout: a quiet WebSocket is a healthy one.
pub(crate) async fn run(client: OnUpgrade, target: OnUpgrade, link: Link) {
    let both = async {
        link.finish().await;
        Ok::<_, hyper::Error>((client.await?, target.await?))
    };
    let Ok(Ok((client, target))) = tokio::time::timeout(SWITCH, both).await else {
        tracing::debug!("an upgrade did not come about");
        return;
    };
    let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
    if let Err(fault) = tokio::io::copy_bidirectional(&mut client, &mut target).await {
        tracing::debug!(%fault, "a tunnel broke");
    }
}
