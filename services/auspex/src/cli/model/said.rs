//! `auspex model score`: what was said last of a change, or of a build, as a CI job reads it.

use std::time::{Duration, Instant};

use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::{Contribution, GetScoreRequest, Score};
use clap::Args;
use serde_json::{Value, json};
use tonic::Code;

use super::show;
use crate::cli::Output;
use crate::cli::reach::Reach;
use crate::fault::Fault;

/// How often is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Which score.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Its project
    #[arg(long)]
    project: String,
    /// Of this change and its deployments
    #[arg(long, required_unless_present = "run", conflicts_with = "run")]
    revision: Option<String>,
    /// Of this build, by the id that the CI system gave its run
    #[arg(long)]
    run: Option<String>,
    /// How many seconds to wait for it, a day at most
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
    wait: u64,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Asked {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut client = ScoringClient::new(reach.open().await?);
        let request = GetScoreRequest {
            project: self.project,
            revision: self.revision.unwrap_or_default(),
            run: self.run.unwrap_or_default(),
        };
        let end = Instant::now() + Duration::from_secs(self.wait);
        let score = loop {
            match client.get_score(request.clone()).await {
                Ok(score) => break score.into_inner(),
                Err(status) if status.code() == Code::NotFound && Instant::now() < end => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(status) => return Err(status.into()),
            }
        };
        show(self.output, || text(&score), || document(&score))
    }
}

fn band(score: &Score) -> String {
    let name = score.band().as_str_name().to_lowercase();
    name.trim_start_matches("band_").to_owned()
}

fn text(score: &Score) -> String {
    let mut text = format!(
        "P(failure) {:.3} ({:.3} to {:.3}), {} risk, by {}\n",
        score.p_failure,
        score.low,
        score.high,
        band(score),
        score.model
    );
    if !score.mitigations.is_empty() {
        text += &format!("worth doing: {}\n", score.mitigations.join(", "));
    }
    for Contribution {
        feature,
        value,
        log_odds,
    } in &score.reasons
    {
        text += &format!("  {log_odds:+.2}  {feature} = {value}\n");
    }
    text
}

fn document(score: &Score) -> Value {
    let reason = |reason: &Contribution| {
        json!({
            "feature": reason.feature,
            "value": reason.value.is_finite().then_some(reason.value),
            "log_odds": reason.log_odds,
        })
    };
    let entity = score.entity.clone().unwrap_or_default();
    let kind = entity.kind().as_str_name().to_lowercase();
    json!({
        "about": kind.trim_start_matches("entity_kind_"),
        "id": entity.id,
        "revision": entity.revision,
        "p_failure": score.p_failure,
        "low": score.low,
        "high": score.high,
        "band": band(score),
        "model": score.model,
        "mitigations": score.mitigations,
        "reasons": score.reasons.iter().map(reason).collect::<Vec<_>>(),
        "missing": score.missing,
    })
}

#[cfg(test)]
mod tests {
    use auspex_proto::sample;

    use super::*;

    #[test]
    fn a_ci_job_reads_what_is_worth_doing() {
        let score = sample::score(sample::meta("s", "shop", 1).unwrap(), "abc", 0.5).unwrap();
        let mut score = score.to_wire();
        score.mitigations = vec!["enable_extra_retries".to_owned()];
        let document = document(&score);
        assert_eq!(
            (&document["about"], &document["revision"]),
            (&json!("change"), &json!("abc"))
        );
        assert_eq!(document["band"], json!("medium"));
        assert_eq!(document["mitigations"], json!(["enable_extra_retries"]));
        let text = text(&score);
        assert!(text.starts_with("P(failure) 0.500") && text.contains("worth doing: enable_extra_retries"));
    }
}
