//! What the feature store says to what makes no sense, and that nothing of it is taken: each error names the field and why.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test tells its story in one go"
)]

mod shop;

use auspex_chassis::testing::TestHouse;
use auspex_features::query::Answers;
use auspex_features::serve::door;
use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use auspex_proto::wire::feature_store_server::FeatureStore;
use auspex_proto::wire::*;
use shop::*;
use tonic::{Code, Request};

fn of(rows: Vec<PushRow>) -> PushRequest {
    PushRequest {
        project: PROJECT.to_owned(),
        view: "orders".to_owned(),
        rows,
        wait: false,
    }
}

/// Through the door, as a program would.
async fn refused(answers: &Answers, request: PushRequest) -> (Code, String) {
    let mut client = FeatureStoreClient::new(door(answers.clone()));
    let fault = client.push(request).await.unwrap_err();
    (fault.code(), fault.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_makes_no_sense_is_refused_as_a_whole() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    let now = test.house.now().0;
    let good = || order("ada", 1.0, 0, 0);
    let with = |change: fn(&mut PushRow)| {
        let mut row = good();
        change(&mut row);
        row
    };
    let far = i64::MAX - 1;
    let wrong = [
        (with(|row| row.keys.clear()), "keys: it needs customer"),
        (order("", 1.0, 0, 0), "keys: one is empty"),
        (
            with(|row| {
                row.keys.insert("shop".to_owned(), "x".to_owned());
            }),
            "keys: shop is no join key of orders",
        ),
        (
            with(|row| {
                row.numbers.insert("odd".to_owned(), 1.0);
            }),
            "odd: view orders has no such column",
        ),
        (
            with(|row| {
                row.numbers.insert("coupon".to_owned(), 1.0);
            }),
            "coupon: is told twice",
        ),
        (
            with(|row| {
                row.texts.clear();
                row.numbers.insert("coupon".to_owned(), 1.0);
            }),
            "coupon: is told as a number, its column holds texts",
        ),
        (
            with(|row| {
                row.numbers.clear();
                row.texts.insert("amount".to_owned(), "x".to_owned());
            }),
            "amount: is told as a text, its column holds numbers",
        ),
        (
            with(|row| {
                row.numbers.insert("amount".to_owned(), f64::INFINITY);
            }),
            "amount: is infinite",
        ),
        (
            with(|row| {
                row.texts.insert("coupon".to_owned(), "x".repeat(1_025));
            }),
            "coupon: is longer than 1,024 bytes",
        ),
        (
            order("ada", 1.0, now + 3_600_000, 0),
            "event_ms: lies in the future",
        ),
        (order("ada", 1.0, far, far), "event_ms: lies in the future"),
        (
            order("ada", 1.0, 1, now + 3_600_000),
            "created_ms: lies in the future",
        ),
        (order("ada", 1.0, -1, 0), "event_ms: lies before 1970"),
        (order("ada", 1.0, 1, -1), "created_ms: lies before 1970"),
        (
            order("ada", 1.0, now, now - 3_600_000),
            "event_ms: lies after created_ms: nothing is known before it happens",
        ),
    ];
    for (row, told) in wrong {
        let said = refused(&answers, of(vec![good(), row])).await;
        assert_eq!(said, (Code::InvalidArgument, format!("rows[1].{told}")));
    }
    for (count, told) in [(0, "rows: are 0"), (10_001, "rows: are 10001")] {
        let (code, said) = refused(&answers, of(vec![good(); count])).await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(
            said.starts_with(told) && said.ends_with("from 1 to 10000 may be pushed"),
            "{said}"
        );
    }
    let elsewhere = |view: &str| PushRequest {
        view: view.to_owned(),
        ..of(vec![good()])
    };
    assert_eq!(
        refused(&answers, elsewhere("nosuch")).await,
        (Code::NotFound, "view: there is no nosuch".to_owned())
    );
    assert_eq!(
        refused(&answers, elsewhere("service_health")).await.0,
        Code::FailedPrecondition
    );
    let nowhere = PushRequest {
        project: String::new(),
        ..of(vec![good()])
    };
    assert_eq!(
        refused(&answers, nowhere).await,
        (Code::InvalidArgument, "project: is empty".to_owned())
    );
    assert_eq!(
        get(&answers, "ada").await[0].1,
        NOT_FOUND,
        "nothing of all that was taken"
    );

    // None is a value, too; and so is the largest request, row by row.
    let mut client = FeatureStoreClient::new(door(answers.clone()));
    let none = with(|row| {
        row.numbers.insert("amount".to_owned(), f64::NAN);
    });
    let rows: Vec<PushRow> = (0..9_999)
        .map(|n| order(&format!("c{n}"), f64::from(n), 0, 0))
        .chain([none])
        .collect();
    let done = client.push(of(rows)).await.unwrap().into_inner();
    assert_eq!(done.accepted, 10_000);
    until("all can be read", || async {
        let standing = answers
            .freshness(Request::new(FreshnessRequest::default()))
            .await
            .unwrap()
            .into_inner();
        standing
            .sources
            .iter()
            .any(|source| source.entities == 10_000)
            .then_some(())
    })
    .await;
    assert_eq!(get(&answers, "c9998").await[0], (9_998.0, PRESENT));
    assert_eq!(get(&answers, "ada").await[2], (1.0, PRESENT), "it counts");
    test.shutdown.finish(std::time::Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_is_refused() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    let ask = |features: &[&str], entities: Vec<FeatureEntity>| {
        answers.get_online_features(Request::new(GetOnlineFeaturesRequest {
            project: PROJECT.to_owned(),
            features: features.iter().map(|f| (*f).to_owned()).collect(),
            entities,
            ..GetOnlineFeaturesRequest::default()
        }))
    };
    let nobody = FeatureEntity::default;
    for (features, entities, code, told) in [
        (
            &["orders"][..],
            vec![who("ada"), nobody()],
            Code::InvalidArgument,
            "entities[1].keys: customer is not told",
        ),
        (
            &["orders"],
            vec![who("")],
            Code::InvalidArgument,
            "entities[0].keys: customer is empty",
        ),
        // A name that nobody has is answered as that of a service or a pushed view.
        (
            &["nosuch"],
            vec![who("ada")],
            Code::NotFound,
            "features: there is no view nosuch",
        ),
        (
            &["orders:nosuch"],
            vec![who("ada")],
            Code::NotFound,
            "features: view orders has no feature nosuch",
        ),
        (
            &["orders", "orders:amount"],
            vec![who("ada")],
            Code::InvalidArgument,
            "orders__amount is asked for twice",
        ),
    ] {
        let fault = ask(features, entities).await.unwrap_err();
        assert_eq!((fault.code(), fault.message()), (code, told));
    }
    let drift = |change: fn(&mut DriftRequest)| {
        let mut request = DriftRequest {
            project: PROJECT.to_owned(),
            features: vec!["orders".to_owned()],
            reference_from_ms: 1,
            reference_to_ms: 2,
            from_ms: 2,
            to_ms: 3,
            ..DriftRequest::default()
        };
        change(&mut request);
        answers.drift(Request::new(request))
    };
    assert!(drift(|_| ()).await.is_ok());
    for (change, told) in [
        (
            (|r: &mut DriftRequest| r.reference_to_ms = 1) as fn(&mut DriftRequest),
            "reference_to_ms: does not lie after reference_from_ms",
        ),
        (|r| r.to_ms = 1, "to_ms: does not lie after from_ms"),
        (
            |r| r.alpha = 2.0,
            "alpha: is 2, it lies above 0 and below 1; 0 is 0.05",
        ),
        (
            |r| r.alpha = f64::NAN,
            "alpha: is NaN, it lies above 0 and below 1; 0 is 0.05",
        ),
        (
            |r| {
                r.importance.insert("orders__odd".to_owned(), 1.0);
            },
            "importance: orders__odd is none of the features",
        ),
        (
            |r| {
                r.importance.insert("orders__amount".to_owned(), -1.0);
            },
            "importance: orders__amount is -1",
        ),
    ] {
        assert_eq!(drift(change).await.unwrap_err().message(), told);
    }
    let backwards = MaterializeRequest {
        project: PROJECT.to_owned(),
        views: Vec::new(),
        from_ms: 10,
        to_ms: 5,
    };
    let fault = answers.materialize(Request::new(backwards)).await.unwrap_err();
    assert_eq!(fault.message(), "to_ms: lies before from_ms");
    test.shutdown.finish(std::time::Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_the_request_that_is_none_is_not_told_and_hides_nothing() {
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let answers = open(&test.house, folder.path()).await;
    define(&answers, DOCUMENTS, true).await;
    push(&answers, vec![order("ada", 10.0, 0, 0)]).await;
    for amount in [f64::NAN, f64::INFINITY, 5.0] {
        let mut entity = who("ada");
        entity.request.insert("amount".to_owned(), amount);
        let request = GetOnlineFeaturesRequest {
            project: PROJECT.to_owned(),
            feature_service: "fraud".to_owned(),
            entities: vec![entity],
            ..GetOnlineFeaturesRequest::default()
        };
        let cells = ask(&answers, request).await.rows.remove(0);
        assert_eq!(cells.statuses[4] == 1, amount.is_finite(), "{cells:?}");
    }
    // What was served is compared, all three of it.
    let found = until("what was served is kept", || async {
        let request = ConsistencyRequest {
            project: PROJECT.to_owned(),
            from_ms: 0,
            lag_ms: 2_000,
        };
        let found = answers
            .consistency(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        (found.requests == 3).then_some(found)
    })
    .await;
    assert!(
        found.features.iter().all(|feature| feature.compared <= 3),
        "{found:?}"
    );
    test.shutdown.finish(std::time::Duration::from_secs(10)).await;
}
