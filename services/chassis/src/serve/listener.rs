//! A bound socket, plain or with TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::settings::ServerSettings;

/// A bound socket.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    arrived: mpsc::Receiver<(Stream, SocketAddr)>,
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// As it came.
    Plain(TcpStream),
    /// Through TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Door {
    /// Binds the configured address. TLS handshakes run beside each other: a slow client holds up nobody.
    ///
    /// # Errors
    /// When the address is taken, or certificate or key cannot be read.
    pub async fn bind(settings: &ServerSettings) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(&settings.listen)
            .await
            .with_context(|| format!("binding server.listen {}", settings.listen))?;
        let address = listener.local_addr()?;
        let tls = if settings.tls() {
            Some(acceptor(settings)?)
        } else {
            None
        };
        let (hand_over, arrived) = mpsc::channel(128);
        tokio::spawn(accept(listener, tls, hand_over));
        Ok(Self { address, arrived })
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    hand_over: mpsc::Sender<(Stream, SocketAddr)>,
) {
    loop {
        let accepted = tokio::select! {
            () = hand_over.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: give the others time to close some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        stream.set_nodelay(true).ok();
        match tls.clone() {
            None => {
                if hand_over.send((Stream::Plain(stream), peer)).await.is_err() {
                    return;
                }
            }
            Some(tls) => {
                let hand_over = hand_over.clone();
                tokio::spawn(async move {
                    let shaken = tokio::time::timeout(Duration::from_secs(10), tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        hand_over.send((Stream::Tls(Box::new(stream)), peer)).await.ok();
                    }
                });
            }
        }
    }
}

fn acceptor(settings: &ServerSettings) -> anyhow::Result<TlsAcceptor> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certs = CertificateDer::pem_file_iter(&settings.tls_cert_file)
        .and_then(Iterator::collect)
        .with_context(|| format!("reading server.tls_cert_file {}", settings.tls_cert_file))?;
    let key = PrivateKeyDer::from_pem_file(&settings.tls_key_file)
        .with_context(|| format!("reading server.tls_key_file {}", settings.tls_key_file))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .with_context(|| {
            let (cert, key) = (&settings.tls_cert_file, &settings.tls_key_file);
            format!("server.tls_key_file {key} is not the key of server.tls_cert_file {cert}")
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl axum::serve::Listener for Door {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.arrived.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: axum::serve::IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

macro_rules! either {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain($io) => {
                let $io = std::pin::Pin::new($io);
                $call
            }
            Stream::Tls($io) => {
                let $io = std::pin::Pin::new($io.as_mut());
                $call
            }
        }
    };
}

type Poll<T> = std::task::Poll<std::io::Result<T>>;

impl AsyncRead for Stream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<()> {
        either!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> Poll<usize> {
        either!(self, io => io.poll_write(cx, buf))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        either!(self, io => io.poll_shutdown(cx))
    }
}
