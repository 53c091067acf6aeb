//! A mesh of some services on a bus of its own.

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options, ServiceSpec};
use auspex_proto::wire::DefinitionsRequest;
use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use tonic::transport::Channel;

/// Starts it, and connects to it; in the settings `ADDRESS` stands for where it listens.
pub(crate) async fn start(house: &TestHouse, services: &[ServiceSpec], more: &[&str]) -> (Mesh, Channel) {
    // Somebody in it is told the mesh's own address, which is known before it listens only when it is chosen.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut set = vec![
        format!("nats.url={}", house.settings.url),
        "nats.partitions=2".to_owned(),
        format!("server.listen={address}"),
    ];
    let own = |setting: &&str| setting.replace("ADDRESS", &format!("http://{address}"));
    set.extend(more.iter().map(own));
    let options = Options {
        set,
        alone: true,
        ..Options::default()
    };
    let mesh = Mesh::start(services, &options).await.unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    (mesh, channel.connect().await.unwrap())
}

/// Applies what is known of a build before it runs, as the file that ships says it.
pub(crate) async fn know_builds(channel: &Channel) {
    let definitions = DefinitionsRequest {
        documents: include_str!("../../../../models/ci-run/features.yaml").to_owned(),
        ..DefinitionsRequest::default()
    };
    let applied = FeatureStoreClient::new(channel.clone()).apply(definitions).await;
    assert!(applied.unwrap().into_inner().applied);
}
