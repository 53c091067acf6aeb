//! A gRPC service of the mesh, by its address.

use std::time::Duration;

use anyhow::Context as _;
use auspex_chassis::Secret;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// Where a service is, and who asks.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Its address, `http(s)://host:port`.
    pub address: String,
    /// Access token; empty: none.
    pub token: Secret,
    /// A root certificate (PEM) to trust beside the usual ones.
    pub ca: Option<Vec<u8>>,
}

impl Place {
    /// As configured.
    #[must_use]
    pub fn of(address: &str, token: &Secret) -> Self {
        Self {
            address: address.to_owned(),
            token: token.clone(),
            ca: None,
        }
    }

    /// The same, trusting the certificates of a PEM file beside the usual ones; an empty path: none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn trusting(self, ca: &str) -> anyhow::Result<Self> {
        if ca.is_empty() {
            return Ok(self);
        }
        let pem = std::fs::read(ca).with_context(|| format!("trainer.ca: {ca}"))?;
        Ok(Self {
            ca: Some(pem),
            ..self
        })
    }
}

/// The way to it; cheap to clone, connects when it is used.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Door {
    /// An answer may take so long.
    ///
    /// # Errors
    /// The address is none, or the token cannot be sent.
    pub(crate) fn of(place: &Place, patience: Duration) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::from_shared(place.address.clone())?
            .timeout(patience)
            .connect_timeout(patience);
        if place.address.starts_with("https://") {
            let mut tls = ClientTlsConfig::new().with_webpki_roots();
            if let Some(pem) = &place.ca {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint.tls_config(tls)?;
        }
        let token = match place.token.is_empty() {
            true => None,
            false => Some(
                format!("Bearer {}", place.token.expose())
                    .parse()
                    .context("the access token cannot be sent")?,
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
