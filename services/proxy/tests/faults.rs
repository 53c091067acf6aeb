//! What goes wrong at a target or a client, and what is counted of it.
#![allow(missing_docs, clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use rig::{config, connect, counted, get, proxy, server, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// A target that speaks for itself: per connection, what to do with the n-th one.
async fn raw<F, R>(serve: F) -> String
where
    F: Fn(usize, TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for n in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(n, stream));
        }
    });
    url
}

/// Reads a request's head; `false` at the end of the connection.
async fn head(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_down_is_a_bad_answer() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = proxy(config(&format!("http://{gone}"), "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    for _ in 0..3 {
        client.ready().await.unwrap();
        let response = client.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), 502);
        text(response).await;
    }
    assert_eq!(counted(&proxy.plane).0, (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_target_are_bad_and_mistakes_of_the_client_are_not() {
    let target = server(|request: Request<Incoming>| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        Response::builder()
            .status(status)
            .body(Full::new(Bytes::from_static(b"x")))
            .unwrap()
    })
    .await;
    let proxy = proxy(config(&target.url(), "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    for status in [200_u16, 404, 429, 500, 503] {
        client.ready().await.unwrap();
        let response = client.send_request(get(&format!("/{status}"))).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        text(response).await;
    }
    assert_eq!(counted(&proxy.plane).0, (2, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_target_times_out() {
    let url = raw(|_, mut stream| async move {
        head(&mut stream).await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    let mut config = config(&url, "");
    config.timeouts.first_byte_ms = 100;
    let proxy = proxy(config).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    assert_eq!(client.send_request(get("/")).await.unwrap().status(), 504);
    assert_eq!(counted(&proxy.plane).0, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_cut_short_by_the_target_is_bad_and_seen_by_the_client() {
    for pause in [0, 60_000] {
        let url = raw(move |_, mut stream| async move {
            head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                .await
                .unwrap();
            sleep(Duration::from_millis(pause)).await;
        })
        .await;
        let mut config = config(&url, "");
        config.timeouts.idle_ms = 100;
        let proxy = proxy(config).await;
        let mut client = connect::<Empty<Bytes>>(proxy.address).await;
        match client.send_request(get("/")).await {
            Ok(response) => {
                assert_eq!(response.status(), 200);
                let body = timeout(Duration::from_secs(5), response.into_body().collect());
                assert!(body.await.unwrap().is_err());
            }
            // What broke before the head was written out takes the head with it: cut short all the same.
            Err(fault) => assert!(pause == 0 && fault.is_incomplete_message(), "{fault}"),
        }
        assert_eq!(counted(&proxy.plane).0, (1, 1));
    }
}

/// The target answers one request per connection, then closes it without a word. Some requests meet the closing connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_closing_connection_loses_no_request() {
    let url = raw(|_, mut stream| async move {
        assert!(head(&mut stream).await);
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let proxy = proxy(config(&url, "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    for n in 0..300 {
        client.ready().await.unwrap();
        let response = client.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), 200, "request {n}");
        text(response).await;
    }
    assert_eq!(counted(&proxy.plane).0, (0, 300));
}

/// The second request on a kept connection is read and then not answered: a GET is sent again, a POST is not.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_be_repeated_is_repeated() {
    let url = raw(|_, mut stream| async move {
        assert!(head(&mut stream).await);
        stream.write_all(OK).await.unwrap();
        head(&mut stream).await;
    })
    .await;
    let proxy = proxy(config(&url, "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    for (method, status) in [("GET", 200), ("GET", 200), ("POST", 502)] {
        client.ready().await.unwrap();
        let request = Request::builder().method(method).uri("/").header("host", "shop");
        let response = client
            .send_request(request.body(Empty::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{method}");
        text(response).await;
    }
    assert_eq!(counted(&proxy.plane).0, (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_is_nobodys_fault() {
    let (told, closed) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let url = raw(move |_, mut stream| {
        let told = told.lock().unwrap().take();
        async move {
            head(&mut stream).await;
            let ended = stream.read(&mut [0]).await;
            told.unwrap().send(matches!(ended, Ok(0) | Err(_))).unwrap();
        }
    })
    .await;
    let proxy = proxy(config(&url, "")).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(stream);
    assert!(
        timeout(Duration::from_secs(5), closed).await.unwrap().unwrap(),
        "the target hears of it"
    );
    let noticed = async {
        while proxy.plane.standings()[0].totals.stable.aborted == 0 {
            sleep(Duration::from_millis(10)).await;
            assert_eq!(counted(&proxy.plane).0, (0, 0));
        }
    };
    assert!(
        timeout(Duration::from_secs(5), noticed).await.is_ok(),
        "we do too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_sending_is_nobodys_fault_either() {
    let target = server(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await;
        Response::new(Full::new(Bytes::from(format!("{}", body.is_ok()))))
    })
    .await;
    let mut config = config(&target.url(), "");
    config.timeouts.first_byte_ms = 100;
    let proxy = proxy(config).await;
    let (pieces, body) = futures::channel::mpsc::unbounded::<Result<Frame<Bytes>, std::io::Error>>();
    let request = Request::post("/")
        .header("host", "shop")
        .body(StreamBody::new(body))
        .unwrap();
    let mut client = connect(proxy.address).await;
    let answer = tokio::spawn(client.send_request(request));
    for _ in 0..5 {
        pieces
            .unbounded_send(Ok(Frame::data(Bytes::from_static(b"x"))))
            .unwrap();
        sleep(Duration::from_millis(60)).await;
    }
    assert!(
        !answer.is_finished(),
        "slow but alive: longer than the time to the first byte"
    );
    assert_eq!(
        timeout(Duration::from_secs(5), answer)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .status(),
        408
    );
    assert_eq!(counted(&proxy.plane).0, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_before_the_proxy_does() {
    let target = server(|_: Request<Incoming>| async move {
        sleep(Duration::from_millis(200)).await;
        Response::new(Full::new(Bytes::from_static(b"late")))
    })
    .await;
    let proxy = proxy(config(&target.url(), "")).await;
    let mut client = connect::<Empty<Bytes>>(proxy.address).await;
    let idle = connect::<Empty<Bytes>>(proxy.address).await;
    let answer = tokio::spawn(client.send_request(get("/")));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(
        proxy.stop().await,
        0,
        "nothing had to be cut, the idle connection least of all"
    );
    let response = answer.await.unwrap().unwrap();
    assert_eq!(
        (response.status().as_u16(), text(response).await.as_str()),
        (200, "late")
    );
    drop(idle);
}
