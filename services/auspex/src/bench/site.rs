//! What stands behind and before the proxy under load: a small site, and HAProxy where there is one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use auspex_proto::Partitions;
use auspex_proxy::Plane;
use auspex_proxy::config::{Config, Route};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// The service that is proxied.
pub(super) const SERVICE: &str = "shop";

/// Answers every request with 128 bytes, on as many connections as come, as long as the process lives.
pub(super) async fn site() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            let answer = |_: Request<hyper::body::Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[b'x'; 128]))))
            };
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

/// The proxy of the product, on threads of its own as a process of its own would have them.
pub(super) struct Ours {
    pub(super) address: SocketAddr,
    pub(super) plane: Arc<Plane>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
}

impl Ours {
    pub(super) async fn start(stable: SocketAddr, candidate: SocketAddr) -> anyhow::Result<Self> {
        let route = Route {
            service: SERVICE.to_owned(),
            project: "bench".to_owned(),
            stable: format!("http://{stable}"),
            candidate: format!("http://{candidate}"),
            ..Route::default()
        };
        let config = Config {
            routes: vec![route],
            ..Config::default()
        };
        let plane =
            Plane::new(config, Partitions::new(1)?).map_err(|faults| anyhow::anyhow!(faults.join("; ")))?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&plane);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener)?;
                let stopped = async move { drop(stopped.await) };
                auspex_proxy::serve(listener, served, stopped).await?;
                Ok(())
            })
        });
        Ok(Self {
            address,
            plane,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// HAProxy as a child, in front of the same site.
pub(super) struct Haproxy {
    pub(super) address: SocketAddr,
    _child: Child,
}

impl Haproxy {
    /// `None` when there is none on `PATH`.
    pub(super) async fn start(
        folder: &std::path::Path,
        stable: SocketAddr,
        candidate: SocketAddr,
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = on_path("haproxy") else {
            return Ok(None);
        };
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("haproxy.cfg");
        let text = format!(
            "global\n  maxconn 4096\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n  \
             option http-keep-alive\n  http-reuse always\n\
             frontend users\n  bind {address}\n  option forwardfor\n  default_backend tracks\n\
             backend tracks\n  balance roundrobin\n  server stable {stable} weight 128\n  \
             server candidate {candidate} weight 128\n"
        );
        tokio::fs::write(&config, text).await?;
        let child = Command::new(&program)
            .args(["-db", "-q", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Some(Self {
                    address,
                    _child: child,
                }));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        anyhow::bail!("{} does not answer on {address}", program.display())
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
