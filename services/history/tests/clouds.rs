//! An archive on S3: a real server (`s3s-fs`), and a line to it that breaks in the middle of uploads.

#![cfg(feature = "s3-server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod parts;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auspex_chassis::testing::{TestHouse, again, is_again};
use auspex_history::archive::{Archive, store};
use auspex_history::config::ArchiveConfig;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use parts::{config, event, insists, kept_at_least, log, publish, stop};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "test";
const SECRET: &str = "testtest";

/// A real S3 server on a folder; answers its port.
async fn s3(folder: &Path) -> u16 {
    std::fs::create_dir_all(folder.join("bucket")).unwrap();
    let files = s3s_fs::FileSystem::new(folder).unwrap();
    let mut builder = s3s::service::S3ServiceBuilder::new(files);
    builder.set_auth(s3s::auth::SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(socket), service).await.ok();
            });
        }
    });
    port
}

/// A line to a port that breaks off as told: by the number of a connection, behind so many bytes towards the server, or
/// before the answer comes back.
async fn line(port: u16, breaks: fn(usize) -> Option<Break>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (broken, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&broken);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let n = counted.fetch_add(1, Ordering::SeqCst);
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (told, how) = (Arc::clone(&told), breaks(n));
            tokio::spawn(carry(near, far, how, told));
        }
    });
    (own, broken)
}

#[derive(Debug, Clone, Copy)]
enum Break {
    /// The server gets so many bytes of the first large request, and no more.
    Behind(usize),
    /// The server gets everything, its first answer goes nowhere.
    Answer,
}

async fn carry(near: TcpStream, far: TcpStream, how: Option<Break>, told: Arc<AtomicUsize>) {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let up = async move {
        let (mut piece, mut sent) = (vec![0; 1_024], 0);
        while let Ok(n @ 1..) = from_near.read(&mut piece).await {
            sent += n;
            if matches!(how, Some(Break::Behind(limit)) if sent > limit) {
                break;
            }
            if to_far.write_all(&piece[..n]).await.is_err() {
                break;
            }
        }
    };
    let down = async move {
        let mut piece = vec![0; 16_384];
        while let Ok(n @ 1..) = from_far.read(&mut piece).await {
            if matches!(how, Some(Break::Answer)) {
                break;
            }
            if to_near.write_all(&piece[..n]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
    if how.is_some() {
        told.fetch_add(1, Ordering::SeqCst);
    }
}

fn settings(port: u16) -> ArchiveConfig {
    // The keys of the one server of this process.
    ArchiveConfig {
        location: "s3://bucket/some/prefix".to_owned(),
        endpoint: format!("http://127.0.0.1:{port}"),
        allow_http: true,
        ..ArchiveConfig::default()
    }
}

/// Settings come from the provider's own environment variables: this process is started with them, see `with_keys`.
fn open(port: u16) -> Archive {
    let settings = settings(port);
    store::open(&settings.location, &settings).unwrap()
}

/// The provider's variables are its own: the test runs itself with them.
fn with_keys() -> bool {
    if !is_again() {
        again(&[("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]).unwrap();
    }
    is_again()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_reaches_s3() {
    if !with_keys() {
        return;
    }
    let (test, folder) = (TestHouse::start().await.unwrap(), tempfile::tempdir().unwrap());
    let port = s3(&folder.path().join("s3")).await;
    let mut config = config(folder.path());
    config.archive = ArchiveConfig {
        segment_bytes: 8 << 10,
        segment_seconds: 1,
        verify_hours: 0,
        ..settings(port)
    };
    auspex_history::start(&test.house, &config).await.unwrap();
    publish(test.house.bus(), (0..300).map(event)).await;
    let archive = open(port);
    let kept = kept_at_least(&archive, 300).await;
    assert_eq!(kept, log(test.house.bus()).await);
    stop(&test).await;
    let report = archive.verify(None).await.unwrap();
    assert!(report.sound && report.segments > 3, "{report:?}");
    let segments = folder.path().join("s3/bucket/some/prefix/segments");
    assert!(segments.is_dir(), "under its prefix");
    // A segment that was taken away behind our back is named.
    std::fs::remove_file(segments.join("00000000000000000002.seg")).unwrap();
    let report = archive.verify(None).await.unwrap();
    assert_eq!(report.faults[0].name, "segments/00000000000000000002.seg");
    assert_eq!(report.faults[0].fault.as_str(), "missing");
    assert_eq!(report.faults.len(), 1, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_in_the_middle_is_done_again_and_one_whose_answer_was_lost_is_known() {
    if !with_keys() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = s3(folder.path()).await;
    // Each connection but every fourth breaks: behind 100 kB of an upload of 400 kB, or before the answer.
    let (own, broken) = line(port, |n| match n % 4 {
        0 | 1 => Some(Break::Behind(100_000)),
        2 => Some(Break::Answer),
        _ => None,
    })
    .await;
    insists(&open(own), &open(port), 4).await;
    assert!(broken.load(Ordering::SeqCst) >= 4, "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_and_a_server_that_is_away_are_said() {
    if !with_keys() {
        return;
    }
    let away = open(1);
    let fault = away.numbers().await.unwrap_err();
    assert!(fault.to_string().contains("listing segments"), "{fault:#}");
    let unknown = ArchiveConfig::default();
    let fault = store::open("ftp://bucket", &unknown).unwrap_err();
    assert!(format!("{fault:#}").contains("is none of s3://"), "{fault:#}");
}
