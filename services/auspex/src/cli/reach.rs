//! Reaching a running mesh.

use std::path::PathBuf;
use std::time::Duration;

use auspex_chassis::Secret;
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::fault::Fault;

/// Where the mesh is, and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reach {
    /// Address of any process of the mesh
    #[arg(
        long,
        global = true,
        env = "AUSPEX_SERVER",
        default_value = "http://127.0.0.1:7700"
    )]
    pub(crate) server: String,
    /// Access token (`auspex token` makes one)
    #[arg(long, global = true, env = "AUSPEX_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Root certificates (PEM) to trust beside the usual ones
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// A connection that shows the token.
pub(crate) type Line = InterceptedService<Channel, Bearer>;

/// Puts the token on each call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Reach {
    /// Connects for gRPC.
    pub(crate) async fn open(&self) -> Result<Line, Fault> {
        let server = self.address()?;
        let mut endpoint = Endpoint::from_shared(server.to_owned()).map_err(|_| self.no_address())?;
        if server.starts_with("https://") {
            let mut tls = ClientTlsConfig::new().with_webpki_roots();
            if let Some(pem) = self.authority()? {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint.tls_config(tls).map_err(|fault| self.away(&fault))?;
        }
        let channel = endpoint.connect_timeout(Duration::from_secs(5)).connect().await;
        let channel = channel.map_err(|fault| self.away(&fault))?;
        Ok(InterceptedService::new(channel, Bearer(self.bearer()?)))
    }

    /// The same for a library that connects by itself.
    pub(crate) fn place(&self) -> Result<auspex_trainer::Place, Fault> {
        Ok(auspex_trainer::Place {
            address: self.address()?.to_owned(),
            token: Secret::new(self.token.clone().unwrap_or_default()),
            ca: self.authority()?,
        })
    }

    /// A client for plain HTTP, and the address behind which paths go.
    pub(crate) fn http(&self) -> Result<(reqwest::Client, &str), Fault> {
        let address = self.address()?.trim_end_matches('/');
        let mut builder = reqwest::Client::builder().timeout(Duration::from_secs(30));
        if let Some(pem) = self.authority()? {
            let fault = |fault| Fault::invalid(format!("--ca: {fault}"));
            builder = builder.add_root_certificate(reqwest::Certificate::from_pem(&pem).map_err(fault)?);
        }
        Ok((builder.build().map_err(|fault| self.away(&fault))?, address))
    }

    fn address(&self) -> Result<&str, Fault> {
        let begins = |scheme: &&str| self.server.starts_with(*scheme);
        match ["http://", "https://"].iter().any(begins) {
            true => Ok(&self.server),
            false => Err(self.no_address()),
        }
    }

    fn no_address(&self) -> Fault {
        Fault::invalid(format!("--server {}: is not http(s)://host:port", self.server))
    }

    /// Says that the mesh is out of reach, and why.
    pub(crate) fn away(&self, fault: &dyn std::error::Error) -> Fault {
        let mut deepest = fault;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let (server, text) = (&self.server, deepest.to_string());
        // What rustls says of an answer that is none of TLS.
        if text.contains("InvalidContentType") {
            return Fault::failed(format!("{server} answers without TLS; is it http://?"));
        }
        Fault::failed(format!(
            "{server} cannot be reached ({text}); is `auspex up` running there?"
        ))
    }

    fn authority(&self) -> Result<Option<Vec<u8>>, Fault> {
        let read = |path: &PathBuf| {
            let wrong =
                |why: &dyn std::fmt::Display| Fault::invalid(format!("--ca {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|fault| wrong(&fault))?;
            let begin = b"-----BEGIN CERTIFICATE-----";
            match pem.windows(begin.len()).any(|part| part == begin) {
                true => Ok(pem),
                false => Err(wrong(&"holds no certificate in PEM")),
            }
        };
        self.ca.as_ref().map(read).transpose()
    }

    fn bearer(&self) -> Result<Option<MetadataValue<Ascii>>, Fault> {
        let value = |token: &String| {
            let fault = |_| Fault::invalid("--token: holds characters that no token has");
            let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(fault)?;
            value.set_sensitive(true);
            Ok(value)
        };
        self.token
            .as_ref()
            .filter(|token| !token.is_empty())
            .map(value)
            .transpose()
    }
}
