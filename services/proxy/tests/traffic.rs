//! Traffic through the proxy: shares, cohorts, flips, counts.
#![allow(missing_docs, clippy::unwrap_used)]

mod rig;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use auspex_proto::decision::{Affinity, Phase};
use auspex_proto::{Partitions, Project};
use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::{Request, Response};
use rig::{Proxy, Served, config, connect, counted, decision, get, proxy, server, text};

async fn named(name: &'static str) -> Served {
    server(move |_| async move { Response::new(Full::new(Bytes::from_static(name.as_bytes()))) }).await
}

async fn pair() -> (Served, Served, Proxy) {
    let (stable, candidate) = (named("stable").await, named("candidate").await);
    let proxy = proxy(config(&stable.url(), &candidate.url())).await;
    (stable, candidate, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_candidate_gets_its_share() {
    let (stable, candidate, proxy) = pair().await;
    let mut client = connect(proxy.address).await;
    for weight in [0_u8, 1, 25, 100] {
        assert!(proxy.plane.set_weight("shop", weight));
        let before = (stable.count(), candidate.count());
        for _ in 0..400 {
            client.ready().await.unwrap();
            let response = client.send_request(get("/")).await.unwrap();
            assert_eq!(response.status(), 200);
            text(response).await;
        }
        let served = (stable.count() - before.0, candidate.count() - before.1);
        assert_eq!(served.0 + served.1, 400);
        assert!(
            served.1.abs_diff(4 * u64::from(weight)) <= 3,
            "{weight}: {served:?}"
        );
    }
    let (s, c) = counted(&proxy.plane);
    assert_eq!((s, c), ((0, stable.count()), (0, candidate.count())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_stays_with_the_cohort() {
    let (_stable, _candidate, proxy) = pair().await;
    let partition = Partitions::new(8).unwrap().of(&Project::new("acme").unwrap());
    proxy.plane.pulse(partition);
    let cookie = Some(Affinity::Cookie("auspex_cohort".into()));
    proxy
        .plane
        .absorb(&decision(Phase::Progressing, 30, cookie.clone()), 1);
    let mut client = connect(proxy.address).await;
    let mut users = BTreeMap::new();
    for _ in 0..200 {
        client.ready().await.unwrap();
        let response = client.send_request(get("/")).await.unwrap();
        let set = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(set.ends_with("; Path=/; SameSite=Lax; HttpOnly"), "{set}");
        users.insert(set.split(';').next().unwrap().to_owned(), text(response).await);
    }
    assert_eq!(users.len(), 200);
    let on = |users: &BTreeMap<String, String>| users.values().filter(|t| *t == "candidate").count();
    assert!((30..95).contains(&on(&users)), "{} of 200 at 30 %", on(&users));
    for (seq, weight) in [(2, 30_u8), (3, 60), (4, 99)] {
        proxy
            .plane
            .absorb(&decision(Phase::Progressing, weight, cookie.clone()), seq);
        for (user, before) in &mut users {
            client.ready().await.unwrap();
            let mut request = get("/");
            request
                .headers_mut()
                .insert("cookie", format!("a=b; {user}").parse().unwrap());
            let response = client.send_request(request).await.unwrap();
            assert!(!response.headers().contains_key("set-cookie"));
            let now = text(response).await;
            assert!(
                now == *before || weight > 30 && now == "candidate",
                "{before} -> {now} at {weight}"
            );
            *before = now;
        }
    }
    assert!(on(&users) > 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_keeps_a_user_too() {
    let (_stable, _candidate, proxy) = pair().await;
    proxy
        .plane
        .pulse(Partitions::new(8).unwrap().of(&Project::new("acme").unwrap()));
    proxy.plane.absorb(
        &decision(Phase::Progressing, 50, Some(Affinity::Header("x-user".into()))),
        1,
    );
    let mut client = connect(proxy.address).await;
    for user in 0..20 {
        let mut seen = Vec::new();
        for _ in 0..3 {
            client.ready().await.unwrap();
            let mut request = get("/");
            request
                .headers_mut()
                .insert("x-user", format!("u{user}").parse().unwrap());
            seen.push(text(client.send_request(request).await.unwrap()).await);
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "user {user}");
    }
}

/// Two hundred times everything moves over and back, under load: every request is answered, every request is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_in_two_hundred_flips() {
    let (stable, candidate, proxy) = pair().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (sent, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (stop, sent, wrong) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&wrong));
            let address = proxy.address;
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let mut client = connect::<Full<Bytes>>(address).await;
                    for n in 0..50 {
                        client.ready().await.unwrap();
                        let (method, body) = if (n + worker) % 3 == 0 {
                            ("POST", "order")
                        } else {
                            ("GET", "")
                        };
                        let request = Request::builder().method(method).uri("/").header("host", "shop");
                        let request = request.body(Full::new(Bytes::from(body))).unwrap();
                        sent.fetch_add(1, Ordering::SeqCst);
                        match client.send_request(request).await {
                            Ok(response) if response.status() == 200 => drop(text(response).await),
                            _ => _ = wrong.fetch_add(1, Ordering::SeqCst),
                        }
                    }
                }
            })
        })
        .collect();
    let mut rotated = 0;
    for flip in 0..200 {
        proxy
            .plane
            .set_weight("shop", if flip % 2 == 0 { 100 } else { 0 });
        tokio::time::sleep(Duration::from_millis(10)).await;
        if flip % 20 == 0 {
            rotated += proxy
                .plane
                .rotate()
                .iter()
                .map(|l| l.counts.stable.total() + l.counts.candidate.total())
                .sum::<u64>();
        }
    }
    stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    let (sent, wrong) = (sent.load(Ordering::SeqCst), wrong.load(Ordering::SeqCst));
    let (s, c) = counted(&proxy.plane);
    println!(
        "{sent} requests through 200 flips; {} before the last rotation",
        rotated
    );
    assert_eq!(wrong, 0);
    assert_eq!((s, c), ((0, stable.count()), (0, candidate.count())));
    assert_eq!(stable.count() + candidate.count(), sent);
    assert!(stable.count() > 100 && candidate.count() > 100 && rotated > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_told_and_what_concerns_one_connection_is_not() {
    let echo = server(|request: Request<_>| async move {
        let mut names: Vec<String> = request
            .headers()
            .iter()
            .map(|(k, v)| format!("{k}={}", v.to_str().unwrap()))
            .collect();
        names.sort();
        let body = format!("{} {:?} {}", request.uri(), request.version(), names.join(" "));
        let response = Response::builder().header("keep-alive", "x").header("x-app", "1");
        response.body(Full::new(Bytes::from(body))).unwrap()
    })
    .await;
    let proxy = proxy(config(&echo.url(), "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    let mut request = get("/a/b?c=d%20e");
    request
        .headers_mut()
        .insert("connection", "x-hop".parse().unwrap());
    request.headers_mut().insert("x-hop", "1".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    assert!(response.headers().contains_key("x-app") && !response.headers().contains_key("keep-alive"));
    let expected = "/a/b?c=d%20e HTTP/1.1 host=shop.test x-forwarded-for=127.0.0.1 x-forwarded-host=shop.test x-forwarded-proto=http";
    assert_eq!(text(response).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_nobody_is_refused() {
    let stable = named("stable").await;
    let mut config = config(&stable.url(), "");
    config.routes[0].path_prefix = "/api".into();
    let proxy = proxy(config).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    assert_eq!(client.send_request(get("/other")).await.unwrap().status(), 404);
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    let without_host = Request::get("/api").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(without_host).await.unwrap().status(), 400);
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    assert_eq!(client.send_request(get("/api/x")).await.unwrap().status(), 200);
    assert_eq!(counted(&proxy.plane).0, (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_are_refused() {
    let (stable, _candidate, proxy) = pair().await;
    let mut client = connect(proxy.address).await;
    let mut request = get("/");
    request.headers_mut().append("host", "other".parse().unwrap());
    request.headers_mut().append("host", "another".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(text(response).await, "there is more than one Host header");
    assert_eq!(stable.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohort_has_its_track_copies_count_nowhere_and_samples_are_marked() {
    use auspex_proto::intent::{By, Cohort, Intent, Match};
    let sampled = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&sampled);
    let stable = server(move |request: Request<hyper::body::Incoming>| {
        let trace = request
            .headers()
            .get("traceparent")
            .map(|value| value.to_str().unwrap().to_owned());
        let on = trace.is_some_and(|trace| trace.len() == 55 && trace.ends_with("-01"));
        seen.fetch_add(u64::from(on), Ordering::Relaxed);
        async move { Response::new(Full::new(Bytes::from_static(b"stable"))) }
    })
    .await;
    let candidate = named("candidate").await;
    let proxy = proxy(config(&stable.url(), &candidate.url())).await;
    let partition = Partitions::new(8).unwrap().of(&Project::new("acme").unwrap());
    proxy.plane.pulse(partition);
    let by = By::Header(Match {
        name: "x-beta".to_owned(),
        value: "yes".to_owned(),
    });
    let intent = Intent {
        cohorts: vec![Cohort {
            name: "beta".to_owned(),
            by,
            stable: false,
        }],
        mirror: 50,
        sampling: Some(0.25),
        ..Intent::default()
    };
    let mut asked = decision(Phase::Progressing, 0, None);
    asked.intent = Some(intent);
    proxy.plane.absorb(&asked, 1);
    let mut client = connect(proxy.address).await;
    for n in 0..200 {
        client.ready().await.unwrap();
        let value = if n % 4 == 0 { "yes" } else { "no" };
        let request = Request::get("/").header("host", "shop").header("x-beta", value);
        let response = client
            .send_request(request.body(Empty::<Bytes>::new()).unwrap())
            .await
            .unwrap();
        let wanted = if n % 4 == 0 { "candidate" } else { "stable" };
        assert_eq!(text(response).await, wanted);
    }
    let began = std::time::Instant::now();
    // Half of what stable served is copied, off by a few.
    while candidate.count() < 50 + 72 {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", candidate.count());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stable.count(), 150);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(candidate.count() <= 50 + 78, "{}", candidate.count());
    assert_eq!(counted(&proxy.plane), ((0, 150), (0, 50)), "copies count nowhere");
    assert!(sampled.load(Ordering::Relaxed).abs_diff(38) <= 4, "{sampled:?}");
}
