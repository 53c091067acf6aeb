//! One connection for one change: opened before the fence, so that behind it there is nothing but writing the request.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::router::Fault;

/// The most that is read of an answer, in bytes.
const MOST: usize = 16 * 1024;

/// A connection to an admin address.
pub(super) struct Line {
    sender: SendRequest<Empty<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Empty<Bytes>>,
    limit: Duration,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// [`Fault::Away`].
    pub(super) async fn open(url: &Url, limit: Duration) -> Result<Self, Fault> {
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let open = async {
            let stream = TcpStream::connect((host.as_str(), port))
                .await
                .map_err(|fault| away(&fault))?;
            stream.set_nodelay(true).map_err(|fault| away(&fault))?;
            let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
            opened.map_err(|fault| away(&fault))
        };
        let (sender, connection) = timeout(limit, open).await.map_err(|_| late())??;
        Ok(Self {
            sender,
            connection,
            limit,
        })
    }

    /// Posts to it, without a body.
    ///
    /// # Errors
    /// [`Fault::Away`]; [`Fault::Refused`] with Envoy's word when it will not.
    pub(super) async fn post(mut self, url: &Url) -> Result<(), Fault> {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let host = url.host_str().unwrap_or_default();
        let request = Request::post(target).header("host", host).body(Empty::new());
        let request = request.map_err(|fault| Fault::Refused(format!("Envoy cannot be asked: {fault}")))?;
        // Driven from here: no other task comes between the fence and the request.
        let exchange = async move {
            let answer = async {
                let response = self
                    .sender
                    .send_request(request)
                    .await
                    .map_err(|fault| away(&fault))?;
                let status = response.status();
                let body = Limited::new(response.into_body(), MOST).collect().await;
                let bytes = body
                    .map_err(|fault| Fault::Away(format!("Envoy's answer: {fault}")))?
                    .to_bytes();
                Ok((status, String::from_utf8_lossy(&bytes).trim().to_owned()))
            };
            match select(pin!(answer), pin!(self.connection)).await {
                Either::Left((answer, _)) => answer,
                Either::Right((Ok(()), answer)) => answer.await,
                Either::Right((Err(fault), _)) => Err(away(&fault)),
            }
        };
        let (status, said) = timeout(self.limit, exchange).await.map_err(|_| late())??;
        match status {
            StatusCode::OK if said == "OK" => Ok(()),
            status if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE => {
                Err(Fault::Away(format!("Envoy answers {status}: {said}")))
            }
            status => Err(Fault::Refused(format!(
                "Envoy answers {status}: {said}; it needs a runtime layer admin_layer"
            ))),
        }
    }
}

fn away(fault: &dyn std::error::Error) -> Fault {
    Fault::Away(format!("Envoy's admin address: {fault}"))
}

fn late() -> Fault {
    Fault::Away("Envoy's admin address does not answer".to_owned())
}
