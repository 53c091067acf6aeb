//! HAProxy's runtime socket: one line of commands, one answer, and it closes.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::router::Fault;

/// The most that is read of an answer: a backend of thousands of servers fits.
const MOST: u64 = 4 << 20;

/// One runtime socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    place: Place,
    limit: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Unix(PathBuf),
    Tcp(String),
}

impl Socket {
    /// `unix:/path` or `tcp:host:port`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let place = match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Place::Unix(path.into()),
            Some(("tcp", at)) if at.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok()) => {
                Place::Tcp(at.to_owned())
            }
            _ => return Err("is neither unix:/path nor tcp:host:port".to_owned()),
        };
        Ok(Self {
            place,
            limit: Duration::from_secs(2),
        })
    }

    /// With this limit on each exchange.
    #[must_use]
    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Asks, and reads to the end.
    ///
    /// # Errors
    /// [`Fault::Away`].
    pub(super) async fn ask(&self, line: &str) -> Result<String, Fault> {
        self.open().await?.ask(line).await
    }

    /// A connection, for one question: so that between a fence and the question there is nothing but writing it.
    ///
    /// # Errors
    /// [`Fault::Away`].
    pub(super) async fn open(&self) -> Result<Line<'_>, Fault> {
        let connect = async {
            let stream: Box<dyn Duplex> = match &self.place {
                Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Place::Tcp(at) => Box::new(TcpStream::connect(at).await?),
            };
            Ok(stream)
        };
        let stream = self.within_limit(connect).await?;
        Ok(Line { socket: self, stream })
    }

    async fn within_limit<T>(&self, work: impl Future<Output = std::io::Result<T>>) -> Result<T, Fault> {
        let place = || match &self.place {
            Place::Unix(path) => path.display().to_string(),
            Place::Tcp(at) => at.clone(),
        };
        match timeout(self.limit, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(fault)) => Err(Fault::Away(format!("HAProxy at {}: {fault}", place()))),
            Err(_) => Err(Fault::Away(format!("HAProxy at {} does not answer", place()))),
        }
    }
}

impl Line<'_> {
    /// Asks, and reads to the end.
    ///
    /// # Errors
    /// [`Fault::Away`].
    pub(super) async fn ask(self, line: &str) -> Result<String, Fault> {
        self.socket.within_limit(talk(self.stream, line)).await
    }
}

/// What can be read and written.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection for one question.
pub(super) struct Line<'a> {
    socket: &'a Socket,
    stream: Box<dyn Duplex>,
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> std::io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
