//! A connection that breaks while the server lives: what was under way on it is read again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auspex_chassis::bus::BusSettings;
use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Follow, From};
use auspex_proto::subject::FactKind;
use parts::{event, insist};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A way to the server that loses what the server says, and can be cut.
struct Line {
    url: String,
    loses: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

impl Line {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            url: format!("nats://{}", listener.local_addr().unwrap()),
            loses: Arc::default(),
            cut: Arc::default(),
        };
        let (loses, cut) = (Arc::clone(&line.loses), Arc::clone(&line.cut));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(near, far, Arc::clone(&loses), Arc::clone(&cut)));
            }
        });
        line
    }

    fn cut(&self) {
        self.cut.notify_waiters();
        self.loses.store(false, Ordering::SeqCst);
    }
}

async fn carry(near: TcpStream, far: TcpStream, loses: Arc<AtomicBool>, cut: Arc<Notify>) {
    let (mut near_says, mut to_near) = near.into_split();
    let (mut far_says, mut to_far) = far.into_split();
    let hear = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = far_says.read(&mut bytes).await {
            if !loses.load(Ordering::SeqCst) && to_near.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = cut.notified() => {}
        () = hear => {}
        _ = tokio::io::copy(&mut near_says, &mut to_far) => {}
    }
}

async fn next_id(follow: &mut Follow) -> String {
    let next = tokio::time::timeout(Duration::from_secs(10), follow.next()).await;
    next.unwrap().unwrap().fact.meta().id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_on_a_broken_connection_is_read_again() {
    is_read_again(|follow| follow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_in_beats_on_a_broken_connection_is_read_again() {
    is_read_again(|follow| follow.in_beats(Duration::from_millis(50))).await;
}

async fn is_read_again(how: impl Fn(Follow) -> Follow) {
    let test = TestHouse::start().await.unwrap();
    let line = Line::to(test.broker.url().replace("nats://", "")).await;
    let settings = BusSettings {
        url: line.url.clone(),
        ..test.settings.clone()
    };
    let (far, _shutdown) = TestHouse::another(&settings).await.unwrap();
    let mut follow = how(far.follow(&[FactKind::Event], From::All).await.unwrap());
    let bus = test.house.bus();
    insist(bus, &event("a", "e0", "x")).await;
    assert_eq!(next_id(&mut follow).await, "e0");
    line.loses.store(true, Ordering::SeqCst);
    for n in 1..5 {
        insist(bus, &event("a", &format!("e{n}"), "x")).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    line.cut();
    // Nothing new comes behind it that could show the gap.
    for n in 1..5 {
        assert_eq!(next_id(&mut follow).await, format!("e{n}"));
    }
    insist(bus, &event("a", "e5", "x")).await;
    assert_eq!(next_id(&mut follow).await, "e5");
}
