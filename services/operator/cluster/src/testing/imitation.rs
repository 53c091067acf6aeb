//! A small HTTP server that gives the answers it is told to give, one after the other. It knows nothing of Kubernetes: each
//! test says which documented answer it stands for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `GET`, `PATCH`, ...
    pub method: String,
    /// With its query.
    pub path: String,
    /// Its body; null when there is none.
    pub body: Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    code: u16,
    body: String,
    after: Duration,
    /// Bytes after which the connection breaks.
    breaks: Option<usize>,
    /// The connection stays open after the body, which then is of lines.
    open: bool,
}

/// Answers by method and beginning of the path, in order; the last one of its kind again and again.
type Script = Vec<(String, String, VecDeque<Answer>)>;

/// The server.
#[derive(Debug, Clone)]
pub struct Imitation {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Answer {
    /// An object.
    #[must_use]
    pub fn object(object: &Value) -> Self {
        Self {
            code: 200,
            body: object.to_string(),
            after: Duration::ZERO,
            breaks: None,
            open: false,
        }
    }

    /// A `Status` that says no, as the API conventions describe it.
    #[must_use]
    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message
        });
        Self {
            code,
            ..Self::object(&status)
        }
    }

    /// Lines of a watch, after which it stays open.
    #[must_use]
    pub fn watch(lines: &[Value]) -> Self {
        Self {
            body: lines.iter().map(|line| format!("{line}\n")).collect(),
            open: true,
            ..Self::object(&Value::Null)
        }
    }

    /// The same, later.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.after = pause;
        self
    }

    /// The same; the watch ends after its lines.
    #[must_use]
    pub fn ends(mut self) -> Self {
        self.open = false;
        self
    }

    /// The same, and the connection breaks after so many bytes of the body.
    #[must_use]
    pub fn breaks(mut self, bytes: usize) -> Self {
        self.breaks = Some(bytes);
        self
    }
}

impl Imitation {
    /// Listens on loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Self {
            address: listener.local_addr()?,
            script: Arc::default(),
            seen: Arc::default(),
        };
        let answering = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answering.clone().serve(stream));
            }
        });
        Ok(server)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One more answer to requests of this method whose path begins so; the last one holds from then on.
    pub fn on(&self, method: &str, path: &str, answer: Answer) {
        if let Ok(mut script) = self.script.lock() {
            match script.iter_mut().find(|(m, p, _)| m == method && p == path) {
                Some((_, _, answers)) => answers.push_back(answer),
                None => script.push((method.to_owned(), path.to_owned(), VecDeque::from([answer]))),
            }
        }
    }

    /// What has come in.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }

    /// How many requests of this method whose path begins so have come in.
    #[must_use]
    pub fn count(&self, method: &str, path: &str) -> usize {
        let of_kind = |request: &&Request| request.method == method && request.path.starts_with(path);
        self.seen().iter().filter(of_kind).count()
    }

    fn answer(&self, request: &Request) -> Answer {
        let none = || {
            Answer::status(
                404,
                "NotFound",
                &format!("{} \"{}\" not found", request.method, request.path),
            )
        };
        let Ok(mut script) = self.script.lock() else {
            return none();
        };
        let fits = |(method, path, _): &&mut (String, String, VecDeque<Answer>)| {
            *method == request.method && request.path.starts_with(path.as_str())
        };
        // The longest beginning that fits counts.
        let best = script
            .iter_mut()
            .filter(fits)
            .max_by_key(|(_, path, _)| path.len());
        let Some((_, _, answers)) = best else {
            return none();
        };
        let next = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        next.unwrap_or_else(none)
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream).await {
            let answer = self.answer(&request);
            if let Ok(mut seen) = self.seen.lock() {
                seen.push(request);
            }
            tokio::time::sleep(answer.after).await;
            let length = if answer.open || answer.breaks.is_some() {
                "connection: close".to_owned()
            } else {
                format!("content-length: {}", answer.body.len())
            };
            let head = format!(
                "HTTP/1.1 {} X\r\ncontent-type: application/json\r\n{length}\r\n\r\n",
                answer.code
            );
            let body = answer.body.as_bytes();
            let body = body.get(..answer.breaks.unwrap_or(body.len())).unwrap_or(body);
            let out = [head.as_bytes(), body].concat();
            if stream.get_mut().write_all(&out).await.is_err() || answer.breaks.is_some() {
                return;
            }
            if answer.open {
                // Until the client goes.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.ok();
                return;
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut line, mut length) = (String::new(), 0);
    stream
        .read_line(&mut line)
        .await
        .ok()
        .filter(|count| *count > 0)?;
    let mut parts = line.split_whitespace();
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        method,
        path,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}
