//! Versions, aliases and their history through the door, with real NATS and the real ONNX Runtime.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test may, and a story is told in one piece"
)]

mod mesh;

use auspex_chassis::From;
use auspex_proto::wire::experiments_client::ExperimentsClient;
use auspex_proto::wire::{
    DownloadRequest, GetModelRequest, GetModelVersionRequest, ListModelVersionsRequest, RollbackModelRequest,
    SetAliasRequest, StartExperimentRequest, StopExperimentRequest,
};
use auspex_proto::{Fact, FactKind, Model};
use auspex_registry::Config;
use auspex_registry::gate::{Gate, Parcel};
use auspex_registry::shelf::Shelf;
use mesh::{PATIENCE, Up, files};
use tonic::Code;

fn alias(version: &str, alias: &str) -> SetAliasRequest {
    SetAliasRequest {
        name: "change-risk".to_owned(),
        version: version.to_owned(),
        alias: alias.to_owned(),
        actor: "ada".to_owned(),
        note: "tried".to_owned(),
        percent: 0,
        experiment: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_numbered_aliased_rolled_back_and_told() {
    let up = Up::start(&[]).await;
    let mut client = up.client();
    let mut facts = up.test.house.follow(&[FactKind::Model], From::All).await.unwrap();
    let mut told: Vec<Model> = Vec::new();
    let first = up.model().await.unwrap();
    assert_eq!((first.latest, first.history[0].cause.as_str()), (1, "register"));

    let second = up.register(files(), "").await.unwrap();
    assert_eq!(
        (second.version, second.servable, second.golden_rows),
        (2, true, 100)
    );
    assert_eq!(second.others[0].file, "CARD.md");
    let third = up.register(files(), "challenger").await.unwrap();
    assert_eq!((third.version, third.aliases), (3, vec!["challenger".to_owned()]));

    let promoted = client
        .set_alias(alias("2", "champion"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(promoted.aliases["champion"], 2);
    let last = promoted.history.last().unwrap();
    assert_eq!(
        (last.actor.as_str(), last.note.as_str(), last.previous),
        ("ada", "tried", 1)
    );
    let back = RollbackModelRequest {
        name: "change-risk".to_owned(),
        actor: "bob".to_owned(),
        note: "worse".to_owned(),
    };
    let back = client.rollback(back).await.unwrap().into_inner();
    assert_eq!(
        (
            back.aliases["champion"],
            back.history.last().unwrap().cause.as_str()
        ),
        (1, "rollback")
    );
    client.set_alias(alias("", "challenger")).await.unwrap();

    while told.len() < 5 {
        let next = tokio::time::timeout(PATIENCE, facts.next())
            .await
            .unwrap()
            .unwrap();
        let Fact::Model(model) = next.fact else {
            panic!("not a model")
        };
        told.push(model);
    }
    let told: Vec<(String, String, bool)> = told
        .into_iter()
        .map(|m| (m.alias, m.version, m.removed))
        .collect();
    let fact = |alias: &str, version: &str, removed| (alias.to_owned(), version.to_owned(), removed);
    assert_eq!(
        told,
        [
            fact("champion", "1", false),
            fact("challenger", "3", false),
            fact("champion", "2", false),
            fact("champion", "1", false),
            fact("challenger", "3", true),
        ]
    );

    let request = ListModelVersionsRequest {
        name: "change-risk".to_owned(),
    };
    let versions = client.list_versions(request).await.unwrap().into_inner().versions;
    assert_eq!(versions.iter().map(|v| v.version).collect::<Vec<_>>(), [3, 2, 1]);
    let request = GetModelVersionRequest {
        name: "change-risk".to_owned(),
        version: String::new(),
    };
    let champion = client.get_version(request).await.unwrap().into_inner();
    assert_eq!((champion.version, champion.features.len()), (1, 14));
    let request = DownloadRequest {
        sha256: champion.artifact.unwrap().sha256,
    };
    let mut stream = client.download(request).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        bytes.extend(chunk.bytes);
    }
    assert!(bytes == files()["model.onnx"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_it_says_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("registry.storage=file://{}", folder.path().display());
    let up = Up::start(&[&storage]).await;
    let mut pickle = files();
    pickle.insert("preprocess.pkl".to_owned(), b"\x80\x04.".to_vec());
    let refused = up.register(pickle, "").await.unwrap_err();
    assert!(
        refused.code() == Code::InvalidArgument && refused.message().contains("preprocess.pkl"),
        "{refused}"
    );
    let mut corrupt = files();
    corrupt.get_mut("model.onnx").unwrap()[5_000] ^= 1;
    let refused = up.register(corrupt, "").await.unwrap_err();
    assert!(refused.message().contains("sha256"), "{refused}");
    let mut bare = files();
    bare.remove("golden.json");
    assert!(
        up.register(bare, "")
            .await
            .unwrap_err()
            .message()
            .contains("golden.json")
    );
    assert_eq!(
        up.model().await.unwrap().latest,
        1,
        "no number is spent on what is refused"
    );

    // Kept whole, and spoilt afterwards: it takes no alias, and the champion stays.
    up.register(files(), "").await.unwrap();
    let artifact = auspex_registry::shelf::sha256(&files()["model.onnx"]);
    let path = folder.path().join(&artifact);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = up.client().set_alias(alias("2", "champion")).await.unwrap_err();
    assert!(
        refused.code() == Code::FailedPrecondition && refused.message().contains("model.onnx"),
        "{refused}"
    );
    std::fs::remove_file(&path).unwrap();
    let refused = up.client().set_alias(alias("2", "champion")).await.unwrap_err();
    assert!(refused.message().contains("no longer there"), "{refused}");
    assert_eq!(up.model().await.unwrap().aliases["champion"], 1);
    for wrong in [alias("9", "staging"), alias("2", "7"), alias("nobody", "staging")] {
        assert!(up.client().set_alias(wrong).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_get_a_number_each() {
    let up = Up::start(&[]).await;
    let registering = (0..6).map(|_| up.register(files(), ""));
    let all = futures::future::join_all(registering).await;
    let mut numbers: Vec<u64> = all.into_iter().map(|version| version.unwrap().version).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7]);
    assert_eq!(up.model().await.unwrap().latest, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_register_what_comes_with_the_program_once() {
    let test = auspex_chassis::testing::TestHouse::start().await.unwrap();
    let config = Config::default();
    let open = || async {
        let shelf = Shelf::open(test.house.bus(), &config.storage).await.unwrap();
        Gate::new(shelf, &test.house, &config)
    };
    let gates = [open().await, open().await, open().await];
    let [a, b, c] = &gates;
    let seeded = tokio::join!(a.seed(), b.seed(), c.seed());
    assert!(
        seeded.0.is_ok() && seeded.1.is_ok() && seeded.2.is_ok(),
        "{seeded:?}"
    );
    let head = a.shelf().head("change-risk").await.unwrap();
    assert_eq!(
        (head.latest, head.history.len(), head.aliases["champion"].version),
        (1, 1, 1)
    );
    assert_eq!(a.shelf().versions("change-risk").await.unwrap().len(), 1);
    // Whoever comes later changes nothing.
    b.seed().await.unwrap();
    assert_eq!(b.shelf().head("change-risk").await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_stopped_between_number_and_alias_is_completed() {
    let test = auspex_chassis::testing::TestHouse::start().await.unwrap();
    let config = Config::default();
    let shelf = Shelf::open(test.house.bus(), &config.storage).await.unwrap();
    let gate = Gate::new(shelf, &test.house, &config);
    let parcel = Parcel {
        files: files(),
        actor: "auspex".to_owned(),
        ..Parcel::default()
    };
    gate.register(parcel).await.unwrap();
    assert!(gate.shelf().head("change-risk").await.unwrap().aliases.is_empty());
    gate.seed().await.unwrap();
    let head = gate.shelf().head("change-risk").await.unwrap();
    assert_eq!((head.latest, head.aliases["champion"].version), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_field_of_the_request() {
    let up = Up::start(&[]).await;
    up.model().await.unwrap();
    let mut client = up.client();
    let mut said: Vec<(Code, String)> = Vec::new();
    let mut note = |fault: tonic::Status| said.push((fault.code(), fault.message().to_owned()));
    for name in ["", "nothing"] {
        let name = name.to_owned();
        note(client.get_model(GetModelRequest { name }).await.unwrap_err());
    }
    for (version, of) in [("7", "champion"), ("1", ""), ("", "")] {
        note(client.set_alias(alias(version, of)).await.unwrap_err());
    }
    note(client.set_alias(alias("", "nobody")).await.unwrap_err());
    let asked = GetModelVersionRequest {
        name: "change-risk".to_owned(),
        version: "nobody".to_owned(),
    };
    note(client.get_version(asked).await.unwrap_err());
    let mut trials = ExperimentsClient::new(up.channel.clone());
    for (model, challenger) in [
        ("", ""),
        ("nothing", "1"),
        ("change-risk", ""),
        ("change-risk", "9"),
    ] {
        let asked = StartExperimentRequest {
            model: model.to_owned(),
            challenger: challenger.to_owned(),
            ..StartExperimentRequest::default()
        };
        note(trials.start(asked).await.unwrap_err());
    }
    let asked = StopExperimentRequest {
        name: "nothing".to_owned(),
        ..StopExperimentRequest::default()
    };
    note(trials.stop(asked).await.unwrap_err());
    let (empty, unknown) = (Code::InvalidArgument, Code::NotFound);
    let expected = [
        (empty, "name: is empty"),
        (unknown, "name: there is no model nothing"),
        (unknown, "version: change-risk has no version 7"),
        (empty, "alias: is empty"),
        (empty, "alias: is empty"),
        (unknown, "alias: change-risk has no alias nobody"),
        (unknown, "version: change-risk has no alias nobody"),
        (empty, "model: is empty"),
        (unknown, "model: there is no model nothing"),
        (empty, "challenger: is empty"),
        (unknown, "challenger: change-risk has no version 9"),
        (unknown, "name: there is no experiment nothing"),
    ];
    assert_eq!(said, expected.map(|(code, text)| (code, text.to_owned())));
}
