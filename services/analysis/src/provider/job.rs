//! A job: the command of its container, run here. Its exit code is the verdict.

use std::process::Stdio;
use std::time::Duration;

use auspex_argo::expr::Value;
use auspex_argo::phase::Phase;
use auspex_argo::provider::Job;
use futures::future::BoxFuture;
use serde_json::Value as Json;
use tokio::process::Command as Process;

use super::{Found, Provider, Site};

/// Longest that a command may run when the job does not say (activeDeadlineSeconds).
const LONGEST: Duration = Duration::from_secs(600);
/// Attempts when the job does not say (backoffLimit), as Kubernetes has it: one and six more.
const BACKOFF: u64 = 6;
/// Most of its last words that are kept, in characters.
const WORDS: usize = 400;

pub(super) struct Command(pub Job);

impl Provider for Command {
    fn measure<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Found, String>> {
        Box::pin(async move {
            if !site.jobs {
                return Err("commands are not allowed here: analysis.jobs is false".to_owned());
            }
            let command = self.0.command().map_err(|refused| refused.reason)?;
            let whole = |field: &str| self.0.spec.get(field).and_then(Json::as_u64);
            let attempts = whole("backoffLimit").unwrap_or(BACKOFF).saturating_add(1);
            let deadline = whole("activeDeadlineSeconds").map_or(LONGEST, Duration::from_secs);
            match tokio::time::timeout(deadline, tries(&command, attempts, &self.environment())).await {
                Ok(found) => found,
                Err(_) => Ok(Found {
                    phase: Some(Phase::Failed),
                    note: format!("not done within {} s", deadline.as_secs()),
                    ..Found::default()
                }),
            }
        })
    }
}

impl Command {
    /// Plain variables of the container.
    fn environment(&self) -> Vec<(String, String)> {
        let env = self.0.spec.pointer("/template/spec/containers/0/env");
        let env = env.and_then(Json::as_array).into_iter().flatten();
        env.filter_map(|one| {
            let name = one.get("name").and_then(Json::as_str)?;
            let value = one.get("value").and_then(Json::as_str)?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
    }
}

async fn tries(command: &[String], attempts: u64, environment: &[(String, String)]) -> Result<Found, String> {
    let mut wait = Duration::from_secs(10);
    let mut attempt = 1;
    loop {
        let found = once(command, environment).await?;
        if found.phase == Some(Phase::Successful) || attempt >= attempts {
            return Ok(found);
        }
        attempt += 1;
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(Duration::from_secs(360));
    }
}

async fn once(command: &[String], environment: &[(String, String)]) -> Result<Found, String> {
    let (program, arguments) = command.split_first().ok_or("a job without a command")?;
    let output = Process::new(program)
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|fault| format!("{program}: {fault}"))?;
    let words = if output.stderr.is_empty() {
        output.stdout
    } else {
        output.stderr
    };
    let words = String::from_utf8_lossy(&words);
    let last: Vec<char> = words.trim().chars().rev().take(WORDS).collect();
    let last: String = last.into_iter().rev().collect();
    let code = output.status.code();
    Ok(Found {
        value: Value::Nil,
        shown: code.map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}")),
        phase: Some(if output.status.success() {
            Phase::Successful
        } else {
            Phase::Failed
        }),
        note: last,
    })
}
