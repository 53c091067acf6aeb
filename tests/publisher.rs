//! The load of the fault tests: what CI and a running system say, published as a careful publisher does.

use std::time::Duration;

use auspex_chassis::clock;
use auspex_proto::event::{Body, Change, ChangeStats, Deployment};
use auspex_proto::observation::Value;
use auspex_proto::wire::event_service_client::EventServiceClient;
use auspex_proto::wire::publish_request::Fact as Published;
use auspex_proto::wire::{self, PublishRequest};
use auspex_proto::*;
use tonic::transport::Channel;

pub(crate) const PROJECTS: usize = 6;
/// Of every rollout, in seconds.
pub(crate) const DEADLINE: u64 = 12;

pub(crate) fn meta(id: &str, project: usize) -> Meta {
    Meta {
        id: FactId::new(id).unwrap(),
        project: Project::new(format!("acme/p{project}")).unwrap(),
        time: clock::now(),
        cause: 0,
        source: "https://ci.example".to_owned(),
    }
}

pub(crate) fn change(n: usize) -> Event {
    let stats = ChangeStats {
        files: Some((n % 9) as f64),
        lines_added: Some((n * 7 % 400) as f64),
        entropy: Some(1.0),
        ..ChangeStats::default()
    };
    let change = Change {
        revision: Revision::new(format!("rev{n}")).unwrap(),
        branch: "main".to_owned(),
        author: format!("author{}", n % 5),
        title: "change".to_owned(),
        paths: vec!["src/lib.rs".to_owned()],
        stats: Some(stats),
        authored: None,
        complexity: None,
    };
    Event {
        meta: meta(&format!("change-{n}"), n % PROJECTS),
        body: Body::Change(change),
    }
}

pub(crate) fn deployment(n: usize) -> Event {
    let document = format!(
        "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {{ name: r{n} }}\n\
         spec: {{ service: s{}, mode: observe, score_wait: 4s, deadline: {DEADLINE}s }}\n",
        n % 3
    );
    let deployment = Deployment {
        deployment_id: format!("d{n}"),
        service: ServiceName::new(format!("s{}", n % 3)).unwrap(),
        environment: "production".to_owned(),
        revision: Revision::new(format!("rev{n}")).unwrap(),
        stable_revision: None,
        document,
        actor: "ci".to_owned(),
    };
    Event {
        meta: meta(&format!("deployment-{n}"), n % PROJECTS),
        body: Body::Deployment(deployment),
    }
}

fn observations(n: usize, project: usize) -> ObservationBatch {
    let now = clock::now();
    let observation = |service: usize, track, bad, total| Observation {
        service: ServiceName::new(format!("s{service}")).unwrap(),
        track: Some(track),
        region: String::new(),
        metric: "requests".to_owned(),
        instance: "test".to_owned(),
        start: now.boundary(Duration::from_secs(1)),
        length: Duration::from_secs(1),
        value: Value::Counts { bad, total },
    };
    let pair = |s| {
        [
            observation(s, Track::Stable, 1, 100),
            observation(s, Track::Candidate, (n % 3) as u64, 20),
        ]
    };
    ObservationBatch {
        meta: meta(&format!("observation-{n}-{project}"), project),
        observations: (0..3).flat_map(pair).collect(),
        applied: Vec::new(),
        environment: String::new(),
    }
}

/// A publisher as CI is one: it tries again, under the same id, until it is told that the log has it.
pub(crate) struct Publisher {
    client: EventServiceClient<Channel>,
    pub(crate) acknowledged: Vec<String>,
}

impl Publisher {
    /// One that speaks with the mesh on this port, as soon as it is there.
    pub(crate) fn at(port: u16) -> Self {
        let mesh = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        Self {
            client: EventServiceClient::new(mesh.connect_lazy()),
            acknowledged: Vec::new(),
        }
    }

    /// What every project's services and users did in this step.
    pub(crate) async fn observe(&mut self, step: usize) {
        for project in 0..PROJECTS {
            self.insist(Fact::Observations(observations(step, project))).await;
        }
    }

    pub(crate) async fn insist(&mut self, fact: Fact) {
        let wire = match &fact {
            Fact::Event(event) => Published::Event(event.to_wire()),
            Fact::Observations(_) => {
                let wire: wire::ObservationBatch = prost::Message::decode(fact.encode().as_slice()).unwrap();
                Published::Observations(wire)
            }
            _ => panic!("not for publishers"),
        };
        for _ in 0..600 {
            let request = PublishRequest {
                number: 0,
                fact: Some(wire.clone()),
            };
            match self.client.publish(request).await {
                Ok(answer) if answer.get_ref().refused.is_empty() => {
                    self.acknowledged.push(fact.message_id());
                    return;
                }
                Ok(answer) => panic!("refused: {}", answer.get_ref().refused),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        panic!("{} was not acknowledged within a minute", fact.message_id());
    }
}
