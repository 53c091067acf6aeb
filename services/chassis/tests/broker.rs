//! The private server: one process has its store.

#![allow(clippy::unwrap_used, reason = "a test may")]

use auspex_chassis::broker::{Broker, Sync};

#[tokio::test]
async fn a_store_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Broker::start(None, folder.path(), Sync::EverySecond);
    let first = start().await.unwrap();
    let refused = start().await.unwrap_err().to_string();
    assert!(refused.contains("is in use by another process"), "{refused}");
    // The first one was left alone.
    let address = first.url().replace("nats://", "");
    tokio::net::TcpStream::connect(&address).await.unwrap();
    drop(first);
    start().await.unwrap();
}

#[tokio::test]
async fn an_end_is_noticed_and_it_starts_again_at_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(None, folder.path(), Sync::EverySecond)
        .await
        .unwrap();
    let (pid, url) = (broker.pid().unwrap(), broker.url());
    tokio::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .await
        .unwrap();
    broker.ended().await.unwrap();
    broker.restart().await.unwrap();
    assert_eq!(broker.url(), url);
    assert_ne!(broker.pid(), Some(pid));
}
