//! Argo's documents at work with control and analysis alone, in `observe`, without a cluster: what a run says moves the rollout.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod house;

use std::sync::atomic::Ordering;
use std::time::Duration;

use auspex_proto::command::Ask;
use auspex_proto::wire;
use house::{House, text};

/// Blue and green, with an analysis before the switch or after it.
fn switch(analysis: &str) -> String {
    format!(
        "
    blueGreen:
      activeService: shop
      previewService: shop-preview
      scaleDownDelaySeconds: 0
      {analysis}: {{templates: [{{templateName: errors}}]}}
"
    )
}

/// Paused, with everything on the candidate.
fn paused(view: &wire::RolloutView) -> bool {
    let last = view.last.clone().unwrap_or_default();
    view.phase() == wire::Phase::Baking && last.action() == wire::Action::Pause
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_comes_when_its_analysis_has_approved() {
    let house = House::start(1).await;
    house.begin(&switch("prePromotionAnalysis")).await;
    let over = house
        .until("the switch", |view| view.phase() == wire::Phase::Promoted)
        .await;
    let gate = over.gates.iter().find(|gate| gate.name == "prePromotionAnalysis");
    assert_eq!(
        gate.map(|gate| gate.state.as_str()),
        Some("passed"),
        "{:?}",
        over.gates
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inconclusive_step_waits_and_is_measured_anew_by_who_resumes() {
    let house = House::start(20).await;
    house
        .begin(
            "
    canary:
      steps:
      - setWeight: 20
      - analysis: {templates: [{templateName: errors}]}
      - setWeight: 60
",
        )
        .await;
    house
        .until("the step waits", |view| view.phase() == wire::Phase::Paused)
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = house.until("it still waits", |_| true).await;
    assert_eq!(house.gate().await, "Inconclusive", "waiting is no pass");
    assert_eq!(
        (waits.phase(), waits.weight),
        (wire::Phase::Paused, 20),
        "{}",
        text(&waits)
    );
    house.percent.store(1, Ordering::Relaxed);
    house.ask(Ask::Resume).await;
    house
        .until("the end", |view| view.phase() == wire::Phase::Promoted)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inconclusive_analysis_after_a_switch_pauses_and_who_resumes_or_promotes_lets_it_run_anew() {
    let house = House::start(20).await;
    house.begin(&switch("postPromotionAnalysis")).await;
    let waits = house.until("the pause after the switch", paused).await;
    assert!(
        text(&waits).contains("analysis postPromotionAnalysis is Inconclusive"),
        "{}",
        text(&waits)
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = house.until("it still waits", |_| true).await;
    assert!(paused(&waits) && waits.weight == 100, "{}", text(&waits));
    // Once more in vain.
    house.ask(Ask::Resume).await;
    let number = waits.last.map_or(0, |last| last.revision_number);
    house
        .until("it is paused again", |view| {
            paused(view)
                && view
                    .last
                    .as_ref()
                    .is_some_and(|last| last.revision_number > number)
        })
        .await;
    house.percent.store(1, Ordering::Relaxed);
    // As with Argo Rollouts: what is paused is not ended by it.
    house.ask(Ask::Promote { full: false }).await;
    let over = house
        .until("the end", |view| view.phase() == wire::Phase::Promoted)
        .await;
    let gate = over
        .gates
        .iter()
        .find(|gate| gate.name == "postPromotionAnalysis");
    assert_eq!(
        gate.map(|gate| gate.state.as_str()),
        Some("passed"),
        "{:?}",
        over.gates
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_an_experiment_measures_what_runs_and_goes_on_or_back() {
    let strategy = "
    canary:
      steps:
      - setWeight: 20
      - experiment:
          duration: 1s
          templates: [{name: new, specRef: canary, replicas: 1}]
          analyses: [{name: e, templateName: errors, requiredForCompletion: true}]
      - setWeight: 60
";
    let house = House::start(90).await;
    house.begin(strategy).await;
    let over = house
        .until("the way back", |view| view.phase() == wire::Phase::RolledBack)
        .await;
    assert!(
        text(&over).contains("analysis step-1 is Failed"),
        "{}",
        text(&over)
    );
    assert_eq!(house.gate().await, "Failed");
    house.percent.store(1, Ordering::Relaxed);
    house.begin(strategy).await;
    house
        .until("the end", |view| view.phase() == wire::Phase::Promoted)
        .await;
    assert_eq!(house.gate().await, "Successful");
}
