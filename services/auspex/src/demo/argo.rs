//! The scenario of a team that has Argo Rollouts' documents and a Prometheus: both as they stand, on Auspex's own proxy.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use auspex_analysis::local::Prometheus;
use auspex_argo::convert::{Converted, convert};
use auspex_argo::document::{Kind, read};
use auspex_argo::expr::Mode;
use auspex_argo::template::Templates;
use auspex_chassis::{Mesh, Options};
use auspex_proto::wire::analysis_service_client::AnalysisServiceClient;
use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use auspex_proto::wire::{GetRolloutRequest, PutAnalysisRequest, StartRolloutRequest};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use tonic::transport::Channel;

use super::ground::{CROWD, free};
use super::load::Load;
use super::report::Show;
use super::shop::{Habits, Shop};
use super::{Interrupted, interrupted};
use crate::cli::view;
use crate::services;

/// A rollout is given up on after this long.
const OVER_WITHIN: Duration = Duration::from_secs(120);
/// The service, its rollout and its project.
const SERVICE: &str = "shop";
const PROJECT: &str = "default";
/// What users are on.
const STABLE: &str = "v1";

/// How one version fared.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// `good` or `bad`.
    pub scenario: &'static str,
    /// `promoted` or `rolled_back`.
    pub outcome: String,
    /// Whether that is how it has to end.
    pub ok: bool,
    /// From its start to its end.
    pub seconds: f64,
    /// Bad answers that users got from it.
    pub harmed: u64,
    /// The last decision's reason.
    pub reason: String,
}

impl Ending {
    /// For programs.
    #[must_use]
    pub fn document(&self) -> Json {
        json!({
            "scenario": format!("argo-{}", self.scenario),
            "outcome": self.outcome,
            "ok": self.ok,
            "seconds_to_decision": self.seconds,
            "harmed_requests": self.harmed,
            "reason": self.reason,
        })
    }
}

/// The Rollout and its templates, as a team has them; only the times are shorter, for a person is waiting.
#[allow(clippy::too_many_lines, reason = "it is a document")]
fn documents(image: &str, candidate: &str) -> String {
    let rate = |codes: &str| {
        format!("sum(rate(shop_requests_total{{version=\\\"{{{{args.version}}}}\\\"{codes}}}[5s]))")
    };
    let query = format!("{} / {}", rate(",code!~\\\"5..\\\""), rate(""));
    format!(
        r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: {SERVICE}
  annotations:
    auspex.dev/mode: act
    auspex.dev/candidate-url: "{candidate}"
spec:
  replicas: 4
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec: {{containers: [{{name: shop, image: "{image}"}}]}}
  strategy:
    canary:
      analysis:
        templates: [{{templateName: success-rate}}]
        startingStep: 2
        args: [{{name: version, valueFrom: {{podTemplateHashValue: Latest}}}}]
      steps:
      - setWeight: 10
      - pause: {{duration: 6s}}
      - setWeight: 25
      - analysis:
          templates: [{{templateName: once}}]
          args: [{{name: version, valueFrom: {{podTemplateHashValue: Latest}}}}]
      - setWeight: 50
      - pause: {{duration: 4s}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: success-rate}}
spec:
  args: [{{name: version}}]
  metrics:
  - name: success-rate
    interval: 2s
    failureLimit: 1
    successCondition: result[0] >= 0.95
    provider: {{prometheus: {{query: "{query}"}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: once}}
spec:
  args: [{{name: version}}]
  metrics:
  - name: three-times
    interval: 2s
    count: 3
    failureLimit: 1
    successCondition: result[0] >= 0.95
    provider: {{prometheus: {{query: "{query}"}}}}
"#
    )
}

fn converted(text: &str) -> anyhow::Result<Converted> {
    let kinds: Vec<Kind> = read(text)?
        .iter()
        .map(|document| Kind::of(document).map_err(|(field, reason)| anyhow::anyhow!("{field}: {reason}")))
        .collect::<anyhow::Result<_>>()?;
    let mut templates = Templates::default();
    templates.add_all(&kinds);
    let converted = convert(&kinds, &templates, Mode::Strict);
    if let Some(refused) = converted.refused.first() {
        bail!("{}: {}", refused.field, refused.reason);
    }
    Ok(converted)
}

/// Plays a good and a bad version.
///
/// # Errors
/// Prometheus is missing, the mesh cannot be started, a door refuses; [`Interrupted`].
pub async fn run(show: Show) -> anyhow::Result<Vec<Ending>> {
    let mut endings = Vec::new();
    for (scenario, habits, ending) in [
        ("good", Habits::healthy(), "promoted"),
        ("bad", Habits::broken(), "rolled_back"),
    ] {
        show.line(&format!(
            "\n== argo, {scenario}: an Argo Rollout with two AnalysisTemplates, Prometheus, the proxy, the shop and its users"
        ));
        endings.push(Box::pin(one(scenario, habits, (ending, show))).await?);
    }
    Ok(endings)
}

