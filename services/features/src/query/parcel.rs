//! A push as the door takes it: its rows stay the bytes they came as, and are read one at a time.
//!
//! A row of 32 features takes 600 bytes on the wire and five times as much as the generated type, a tree of names and numbers:
//! a request of 10,000 of them was 32 MB, which the process keeps. Everything else goes on to the generated door.

use std::convert::Infallible;
use std::task::{Context, Poll};

use auspex_proto::wire::feature_store_server::FeatureStoreServer;
use auspex_proto::wire::{PushRequest, PushResponse, PushRow};
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message as _;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::Answers;

const PUSH: &str = "/auspex.v1.FeatureStore/Push";

/// `PushRequest` whose rows are not read yet: on the wire the same.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Parcel {
    #[prost(string, tag = "1")]
    pub(super) project: String,
    #[prost(string, tag = "2")]
    pub(super) view: String,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub(super) rows: Vec<Bytes>,
    #[prost(bool, tag = "4")]
    pub(super) wait: bool,
}

/// One row of a push, read or not.
pub(super) trait Unread: Send {
    /// The row.
    ///
    /// # Errors
    /// Why it is none.
    fn read(self) -> Result<PushRow, String>;
}

impl Unread for Bytes {
    fn read(self) -> Result<PushRow, String> {
        PushRow::decode(self).map_err(|fault| fault.to_string())
    }
}

impl Unread for PushRow {
    fn read(self) -> Result<PushRow, String> {
        Ok(self)
    }
}

/// What is pushed, but for the rows.
pub(super) struct Addressed {
    pub(super) project: String,
    pub(super) view: String,
    pub(super) wait: bool,
}

impl Parcel {
    pub(super) fn open(self) -> (Addressed, Vec<Bytes>) {
        let Self {
            project,
            view,
            rows,
            wait,
        } = self;
        (Addressed { project, view, wait }, rows)
    }
}

/// The same of a push that is read already.
pub(super) fn opened(pushed: PushRequest) -> (Addressed, Vec<PushRow>) {
    let PushRequest {
        project,
        view,
        rows,
        wait,
    } = pushed;
    (Addressed { project, view, wait }, rows)
}

/// The door of the feature store.
#[derive(Debug, Clone)]
pub struct Door {
    answers: Answers,
    rest: FeatureStoreServer<Answers>,
    largest: usize,
}

impl Door {
    /// For these answers; `largest`: the most bytes of a question or an answer.
    #[must_use]
    pub fn new(answers: Answers, largest: usize) -> Self {
        let rest = FeatureStoreServer::new(answers.clone())
            .max_decoding_message_size(largest)
            .max_encoding_message_size(largest);
        Self {
            answers,
            rest,
            largest,
        }
    }
}

impl NamedService for Door {
    const NAME: &'static str = <FeatureStoreServer<Answers> as NamedService>::NAME;
}

impl UnaryService<Parcel> for Answers {
    type Response = PushResponse;
    type Future = BoxFuture<'static, Result<Response<PushResponse>, Status>>;

    fn call(&mut self, request: Request<Parcel>) -> Self::Future {
        let answers = self.clone();
        Box::pin(async move {
            let (pushed, rows) = request.into_inner().open();
            answers.push_rows(pushed, rows).await.map(Response::new)
        })
    }
}

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != PUSH {
            return self.rest.call(request);
        }
        let (answers, largest) = (self.answers.clone(), Some(self.largest));
        Box::pin(async move {
            let codec = ProstCodec::<PushResponse, Parcel>::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(largest, largest);
            Ok(grpc.unary(answers, request).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_is_a_push_on_the_wire() {
        let row = |n: f64| PushRow {
            keys: [("customer".to_owned(), "ada".to_owned())].into(),
            numbers: [("amount".to_owned(), n)].into(),
            texts: [("coupon".to_owned(), "SPRING".to_owned())].into(),
            event_ms: 5,
            created_ms: 6,
            id: "one".to_owned(),
        };
        let pushed = PushRequest {
            project: "acme/shop".to_owned(),
            view: "orders".to_owned(),
            rows: vec![row(1.5), row(2.5)],
            wait: true,
        };
        let bytes = pushed.encode_to_vec();
        let parcel = Parcel::decode(bytes.as_slice()).unwrap();
        assert_eq!(parcel.encode_to_vec(), bytes);
        let (addressed, rows) = parcel.open();
        let read: Vec<PushRow> = rows.into_iter().map(|row| row.read().unwrap()).collect();
        assert_eq!(read, pushed.rows);
        assert_eq!(
            (addressed.project, addressed.view, addressed.wait),
            (pushed.project, pushed.view, pushed.wait)
        );
        assert!(PUSH.starts_with(&format!("/{}/", Door::NAME)));
        assert!(Bytes::from_static(b"\xff\xff").read().is_err());
    }
}
