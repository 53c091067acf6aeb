//! The doors on a real listener, with a real `nats-server` behind them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod grpc;
mod http;

use auspex_chassis::{Followed, From, Mesh, Options};
use auspex_ingest::SERVICE;
use auspex_proto::subject::FactKind;
use auspex_proto::wire::dead_letters_client::DeadLettersClient;
use auspex_proto::wire::{DeadLetter, DeadLetterRequest, ListDeadLettersRequest};
use tempfile::TempDir;

/// Ingest alone, with a server of its own.
struct Doors {
    mesh: Mesh,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Doors {
    async fn open(set: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options {
            broker: Some(folder.path().join("nats")),
            ..Options::default()
        };
        options.set = ["server.listen=127.0.0.1:0", "nats.sync_interval=1s"]
            .iter()
            .chain(set)
            .map(|pair| (*pair).to_owned())
            .collect();
        let mesh = Mesh::start(&[SERVICE], &options).await.unwrap();
        Self {
            mesh,
            client: reqwest::Client::new(),
            _folder: folder,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.mesh.address())
    }

    /// So many facts from the beginning of the log.
    async fn facts(&self, count: usize) -> Vec<Followed> {
        let kinds = [FactKind::Event, FactKind::Observation];
        let mut follow = self.mesh.house().follow(&kinds, From::All).await.unwrap();
        let mut facts = Vec::new();
        while facts.len() < count {
            facts.push(follow.next().await.unwrap());
        }
        assert_eq!(facts.last().unwrap().behind, 0, "there are more");
        facts
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut client = DeadLettersClient::connect(self.url("")).await.unwrap();
        let asked = ListDeadLettersRequest::default();
        let list = client.list(asked).await.unwrap().into_inner();
        let mut letters = Vec::new();
        for entry in list.entries {
            let asked = DeadLetterRequest { number: entry.number };
            let shown = client.show(asked).await.unwrap().into_inner();
            letters.extend(shown.letter);
        }
        letters
    }

    async fn figures(&self) -> String {
        let answer = self.client.get(self.url("/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    }
}
