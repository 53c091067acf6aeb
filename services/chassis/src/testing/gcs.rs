//! A server of Google's kind: Cloud Storage's XML API as it is documented, as far as whole files need it, with faults on demand.
//!
//! `PUT`, `GET` (with ranges), `HEAD` and `DELETE` of an object; `x-goog-if-generation-match`; lists of version 2 in pages; bearer
//! tokens; errors in XML. No uploads in parts and no folders: nothing here asks for any.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The token that is asked for.
pub const TOKEN: &str = "ya29.a-token";
/// The bucket that is there.
pub const BUCKET: &str = "bucket";
/// Keys on a page of a list: few, so that there are several.
const PAGE: usize = 3;

/// What goes wrong with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The line breaks when so many bytes have arrived, and nothing is stored; a shorter one arrives.
    Behind(usize),
    /// It is stored, and the line breaks before that is said.
    Unsaid,
    /// Nothing is stored, and this status is said: 429 or 503.
    Refused(u16),
    /// It is stored, and this status is said all the same.
    Denied(u16),
}

/// Every third upload goes wrong, each time otherwise.
#[must_use]
pub fn every_third(upload: usize) -> Option<Fault> {
    match upload % 12 {
        0 => Some(Fault::Behind(500)),
        3 => Some(Fault::Unsaid),
        6 => Some(Fault::Refused(429)),
        9 => Some(Fault::Denied(503)),
        _ => None,
    }
}

/// A server in this process; it ends with it.
#[derive(Debug, Clone)]
pub struct Gcs {
    /// Where it listens, as in `http://127.0.0.1:40000`.
    pub address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    objects: Mutex<BTreeMap<String, Object>>,
    faults: fn(usize) -> Option<Fault>,
    uploads: AtomicUsize,
    failed: AtomicUsize,
    generation: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Arc<[u8]>,
    generation: usize,
    made: jiff::Timestamp,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Gcs {
    /// Starts one. `faults` says what becomes of an upload, by its number.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(faults: fn(usize) -> Option<Fault>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            faults,
            uploads: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            generation: AtomicUsize::new(1),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(line).await });
            }
        });
        Ok(Self { address, shared })
    }

    /// What a process needs to speak to it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, &str); 3] {
        [
            ("GOOGLE_BASE_URL", self.address.as_str()),
            ("GOOGLE_BEARER_TOKEN", TOKEN),
            ("GOOGLE_ALLOW_HTTP", "true"),
        ]
    }

    /// Uploads that were asked for, and how many of them went wrong.
    #[must_use]
    pub fn uploads(&self) -> (usize, usize) {
        let told = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (told(&self.shared.uploads), told(&self.shared.failed))
    }

    /// The names of what is stored, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.shared.objects().keys().cloned().collect()
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Request after request, until either side breaks off.
    async fn serve(&self, mut line: TcpStream) -> Option<()> {
        let mut arrived = Vec::new();
        loop {
            let request = head(&mut line, &mut arrived).await?;
            let length = request.headers.get("content-length");
            let length = length.and_then(|n| n.parse().ok()).unwrap_or(0);
            let fault = (request.method == "PUT")
                .then(|| (self.faults)(self.uploads.fetch_add(1, Ordering::SeqCst)))
                .flatten()
                .filter(|fault| !matches!(fault, Fault::Behind(limit) if length <= *limit));
            if fault.is_some() {
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
            while arrived.len() < length {
                if matches!(fault, Some(Fault::Behind(limit)) if arrived.len() > limit) {
                    return None;
                }
                more(&mut line, &mut arrived).await?;
            }
            let body: Vec<u8> = arrived.drain(..length).collect();
            let answer = match fault {
                Some(Fault::Behind(_)) => return None,
                Some(Fault::Refused(status)) => error(status, "SlowDown"),
                Some(Fault::Unsaid) => {
                    self.answer(&request, body);
                    return None;
                }
                Some(Fault::Denied(status)) => {
                    self.answer(&request, body);
                    error(status, "ServiceUnavailable")
                }
                None => self.answer(&request, body),
            };
            line.write_all(&answer.written(request.method == "HEAD"))
                .await
                .ok()?;
        }
    }

    fn answer(&self, request: &Request, body: Vec<u8>) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        if request.headers.get("authorization") != Some(&bearer) {
            return error(401, "AuthenticationRequired");
        }
        let (bucket, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
        match (request.method.as_str(), key.is_empty()) {
            _ if bucket != BUCKET => error(404, "NoSuchBucket"),
            ("GET", true) if request.query.get("list-type").is_some_and(|v| v == "2") => {
                self.list(&request.query)
            }
            ("PUT", false) => self.put(request, key, body),
            ("GET" | "HEAD", false) => self.get(request, key),
            ("DELETE", false) => match self.objects().remove(key) {
                Some(_) => Answer::of(204, Vec::new()),
                None => error(404, "NoSuchKey"),
            },
            _ => error(400, "InvalidArgument"),
        }
    }

    fn put(&self, request: &Request, key: &str, body: Vec<u8>) -> Answer {
        let mut objects = self.objects();
        let there = objects.get(key).map_or(0, |object| object.generation);
        let wanted = request.headers.get("x-goog-if-generation-match");
        if wanted.is_some_and(|wanted| *wanted != there.to_string()) {
            return error(412, "PreconditionFailed");
        }
        let object = Object {
            bytes: body.into(),
            generation: self.generation.fetch_add(1, Ordering::SeqCst),
            made: jiff::Timestamp::now(),
        };
        let mut answer = Answer::of(200, Vec::new());
        answer.headers.extend(object.headers());
        objects.insert(key.to_owned(), object);
        answer
    }

    fn get(&self, request: &Request, key: &str) -> Answer {
        let Some(object) = self.objects().get(key).cloned() else {
            return error(404, "NoSuchKey");
        };
        let size = object.bytes.len();
        let range = request.headers.get("range").and_then(|range| span(range, size));
        let mut answer = match range {
            None => Answer::of(200, object.bytes.to_vec()),
            Some((from, to)) => {
                let part = object.bytes.get(from..to).unwrap_or_default().to_vec();
                let mut answer = Answer::of(206, part);
                let told = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
                answer.headers.push(("content-range", told));
                answer
            }
        };
        answer.headers.extend(object.headers());
        answer
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Answer {
        let told = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let (prefix, after) = (
            told("prefix"),
            told("continuation-token").max(told("start-after")),
        );
        let mut found = self.objects().clone();
        found.retain(|name, _| name.starts_with(prefix) && name.as_str() > after);
        let page: Vec<_> = found.iter().take(PAGE).collect();
        let entries: String = page.iter().map(|(name, object)| entry(name, object)).collect();
        let truncated = found.len() > page.len();
        let next = match page.last() {
            Some((name, _)) if truncated => {
                format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(name))
            }
            _ => String::new(),
        };
        let text = format!(
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>\
             <Name>{BUCKET}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><IsTruncated>{truncated}</IsTruncated>\
             {next}{entries}</ListBucketResult>",
            escaped(prefix),
            page.len()
        );
        Answer::of(200, text.into_bytes())
    }
}

