//! Argo's header routes through the proxy: absent before their step, there at it, gone after it and at an abort.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod house;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use auspex_proto::command::Ask;
use auspex_proto::wire::Phase;
use house::House;

const STRATEGY: &str = r#"
    canary:
      canaryService: c
      stableService: s
      trafficRouting:
        managedRoutes: [{name: staff}]
        istio: {virtualService: {name: v}}
      steps:
      - pause: {}
      - setHeaderRoute: {name: staff, match: [{headerName: x-staff, headerValue: {exact: "yes"}}]}
      - pause: {}
      - setHeaderRoute: {name: staff}
      - pause: {}
      - setHeaderRoute: {name: staff, match: [{headerName: x-staff, headerValue: {exact: "yes"}}]}
      - pause: {}
"#;

/// A version that answers with its name.
async fn version(name: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(move || std::future::ready(name));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Which version answers somebody with this header.
fn served(proxy: SocketAddr, header: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: shop\r\n{header}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap_or_default().to_owned()
}

/// Waits until staff are served by this version; everybody else is served by stable all the time.
async fn staff(proxy: SocketAddr, what: &str, version: &str) {
    let begun = Instant::now();
    loop {
        let ask = move || {
            (
                served(proxy, "x-staff: yes\r\n"),
                served(proxy, ""),
                served(proxy, "x-staff: no\r\n"),
            )
        };
        let (staff, others, no) = tokio::task::spawn_blocking(ask).await.unwrap();
        assert_eq!((others.as_str(), no.as_str()), ("stable", "stable"), "{what}");
        if staff == version {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{what}: {staff}, not {version}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_route_is_there_from_its_step_to_the_one_that_ends_it() {
    let (stable, candidate) = (version("stable").await, version("candidate").await);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = free.local_addr().unwrap();
    drop(free);
    let settings = format!(
        "[proxy]\nlisten = \"{proxy}\"\n[[proxy.routes]]\nservice = \"shop\"\nproject = \"default\"\nstable = \"http://{stable}\"\n"
    );
    let house = House::with(1, &settings).await;
    let annotations = format!(
        "{{auspex.dev/mode: act, auspex.dev/stable-url: \"http://{stable}\", auspex.dev/candidate-url: \"http://{candidate}\"}}"
    );
    house.begin_noted(&annotations, STRATEGY).await;
    let paused = |number: u64| {
        move |view: &auspex_proto::wire::RolloutView| {
            view.phase() == Phase::Paused
                && view
                    .last
                    .as_ref()
                    .is_some_and(|last| last.revision_number > number)
        }
    };
    let mut number = 0;
    for (what, version) in [
        ("before its step", "stable"),
        ("at its step", "candidate"),
        ("after the step that ends it", "stable"),
        ("once more", "candidate"),
    ] {
        let view = house.until(what, paused(number)).await;
        staff(proxy, what, version).await;
        assert_eq!(view.weight, 0, "{what}");
        number = view.last.map_or(0, |last| last.revision_number);
        if what != "once more" {
            house.ask(Ask::Resume).await;
        }
    }
    house.ask(Ask::Abort).await;
    house
        .until("the abort", |view| view.phase() == Phase::RolledBack)
        .await;
    staff(proxy, "after the abort", "stable").await;
}
