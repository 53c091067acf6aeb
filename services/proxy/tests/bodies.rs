//! Bodies stream both ways in flat memory; upgrades become tunnels. A process of its own, because it measures memory.
#![allow(missing_docs, clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rig::{config, connect, counted, get, proxy, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const PIECE: usize = 64 * 1024;
const PIECES: usize = 800;

fn pieces() -> impl futures::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + 'static {
    let piece = Bytes::from(vec![7_u8; PIECE]);
    futures::stream::iter(0..PIECES).map(move |_| Ok(Frame::data(piece.clone())))
}

async fn swallow(mut body: Incoming) -> usize {
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        size += frame.unwrap().into_data().map_or(0, |piece| piece.len());
    }
    size
}

/// The most memory this process ever held, in MB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_pass_each_way_in_flat_memory() {
    let target = server(|request: Request<Incoming>| async move {
        let got = swallow(request.into_body()).await;
        Response::builder()
            .header("x-got", got)
            .body(StreamBody::new(pieces()))
            .unwrap()
    })
    .await;
    let proxy = proxy(config(&target.url(), "")).await;
    let before = peak();
    let mut client = connect(proxy.address).await;
    for _ in 0..2 {
        client.ready().await.unwrap();
        let request = Request::post("/")
            .header("host", "shop")
            .body(StreamBody::new(pieces()))
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(
            response.headers()["x-got"].to_str().unwrap(),
            (PIECE * PIECES).to_string()
        );
        assert_eq!(swallow(response.into_body()).await, PIECE * PIECES);
    }
    let grown = peak() - before;
    assert!(
        grown < 20,
        "{grown} MB more than before, for bodies of {} MB",
        PIECE * PIECES / 1_000_000
    );
    assert_eq!(counted(&proxy.plane).0, (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_is_passed_on_before_the_next_one_comes() {
    let target = server(|request: Request<Incoming>| async move { Response::new(request.into_body()) }).await;
    let proxy = proxy(config(&target.url(), "")).await;
    let (pieces, body) = futures::channel::mpsc::unbounded::<Result<Frame<Bytes>, std::io::Error>>();
    let mut client = connect(proxy.address).await;
    let request = Request::post("/")
        .header("host", "shop")
        .body(StreamBody::new(body))
        .unwrap();
    pieces
        .unbounded_send(Ok(Frame::data(Bytes::from_static(b"0"))))
        .unwrap();
    let mut echoed = client.send_request(request).await.unwrap().into_body();
    for n in 1..20_u8 {
        let piece = timeout(Duration::from_secs(5), echoed.frame())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(
            piece.into_data().unwrap().as_ref(),
            (n - 1).to_string().as_bytes()
        );
        pieces
            .unbounded_send(Ok(Frame::data(Bytes::from(n.to_string()))))
            .unwrap();
    }
    drop(pieces);
    while let Some(frame) = echoed.frame().await {
        frame.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_bodies_keep_their_length() {
    let target = server(|request: Request<Incoming>| async move {
        let status = if request.uri().path() == "/same" { 304 } else { 200 };
        let response = Response::builder().status(status).header("content-length", "12");
        response.body(Empty::<Bytes>::new()).unwrap()
    })
    .await;
    let proxy = proxy(config(&target.url(), "")).await;
    let mut client = connect(proxy.address).await;
    for path in ["/head", "/same", "/head"] {
        client.ready().await.unwrap();
        let request = Request::head(path)
            .header("host", "shop")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "12", "{path}");
    }
    assert_eq!((counted(&proxy.plane).0, target.count()), ((0, 3), 3));
}

async fn upgrade(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.headers().get("upgrade").is_none() {
        return Response::builder()
            .status(StatusCode::BAD_REQUEST)
            .body(Full::default())
            .unwrap();
    }
    let waiting = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(waiting.await.unwrap());
        let mut buffer = [0_u8; 256];
        while let Ok(n @ 1..) = io.read(&mut buffer).await {
            io.write_all(&buffer[..n]).await.unwrap();
        }
    });
    let response = Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "echo");
    response.body(Full::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_becomes_a_tunnel() {
    let target = server(upgrade).await;
    let proxy = proxy(config(&target.url(), "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    assert_eq!(client.send_request(get("/")).await.unwrap().status(), 400);
    client.ready().await.unwrap();
    let mut request = get("/ws");
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["upgrade"]),
        (101, &"echo".parse().unwrap())
    );
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for word in ["ave", "salve", "vale"] {
        io.write_all(word.as_bytes()).await.unwrap();
        let mut echoed = vec![0; word.len()];
        timeout(Duration::from_secs(5), io.read_exact(&mut echoed))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(echoed, word.as_bytes());
    }
    drop(io);
    assert_eq!(proxy.stop().await, 0, "a tunnel ends with its client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_left_open_is_cut_at_the_end_of_the_drain() {
    let target = server(upgrade).await;
    let mut config = config(&target.url(), "");
    config.timeouts.drain_ms = 100;
    let proxy = proxy(config).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    let mut request = get("/ws");
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    assert_eq!(proxy.stop().await, 1);
    let ended = timeout(Duration::from_secs(5), io.read(&mut [0; 8]))
        .await
        .unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
}