fn entry(name: &str, object: &Object) -> String {
    format!(
        "<Contents><Key>{}</Key><Generation>{}</Generation><MetaGeneration>1</MetaGeneration>\
         <LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
        escaped(name),
        object.generation,
        object.made,
        escaped(&object.tag()),
        object.bytes.len()
    )
}

impl Object {
    fn tag(&self) -> String {
        let digest = hex::encode(Sha256::digest(&self.bytes));
        format!("\"{}\"", digest.get(..32).unwrap_or_default())
    }

    fn headers(&self) -> [(&'static str, String); 4] {
        let made = self.made.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        [
            ("etag", self.tag()),
            ("last-modified", made),
            ("x-goog-generation", self.generation.to_string()),
            ("x-goog-stored-content-length", self.bytes.len().to_string()),
        ]
    }
}

impl Answer {
    fn of(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    fn written(&self, head_only: bool) -> Vec<u8> {
        let mut text = format!(
            "HTTP/1.1 {} .\r\ncontent-length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if !head_only {
            bytes.extend(&self.body);
        }
        bytes
    }
}

fn error(status: u16, code: &str) -> Answer {
    let text = format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>");
    Answer::of(status, text.into_bytes())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// `bytes=FROM-TO`, both included, as a range; `None` when it is not within the object.
fn span(header: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    let to: usize = if to.is_empty() {
        size
    } else {
        to.parse::<usize>().ok()? + 1
    };
    let (from, to) = match from.is_empty() {
        // So many at the end.
        true => (size.saturating_sub(to - 1), size),
        false => (from.parse().ok()?, to.min(size)),
    };
    (from < to).then_some((from, to))
}

async fn more(line: &mut TcpStream, arrived: &mut Vec<u8>) -> Option<()> {
    let mut piece = vec![0; 16_384];
    match line.read(&mut piece).await {
        Ok(n @ 1..) => {
            arrived.extend(piece.get(..n)?);
            Some(())
        }
        _ => None,
    }
}

/// The next request's head; what follows it stays in `arrived`.
async fn head(line: &mut TcpStream, arrived: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = arrived.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        more(line, arrived).await?;
    };
    let text: Vec<u8> = arrived.drain(..end).collect();
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let headers = lines.filter_map(|line| line.split_once(':'));
    Some(Request {
        method,
        path: decoded(path.trim_start_matches('/'))?,
        query: pairs
            .map(|(name, value)| Some((name.to_owned(), decoded(value)?)))
            .collect::<Option<_>>()?,
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
    })
}

/// Text without its `%XX`.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%' {
            let (digits, behind) = rest.split_at_checked(2)?;
            rest = behind;
            bytes.extend(hex::decode(digits).ok()?);
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}
