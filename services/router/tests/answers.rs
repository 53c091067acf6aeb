//! What the service answers about its routes: also one whose data plane is away.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod rig;

use std::time::{Duration, Instant};

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options};
use auspex_proto::decision::Action;
use auspex_proto::wire::router_service_client::RouterServiceClient;
use auspex_proto::wire::{GetRouterRequest, ListRoutersRequest, RouteView};
use rig::{Folder, LONG, decision, publish};
use tonic::Code;
use tonic::transport::Channel;

async fn listed(client: &mut RouterServiceClient<Channel>, service: &str) -> Vec<RouteView> {
    let request = ListRoutersRequest {
        project: String::new(),
        service: service.to_owned(),
    };
    client.list(request).await.unwrap().into_inner().routers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_that_is_away_is_said_and_its_weight_is_not_made_up() {
    let folder = Folder::new("answers");
    let test = TestHouse::start().await.unwrap();
    let file = folder.0.join("auspex.toml");
    let text = "[[router.routes]]\nname = \"shop-edge\"\nproject = \"acme/shop\"\nservice = \"shop\"\nwatchdog = true\n\
                [router.routes.haproxy]\nsockets = [\"unix:/nowhere/haproxy.sock\"]\nbackend = \"shop\"\n\
                stable = [\"old\"]\ncandidate = [\"new\"]\n";
    std::fs::write(&file, text).unwrap();
    let options = Options {
        config: Some(file),
        set: vec![
            "server.listen=127.0.0.1:0".to_owned(),
            format!("nats.url={}", test.settings.url),
            "nats.partitions=2".to_owned(),
            "nats.streams.lease_seconds=2".to_owned(),
            "nats.streams.duplicate_window_seconds=1".to_owned(),
        ],
        alone: true,
        ..Options::default()
    };
    let mesh = Mesh::start(&[auspex_router::SERVICE], &options).await.unwrap();
    let address = format!("http://{}", mesh.address());
    let mut client = RouterServiceClient::connect(address).await.unwrap();
    publish(&test.house, decision(1, 25, Action::Advance)).await;
    let begun = Instant::now();
    let view = loop {
        let found = listed(&mut client, "shop").await;
        if let Some(view) = found.into_iter().find(|view| !view.fault.is_empty()) {
            break view;
        }
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        view.fault.contains("HAProxy at /nowhere/haproxy.sock"),
        "{}",
        view.fault
    );
    assert_eq!((view.asked, view.weight, view.observed), (true, 25, false));
    assert_eq!(
        (view.verified.as_str(), view.kind.as_str()),
        ("unknown", "haproxy")
    );
    assert_eq!(view.holder, mesh.house().instance());
    assert!(
        view.without_control
            .contains("no lease; the watchdog returns traffic to stable after 10000 ms")
    );
    assert_eq!(listed(&mut client, "cart").await, vec![]);
    let get = |name: &str| GetRouterRequest {
        name: name.to_owned(),
    };
    assert_eq!(client.get(get("shop-edge")).await.unwrap().into_inner().epoch, 1);
    assert_eq!(
        client.get(get("nothing")).await.unwrap_err().code(),
        Code::NotFound
    );
    drop(client);
    assert_eq!(mesh.stop().await, Vec::<String>::new());
}
