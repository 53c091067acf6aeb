//! A server that answers as it is told, fault by fault, on a real socket.

#![allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    dead_code,
    reason = "a module of tests"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How one request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Whole, with these extra header lines.
    Whole(u16, &'static str, String),
    /// Says it has more than it sends, and closes.
    Truncated(String),
    /// Chunked, and closes in the middle of a chunk.
    BrokenChunk(String),
    /// Takes the request and never answers.
    Stall,
    /// Closes without a word.
    Close,
    /// Bytes that are no UTF-8.
    Garbage,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

#[derive(Clone)]
pub struct Scripted {
    pub port: u16,
    pub replies: Arc<Mutex<VecDeque<Reply>>>,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    /// A server that answers in this order, and 204 when the script is over.
    pub async fn open(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            replies: Arc::new(Mutex::new(replies.into())),
            requests: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        server
    }

    pub fn seen(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Some(request) = read(&mut stream).await {
            self.requests.lock().unwrap().push(request);
            let reply = self.replies.lock().unwrap().pop_front();
            let reply = reply.unwrap_or(Reply::Whole(204, "", String::new()));
            let text = match reply {
                Reply::Whole(status, more, body) => {
                    format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{more}\r\n{body}",
                        body.len()
                    )
                }
                Reply::Truncated(body) => {
                    let more = body.len() + 1_000;
                    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {more}\r\n\r\n{body}");
                    stream.write_all(text.as_bytes()).await.ok();
                    return;
                }
                Reply::BrokenChunk(body) => {
                    let text = format!(
                        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}",
                        body.len() + 50
                    );
                    stream.write_all(text.as_bytes()).await.ok();
                    return;
                }
                Reply::Stall => {
                    tokio::time::sleep(Duration::from_secs(3_600)).await;
                    return;
                }
                Reply::Close => return,
                Reply::Garbage => {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xfe,\xff")
                        .await
                        .ok();
                    continue;
                }
            };
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        let mut piece = vec![0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())
            .flatten()
    });
    let mut body = bytes[end..].to_vec();
    while body.len() < length.unwrap_or(0) {
        let mut piece = vec![0; 65_536];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => body.extend_from_slice(&piece[..n]),
        }
    }
    Some(Request { head, body })
}