async fn one(scenario: &'static str, habits: Habits, (ending, show): (&str, Show)) -> anyhow::Result<Ending> {
    let folder = tempfile::Builder::new().prefix("auspex-demo-").tempdir()?;
    let image = format!("shop:{scenario}");
    // The version's label is its revision, which follows from its pods alone.
    let revision = converted(&documents(&image, "http://127.0.0.1:1"))?;
    let revision = revision
        .documents
        .first()
        .and_then(|document| document.pointer("/spec/tracks/candidate/revision"))
        .and_then(Json::as_str)
        .context("the rollout has no revision")?
        .to_owned();
    let stable = Shop::open(STABLE, Habits::healthy()).await?;
    let candidate = Shop::open(&revision, habits).await?;
    let (server, proxy) = (free(0)?, free(0)?);
    let bare = |url: String| url.trim_start_matches("http://").to_owned();
    let targets = [bare(stable.url()), bare(candidate.url()), server.to_string()];
    let prometheus = Prometheus::start(folder.path(), &targets)
        .await?
        .context("prometheus is not on PATH: this scenario needs it (Debian: apt-get install prometheus)")?;
    let file = folder.path().join("auspex.toml");
    std::fs::write(
        &file,
        configuration((server, proxy), &stable.url(), &prometheus.url()),
    )?;
    let options = Options {
        config: Some(file),
        alone: true,
        broker: Some(folder.path().join("nats")),
        ..Options::default()
    };
    let mesh = Box::pin(Mesh::start(&services::ALL, &options)).await?;
    let load = Load::begin(proxy, CROWD);
    let text = documents(&image, &candidate.url());
    let address = format!("http://{}", mesh.address());
    let played = tokio::select! {
        played = play(&address, &text, show) => played,
        fault = mesh.failed() => Err(anyhow::anyhow!(fault)),
        () = interrupted() => Err(Interrupted.into()),
    };
    let harmed = load.counts().of(&revision).bad;
    drop(load);
    let stragglers = mesh.stop().await;
    anyhow::ensure!(
        stragglers.is_empty(),
        "did not stop in time: {}",
        stragglers.join(", ")
    );
    let (outcome, reason, seconds) = played?;
    show.line(&format!(
        "{outcome} after {seconds:.0} s, {harmed} bad answers: {reason}"
    ));
    Ok(Ending {
        scenario,
        ok: outcome == ending,
        outcome,
        seconds,
        harmed,
        reason,
    })
}

fn configuration((server, proxy): (SocketAddr, SocketAddr), stable: &str, prometheus: &str) -> String {
    format!(
        r#"
[server]
listen = "{server}"

[nats]
partitions = 2

[proxy]
listen = "{proxy}"

[[proxy.routes]]
service = "{SERVICE}"
project = "{PROJECT}"
stable = "{stable}"

[canary]
score_wait = "1s"

[analysis]
prometheus = "{prometheus}"
mesh = "http://{server}"
"#
    )
}

/// Starts the rollout and follows it to its end.
async fn play(server: &str, text: &str, show: Show) -> anyhow::Result<(String, String, f64)> {
    let channel = Channel::from_shared(server.to_owned())?.connect().await?;
    // A baseline, as users are at work before anybody deploys.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut rollouts = RolloutServiceClient::new(channel.clone());
    for document in converted(text)?.documents {
        let yaml = serde_yaml_ng::to_string(&document)?;
        match document.get("kind").and_then(Json::as_str) {
            Some("Analysis") => {
                let request = PutAnalysisRequest {
                    project: PROJECT.to_owned(),
                    document: yaml,
                    actor: "demo".to_owned(),
                };
                AnalysisServiceClient::new(channel.clone()).put(request).await?;
            }
            _ => continue,
        }
    }
    let rollout = converted(text)?
        .documents
        .into_iter()
        .next()
        .context("no rollout")?;
    let request = StartRolloutRequest {
        project: PROJECT.to_owned(),
        document: serde_yaml_ng::to_string(&rollout)?,
        actor: "demo".to_owned(),
    };
    let answer = rollouts.start(request).await?.into_inner();
    anyhow::ensure!(answer.refused.is_empty(), "{}", answer.refused);
    let begun = Instant::now();
    let mut shown = 0;
    while begun.elapsed() < OVER_WITHIN {
        let request = GetRolloutRequest {
            project: PROJECT.to_owned(),
            name: SERVICE.to_owned(),
        };
        let found = rollouts.get(request).await?.into_inner();
        let last = found.last.clone().unwrap_or_default();
        if last.revision_number > shown {
            shown = last.revision_number;
            show.line(&view::line(&found));
        }
        if view::is_over(found.phase) {
            let phase = found
                .phase()
                .as_str_name()
                .trim_start_matches("PHASE_")
                .to_ascii_lowercase();
            return Ok((phase, last.reason_text, begun.elapsed().as_secs_f64()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("the rollout is not over after {} s", OVER_WITHIN.as_secs())
}
