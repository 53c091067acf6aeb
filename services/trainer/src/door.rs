//! A gRPC service of the mesh, by its address.

use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::Secret;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// The way to it; cheap to clone, connects when it is used.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Door {
    /// As configured; an answer may take so long.
    ///
    /// # Errors
    /// The address is none, or the token cannot be sent.
    pub(crate) fn of(address: &str, token: &Secret, patience: Duration) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::from_shared(address.to_owned())?
            .timeout(patience)
            .connect_timeout(patience);
        if address.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots())?;
        }
        let token = match token.is_empty() {
            true => None,
            false => Some(
                format!("Bearer {}", token.expose())
                    .parse()
                    .context("trainer.token: cannot be sent")?,
            ),
        };
        Ok(Self {
            channel: endpoint.connect_lazy(),
            token,
        })
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What is asked, with the token.
    pub(crate) fn request<T>(&self, asked: T) -> Request<T> {
        let mut request = Request::new(asked);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }
}
