//! A TCP line between a client and a server that can be cut, stalled and mended.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// Connections break, and none comes about.
    Cut,
    /// Bytes wait.
    Stalled,
}

/// A line to a server.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Line {
    /// To the server at an address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(State::Up);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    if *seen.borrow() != State::Cut
                        && let Ok(far) = TcpStream::connect(server).await
                    {
                        join(near, far, seen).await;
                    }
                });
            }
        });
        Ok(Self { address, state })
    }

    /// Where it is to be reached.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection; none comes about until it is mended.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Holds every byte back until it is mended.
    pub fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.state.send_replace(State::Up);
    }
}

async fn join(near: TcpStream, far: TcpStream, mut state: watch::Receiver<State>) {
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let up = carry(near_read, far_write, state.clone());
    let down = carry(far_read, near_write, state.clone());
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 || state.wait_for(|state| *state != State::Stalled).await.is_err() {
            return;
        }
        if to
            .write_all(bytes.get(..count).unwrap_or_default())
            .await
            .is_err()
        {
            return;
        }
    }
}
