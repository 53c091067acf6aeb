//! Scores and what became of them, on the log: figures, an experiment that promotes, one that returns.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test may, and a story is told in one piece"
)]

mod mesh;

use auspex_chassis::{From, House};
use auspex_proto::event::{Body, Deployment, DeploymentState, DeploymentStatus};
use auspex_proto::score::{OtherScore, Trial};
use auspex_proto::wire::experiments_client::ExperimentsClient;
use auspex_proto::wire::feedback_client::FeedbackClient;
use auspex_proto::wire::{
    Experiment, ExperimentReason, ExperimentState, GetReliabilityRequest, ListExperimentsRequest,
    StartExperimentRequest,
};
use auspex_proto::{Event, Fact, FactKind, Meta, Revision, Score, ServiceName, sample};
use mesh::{PATIENCE, Up, files};

fn meta(n: u64, what: &str) -> Meta {
    sample::meta(&format!("{what}-{n}"), &format!("acme/shop-{}", n % 3), n + 1).unwrap()
}

/// One change: its score by champion and challenger, its deployment, what became of it.
async fn play(house: &House, n: u64, experiment: &Experiment, (p, q): (f64, f64), failed: bool) {
    let revision = Revision::new(format!("rev-{n}")).unwrap();
    let title = |version: u64| format!("change-risk@{version}");
    let score = Score {
        low: p * 0.5,
        high: (p * 1.5).min(1.0),
        model: title(experiment.champion),
        trial: Trial {
            arm: "champion".to_owned(),
            experiment: experiment.name.clone(),
            others: vec![OtherScore {
                model: title(experiment.challenger),
                arm: "challenger".to_owned(),
                p_failure: q,
                low: q,
                high: q,
                raw: None,
            }],
            ..Trial::default()
        },
        ..sample::score(meta(n, "score"), revision.as_str(), p).unwrap()
    };
    let service = ServiceName::new("checkout").unwrap();
    let deployment = Body::Deployment(Deployment {
        deployment_id: format!("d-{n}"),
        service: service.clone(),
        environment: "production".to_owned(),
        revision,
        stable_revision: None,
        document: String::new(),
        actor: "ada".to_owned(),
    });
    let state = if failed {
        DeploymentState::RolledBack
    } else {
        DeploymentState::Success
    };
    let status = Body::DeploymentStatus(DeploymentStatus {
        deployment_id: format!("d-{n}"),
        service: Some(service),
        environment: "production".to_owned(),
        revision: None,
        state,
        reason: String::new(),
    });
    let event = |body, what| {
        Fact::Event(Event {
            meta: meta(n, what),
            body,
        })
    };
    let facts = [
        Fact::Score(score),
        event(deployment, "deployed"),
        event(status, "ended"),
    ];
    for fact in &facts {
        house.bus().publish(fact).await.unwrap();
    }
}

async fn begin(up: &Up) -> Experiment {
    let request = StartExperimentRequest {
        model: "change-risk".to_owned(),
        challenger: "2".to_owned(),
        percent: 0,
        actor: "ada".to_owned(),
        note: "is it better?".to_owned(),
    };
    ExperimentsClient::new(up.channel.clone())
        .start(request)
        .await
        .unwrap()
        .into_inner()
}

async fn ended(up: &Up) -> Experiment {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let request = ListExperimentsRequest::default();
        let all = ExperimentsClient::new(up.channel.clone())
            .list(request)
            .await
            .unwrap();
        let last = all.into_inner().experiments.into_iter().next().unwrap();
        if last.state() != ExperimentState::Running {
            return last;
        }
        assert!(tokio::time::Instant::now() < end, "still running: {last:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_better_becomes_champion_and_the_worse_goes_back() {
    let up = Up::start(&["registry.feedback.maturity_minutes=0"]).await;
    let house = &up.test.house;
    up.register(files(), "").await.unwrap();
    let none = StartExperimentRequest {
        model: "change-risk".to_owned(),
        challenger: "2".to_owned(),
        percent: 300,
        ..StartExperimentRequest::default()
    };
    let mut client = ExperimentsClient::new(up.channel.clone());
    let refused = client.start(none).await.unwrap_err();
    assert!(refused.message().contains("300"), "{}", refused.message());
    let all = client.list(ListExperimentsRequest::default()).await.unwrap();
    assert!(
        all.into_inner().experiments.is_empty(),
        "it left something behind"
    );
    let experiment = begin(&up).await;
    assert_eq!(experiment.state(), ExperimentState::Running);
    let mut observed = house.follow(&[FactKind::Observation], From::All).await.unwrap();
    // Every fifth fails; the challenger knows, the champion says the same of all.
    for n in 0..150 {
        let failed = n % 5 == 0;
        play(
            house,
            n,
            &experiment,
            (0.2, if failed { 0.75 } else { 0.08 }),
            failed,
        )
        .await;
    }
    let promoted = ended(&up).await;
    assert_eq!(promoted.state(), ExperimentState::Promoted, "{}", promoted.text);
    assert_eq!(promoted.reason(), ExperimentReason::Better);
    let model = up.until(|model| model.aliases["champion"] == 2).await;
    assert!(!model.aliases.contains_key("challenger"));
    let last = model
        .history
        .iter()
        .rev()
        .find(|c| c.alias == "champion")
        .unwrap();
    assert_eq!(
        (last.cause.as_str(), last.actor.starts_with("experiment ")),
        ("experiment_promoted", true)
    );

    // The figures of the champion, over three projects and of one.
    let mut feedback = FeedbackClient::new(up.channel.clone());
    let all = feedback
        .get_reliability(GetReliabilityRequest::default())
        .await
        .unwrap()
        .into_inner()
        .models;
    let one = all.iter().find(|m| m.model == "change-risk@1").unwrap();
    assert!(
        one.outcomes >= 100 && (one.failure_rate - 0.2).abs() < 0.05,
        "{one:?}"
    );
    assert!((one.brier - 0.16).abs() < 0.02 && one.ece < 0.05, "{one:?}");
    let request = GetReliabilityRequest {
        project: "acme/shop-1".to_owned(),
        ..GetReliabilityRequest::default()
    };
    let of_one = feedback
        .get_reliability(request)
        .await
        .unwrap()
        .into_inner()
        .models;
    assert!(of_one[0].outcomes < one.outcomes);
    let batch = tokio::time::timeout(PATIENCE, observed.next())
        .await
        .unwrap()
        .unwrap();
    let Fact::Observations(batch) = batch.fact else {
        panic!("not observations")
    };
    assert!(
        batch
            .observations
            .iter()
            .any(|o| o.metric == "model_brier" && o.service.as_str() == "change-risk@1")
    );

    // The other way round: what was better is champion now, and the old one does worse beside it.
    let request = StartExperimentRequest {
        model: "change-risk".to_owned(),
        challenger: "1".to_owned(),
        percent: 20,
        actor: "ada".to_owned(),
        note: String::new(),
    };
    let again = client.start(request.clone()).await.unwrap().into_inner();
    assert!(
        client
            .start(request)
            .await
            .unwrap_err()
            .message()
            .contains("stop that first")
    );
    for n in 1_000..1_150 {
        let failed = n % 5 == 0;
        let pair = (if failed { 0.75 } else { 0.08 }, 0.2);
        play(house, n, &again, pair, failed).await;
    }
    let returned = ended(&up).await;
    assert_eq!(
        (returned.state(), returned.reason()),
        (ExperimentState::Returned, ExperimentReason::WorseLogLoss)
    );
    let model = up.until(|model| !model.aliases.contains_key("challenger")).await;
    assert_eq!(model.aliases["champion"], 2);
}
