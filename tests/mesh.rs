//! Each service as a process of its own, and a proxy with real traffic: a rollout goes through, and law 7 holds when control
//! is killed in the middle of it. (All services in one process, with every scenario: `services/auspex/tests/demo.rs`.)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auspex_chassis::broker::{Broker, Sync};
use auspex_chassis::testing::cluster::Cluster;
use auspex_proto::command::Ask;
use auspex_proto::wire::rollout_service_client::RolloutServiceClient;
use auspex_proto::wire::{CommandRolloutRequest, GetRolloutRequest, Phase, RolloutView, StartRolloutRequest};
use auspex_proto::{Command, FactId, Meta, Project, RolloutName};
use auspex_tests::process::{Process, free_port, get};
use tonic::transport::Channel;

/// A service that answers every request with its version; one thread per connection.
fn sample(version: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, version));
        }
    });
    port
}

fn answer(mut stream: std::net::TcpStream, version: &str) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        request.extend_from_slice(&piece[..read]);
        if request.windows(4).any(|w| w == b"\r\n\r\n") {
            request.clear();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{version}",
                version.len()
            );
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Users, until told to stop. Every one of them must be answered.
fn users(proxy: u16, stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<(u64, u64)>> {
    let user = move |stop: Arc<AtomicBool>| {
        let (mut stable, mut candidate) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            match get(proxy, "/").unwrap_or_else(|| panic!("a request was lost")) {
                answer if answer.ends_with("stable") => stable += 1,
                answer if answer.ends_with("candidate") => candidate += 1,
                answer => panic!("{answer}"),
            }
            std::thread::sleep(Duration::from_millis(4));
        }
        (stable, candidate)
    };
    (0..4)
        .map(|_| {
            std::thread::spawn({
                let stop = Arc::clone(stop);
                move || user(stop)
            })
        })
        .collect()
}

struct Control(RolloutServiceClient<Channel>);

fn at_20(view: &RolloutView) -> bool {
    view.weight == 20 && view.verified && view.verified_weight == 20
}

fn paused(view: &RolloutView) -> bool {
    view.phase == i32::from(Phase::Paused)
}

impl Control {
    fn of(mesh: &Apart) -> Self {
        let channel = Channel::from_shared(format!("http://127.0.0.1:{}", mesh.canary.port)).unwrap();
        Self(RolloutServiceClient::new(channel.connect_lazy()))
    }

    async fn start(&mut self) {
        let start = StartRolloutRequest {
            project: "acme/shop".to_owned(),
            document: DOCUMENT.to_owned(),
            actor: "ada".to_owned(),
        };
        let answer = self.0.start(start).await.unwrap().into_inner();
        assert_eq!(answer.refused, "");
        self.until("weight 20, verified at the data plane", 30, at_20)
            .await;
    }

    async fn promote(&mut self) {
        let command = wire_command(&Ask::Promote { full: false });
        let answer = self.0.command(command).await;
        assert_eq!(answer.unwrap().into_inner().refused, "");
        let done = |v: &RolloutView| v.phase == i32::from(Phase::Promoted);
        let last = self.until("promoted", 60, done).await;
        assert_eq!(last.weight, 100);
    }

    async fn view(&mut self) -> Option<RolloutView> {
        let request = GetRolloutRequest {
            project: "acme/shop".to_owned(),
            name: "checkout-2".to_owned(),
        };
        self.0.get(request).await.ok().map(tonic::Response::into_inner)
    }

