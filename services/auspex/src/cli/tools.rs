//! `auspex tools` and `auspex health`: what an image needs when it is built, and when it runs.

use super::print;
use super::reach::Reach;
use crate::fault::Fault;

/// Finds or installs nats-server and ONNX Runtime, and says where they are.
pub(crate) async fn install() -> Result<(), Fault> {
    let server = auspex_chassis::tools::nats_server(None).await?;
    let runtime = auspex_chassis::tools::onnxruntime().await?;
    print::line(&format!(
        "nats-server  {}\nonnxruntime  {}",
        server.display(),
        runtime.display()
    ))
}

/// Asks a process whether it is ready; what it says when it is not is the fault.
pub(crate) async fn health(reach: &Reach) -> Result<(), Fault> {
    let (client, address) = reach.http()?;
    let answer = client
        .get(format!("{address}/readyz"))
        .send()
        .await
        .map_err(|fault| reach.away(&fault))?;
    let (ready, text) = (
        answer.status().is_success(),
        answer.text().await.unwrap_or_default(),
    );
    match ready {
        true => print::line(text.trim()),
        false => Err(anyhow::anyhow!("{}: {}", reach.server, text.trim()).into()),
    }
}
