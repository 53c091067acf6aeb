//! MLflow's stock Python client against the real door. Opt in: `AUSPEX_MLFLOW_PYTHON` names a Python that has the package
//! `mlflow` or `mlflow-skinny`; without one the test says so and passes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod mesh;

use std::process::Command;

use mesh::{Up, files};

/// A Python with the client.
fn python() -> Option<String> {
    let asked = std::env::var("AUSPEX_MLFLOW_PYTHON").ok();
    let candidate = asked.unwrap_or_else(|| "python3".to_owned());
    let found = Command::new(&candidate).args(["-c", "import mlflow"]).output();
    found
        .is_ok_and(|output| output.status.success())
        .then_some(candidate)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_client_logs_registers_aliases_finds_and_downloads() {
    let Some(python) = python() else {
        auspex_chassis::testing::not_run("no Python with mlflow-skinny; AUSPEX_MLFLOW_PYTHON may name one");
        return;
    };
    let up = Up::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let address = format!("http://{}", up.mesh.address());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client.py");
    let path = folder.path().to_owned();
    let run = move || {
        let mut command = Command::new(python);
        command.arg(script).arg(address).arg(path);
        command
            .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            .env("GIT_PYTHON_REFRESH", "quiet");
        command.output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}\n{}", said[0], said[1]);
    assert!(said[0].contains("all of it works"), "{}", said[0]);
}