    async fn until(&mut self, what: &str, within: u64, met: impl Fn(&RolloutView) -> bool) -> RolloutView {
        let end = Instant::now() + Duration::from_secs(within);
        let mut last = None;
        while Instant::now() < end {
            match self.view().await {
                Some(view) if met(&view) => return view,
                view => last = view,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("not within {within} s: {what}; last: {last:#?}")
    }
}

fn status_within(port: u16, seconds: u64, what: &str, met: impl Fn(&str) -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut last = String::new();
    while Instant::now() < end {
        last = get(port, "/proxy/status").unwrap_or_default();
        if met(&last) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not within {seconds} s: {what}; last: {last}")
}

const DOCUMENT: &str = "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: { name: checkout-2 }\nspec:\n  \
     service: checkout\n  mode: act\n  score_wait: 1s\n  margin_abs: 0.02\n  min_dwell: 2s\n  \
     policy: { steps: [{ setWeight: 20 }, { pause: {} }, { setWeight: 50 }, { pause: { duration: 2s } }] }\n";

/// The mesh apart: every service a process of its own, the proxy in front of two versions.
struct Apart {
    canary: Process,
    proxy: Process,
    /// Where users are served.
    listen: u16,
    _others: [Process; 4],
    _folder: tempfile::TempDir,
}

/// On these servers, which keep everything so many times.
fn apart(url: &str, copies: usize) -> Apart {
    let folder = tempfile::tempdir().unwrap();
    let (stable, candidate, listen) = (sample("stable"), sample("candidate"), free_port());
    let file = folder.path().join("auspex.toml");
    let text = format!(
        "[nats]\nurl = \"{url}\"\npartitions = 2\n[nats.streams]\nlease_seconds = 2\nreplicas = {copies}\n\
         [proxy]\nlease_ms = 3000\n\
         listen = \"127.0.0.1:{listen}\"\n[[proxy.routes]]\nservice = \"checkout\"\nproject = \"acme/shop\"\n\
         stable = \"http://127.0.0.1:{stable}\"\ncandidate = \"http://127.0.0.1:{candidate}\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let settings = [file.display().to_string()];
    let run = |name: &str| Process::start(&[name], &settings, folder.path().join(format!("{name}.log")));
    let others = ["ingest", "features", "scoring", "alerts"].map(run);
    let (canary, proxy) = (run("canary"), run("proxy"));
    Apart {
        canary,
        proxy,
        listen,
        _others: others,
        _folder: folder,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_apart_carry_a_rollout_through_and_survive_the_loss_of_control() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(None, folder.path(), Sync::EverySecond)
        .await
        .unwrap();
    let mut mesh = apart(&broker.url(), 1);
    let stop = Arc::new(AtomicBool::new(false));
    let users = users(mesh.listen, &stop);
    let mut control = Control::of(&mesh);
    control.start().await;

    // Control dies: the weight is held for its lease, then everything goes to stable, and says so.
    mesh.canary.freeze();
    status_within(mesh.proxy.port, 15, "suspended while control is gone", |s| {
        s.contains("\"suspended\":true")
    });
    mesh.canary.thaw();
    status_within(mesh.proxy.port, 15, "resumed when control is back", |s| {
        s.contains("\"suspended\":false")
    });
    mesh.canary.kill_and_restart();
    control
        .until("weight 20 after the owner was killed", 30, at_20)
        .await;
    // A promotion ends the step at hand: only when that is the pause does it go on to 50 %.
    control.until("paused until promoted", 30, paused).await;
    control.promote().await;
    status_within(mesh.proxy.port, 5, "everything on the candidate", |s| {
        !s.contains("\"suspended\":true")
    });
    stop.store(true, Ordering::Relaxed);
    served(users);
    assert_eq!(mesh.canary.stop(), Some(0));
}

/// Both versions, and no request lost.
fn served(users: Vec<std::thread::JoinHandle<(u64, u64)>>) {
    let served: Vec<(u64, u64)> = users.into_iter().map(|user| user.join().unwrap()).collect();
    let (stable, candidate) = served
        .iter()
        .fold((0, 0), |sum, user| (sum.0 + user.0, sum.1 + user.1));
    assert!(stable > 0 && candidate > 0, "{stable} and {candidate} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_through_while_the_servers_of_a_cluster_die_one_after_another() {
    let mut cluster = Cluster::start().await.unwrap();
    let mesh = apart(&cluster.settings().url, cluster.size());
    let stop = Arc::new(AtomicBool::new(false));
    let users = users(mesh.listen, &stop);
    let mut control = Control::of(&mesh);
    control.start().await;
    for n in 0..cluster.size() {
        cluster.kill(n).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        cluster.restart(n).await.unwrap();
        control
            .until("weight 20 after a server was away", 60, at_20)
            .await;
    }
    control.until("paused until promoted", 60, paused).await;
    control.promote().await;
    stop.store(true, Ordering::Relaxed);
    served(users);
    assert_eq!(mesh.canary.stop(), Some(0));
}

fn wire_command(ask: &Ask) -> CommandRolloutRequest {
    let meta = Meta {
        id: FactId::outside("test", &format!("{ask:?}")),
        project: Project::new("acme/shop").unwrap(),
        time: auspex_chassis::clock::now(),
        cause: 0,
        source: "test".to_owned(),
    };
    let rollout = RolloutName::new("checkout-2").unwrap();
    let (actor, note) = ("ada".to_owned(), String::new());
    CommandRolloutRequest {
        command: Some(
            Command {
                meta,
                rollout,
                actor,
                note,
                ask: ask.clone(),
            }
            .to_wire(),
        ),
    }
}
