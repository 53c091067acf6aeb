//! The service with a real server and a real listener.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::collections::BTreeMap;
use std::time::Duration;

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options};
use auspex_model::{Manifest, embedded};
use auspex_proto::wire::model_registry_client::ModelRegistryClient;
use auspex_proto::wire::{GetModelRequest, ModelVersion, RegisterHead, RegisteredModel};
use tonic::transport::Channel;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Up {
    pub test: TestHouse,
    pub mesh: Mesh,
    pub channel: Channel,
}

pub type Client = ModelRegistryClient<Channel>;

impl Up {
    pub async fn start(set: &[&str]) -> Self {
        let test = TestHouse::start().await.unwrap();
        let mesh = mesh(&test, set).await;
        let address = format!("http://{}", mesh.address());
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let up = Self { test, mesh, channel };
        up.until(|model| model.aliases.contains_key("champion")).await;
        up
    }

    pub fn client(&self) -> Client {
        Client::new(self.channel.clone())
    }

    pub async fn model(&self) -> Option<RegisteredModel> {
        let request = GetModelRequest {
            name: "change-risk".to_owned(),
        };
        self.client()
            .get_model(request)
            .await
            .ok()
            .map(tonic::Response::into_inner)
    }

    pub async fn until(&self, wanted: impl Fn(&RegisteredModel) -> bool) -> RegisteredModel {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(model) = self.model().await.filter(&wanted) {
                return model;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "not within {PATIENCE:?}: {:?}",
                self.model().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn register(
        &self,
        files: BTreeMap<String, Vec<u8>>,
        alias: &str,
    ) -> Result<ModelVersion, tonic::Status> {
        let head = RegisterHead {
            actor: "ada".to_owned(),
            note: "a better one".to_owned(),
            alias: alias.to_owned(),
            ..RegisterHead::default()
        };
        let requests = auspex_registry::send::requests(head, files);
        let answer = self.client().register(tokio_stream::iter(requests)).await;
        answer.map(tonic::Response::into_inner)
    }
}

pub async fn mesh(test: &TestHouse, set: &[&str]) -> Mesh {
    let mut all = vec![
        format!("nats.url={}", test.settings.url),
        "nats.partitions=2".to_owned(),
        "server.listen=127.0.0.1:0".to_owned(),
    ];
    all.extend(set.iter().map(|s| (*s).to_owned()));
    let options = Options {
        set: all,
        alone: true,
        ..Options::default()
    };
    Mesh::start(&[auspex_registry::SERVICE], &options).await.unwrap()
}

/// The files of the model that comes with the program.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let files = embedded::files();
    let manifest = Manifest::parse(&files.manifest).unwrap();
    [
        ("manifest.json".to_owned(), files.manifest),
        (manifest.artifact.file, files.artifact),
        (manifest.golden.file, files.golden),
        ("CARD.md".to_owned(), b"# A card\n".to_vec()),
    ]
    .into()
}
