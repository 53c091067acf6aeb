//! The gRPC door: events and observations, one by one or as a stream.
//!
//! A stream keeps a window of facts on their way, so that one synced write carries many of them. They go out in the order
//! in which they came and are answered as the log acknowledges them, by their number. A fact that cannot be is answered
//! with the reason and the stream goes on; when the log cannot take facts, the stream ends as UNAVAILABLE after
//! everything on its way has been answered: what was not answered is to be sent again, under the same ids.

use auspex_chassis::bus::Outgoing;
use auspex_chassis::{House, Intake, Pending, PublishError, Receipt, Stop};
use auspex_proto::subject::FactKind;
use auspex_proto::wire::event_service_server::{EventService, EventServiceServer};
use auspex_proto::wire::publish_request::Fact as Sent;
use auspex_proto::wire::{PublishRequest, PublishResponse};
use auspex_proto::{Event, Fact, Invalid};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered};
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::figures::Figures;

/// Larger messages end the stream; those between the bus' limit and this one are refused by number.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;

type Answer = Result<PublishResponse, Status>;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    house: House,
    figures: Figures,
    window: usize,
    stop: Stop,
}

/// What became of a fact that was sent.
enum Taken {
    /// It is on its way.
    OnItsWay(Pending, String),
    /// It cannot be, and why.
    Refused(String),
}

impl Events {
    pub(crate) fn server(house: &House, window: usize, stop: Stop) -> EventServiceServer<Self> {
        let events = Self {
            house: house.clone(),
            figures: Figures::new(house.metrics(), "grpc"),
            window,
            stop,
        };
        EventServiceServer::new(events).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Sends a fact on its way.
    async fn take(&self, sent: Option<Sent>) -> Result<Taken, Status> {
        let bus = self.house.bus();
        if let Intake::Closed { reason, retry_after } = bus.intake() {
            return Err(unavailable(
                reason,
                u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX),
            ));
        }
        let (fact, bytes) = match sent.map(read) {
            Some(Ok(read)) => read,
            Some(Err(fault)) => return Ok(self.refuse(&fault)),
            None => return Ok(self.refuse(&Invalid::new("fact", "is missing"))),
        };
        let id = fact.meta().id.to_string();
        let outgoing = Outgoing::encoded(&fact, bytes, bus.partitions(), None);
        match bus.send(&outgoing).await {
            Ok(pending) => Ok(Taken::OnItsWay(pending, id)),
            Err(fault) => self.failed(fault).map(Taken::Refused),
        }
    }

    fn refuse(&self, fault: &Invalid) -> Taken {
        self.figures.other("refused");
        Taken::Refused(fault.to_string())
    }

    /// What the log did not take: refused for good, or not possible now.
    fn failed(&self, fault: PublishError) -> Result<String, Status> {
        match fault {
            PublishError::TooLarge { .. } => {
                self.figures.other("too_large");
                Ok(fault.to_string())
            }
            PublishError::Full(_) => Err(unavailable(fault.to_string(), 60_000)),
            PublishError::Unavailable(_) | PublishError::Stale => Err(unavailable(fault.to_string(), 1_000)),
        }
    }

    fn answer(&self, number: u64, id: String, receipt: Result<Receipt, PublishError>) -> Answer {
        match receipt {
            Ok(receipt) => {
                self.figures.acknowledged(receipt.duplicate, self.house.now());
                Ok(PublishResponse {
                    number,
                    id,
                    sequence: receipt.sequence,
                    duplicate: receipt.duplicate,
                    refused: String::new(),
                })
            }
            Err(fault) => self.failed(fault).map(|reason| refused(number, reason)),
        }
    }
}

/// A stream of facts under way. It works when its answers are asked for, on the task that writes them: no hand-over
/// between tasks per fact, and whoever does not read answers is not read from.
struct Line<F> {
    events: Events,
    requests: Streaming<PublishRequest>,
    on_their_way: FuturesUnordered<F>,
    /// How a fact on its way is waited for.
    wait: fn(u64, String, Pending) -> F,
    stopped: BoxFuture<'static, ()>,
    open: bool,
    ending: Option<Status>,
}

impl<F: Future<Output = (u64, String, Result<Receipt, PublishError>)>> Line<F> {
    /// The next answer; `None` when everything has been answered and no more comes.
    async fn next(&mut self) -> Option<Answer> {
        while self.open || !self.on_their_way.is_empty() {
            let room = self.open && self.on_their_way.len() < self.events.window;
            tokio::select! {
                biased;
                Some((number, id, receipt)) = self.on_their_way.next(), if !self.on_their_way.is_empty() => {
                    match self.events.answer(number, id, receipt) {
                        Ok(answer) => return Some(Ok(answer)),
                        Err(status) => self.end(Some(status)),
                    }
                }
                request = self.requests.message(), if room => match request {
                    Ok(Some(request)) => {
                        if let Some(answer) = self.take(request).await {
                            return Some(Ok(answer));
                        }
                    }
                    Ok(None) => self.end(None),
                    Err(status) => self.end(Some(status)),
                },
                () = &mut self.stopped, if self.open => {
                    self.end(Some(unavailable("this process is stopping".to_owned(), 1_000)));
                }
            }
        }
        let status = self.ending.take()?;
        self.events.figures.other("unavailable");
        Some(Err(status))
    }

    /// Sends a fact on its way, or answers at once why it cannot be.
    async fn take(&mut self, request: PublishRequest) -> Option<PublishResponse> {
        match self.events.take(request.fact).await {
            Ok(Taken::OnItsWay(pending, id)) => {
                self.on_their_way.push((self.wait)(request.number, id, pending));
                None
            }
            Ok(Taken::Refused(reason)) => Some(refused(request.number, reason)),
            Err(status) => {
                self.end(Some(status));
                None
            }
        }
    }

    /// Takes no more; what is on its way is still answered, then this, the first reason there was.
    fn end(&mut self, status: Option<Status>) {
        self.open = false;
        self.ending = self.ending.take().or(status);
    }
}

async fn wait(number: u64, id: String, pending: Pending) -> (u64, String, Result<Receipt, PublishError>) {
    (number, id, pending.receipt().await)
}

/// The fact and the bytes that will be on the log. Those are the ones that came, as the wire type writes them: they read
/// back as this fact, and writing the domain type out again would only cost.
fn read(sent: Sent) -> Result<(Fact, Vec<u8>), Invalid> {
    let (fact, bytes) = match sent {
        Sent::Event(event) => {
            let bytes = event.encode_to_vec();
            let event = Event::from_wire(event).map_err(|fault| fault.within(FactKind::Event.token()))?;
            (Fact::Event(event), bytes)
        }
        Sent::Observations(batch) => {
            let bytes = batch.encode_to_vec();
            (Fact::decode(FactKind::Observation, &bytes)?, bytes)
        }
    };
    let (kind, meta) = (fact.kind().token(), fact.meta());
    if meta.time.0 <= 0 {
        return Err(Invalid::new(
            format!("{kind}.meta.time_ms"),
            "is missing: say when it happened",
        ));
    }
    if meta.cause != 0 {
        return Err(Invalid::new(
            format!("{kind}.meta.cause_seq"),
            "is not 0, as for all that comes from outside",
        ));
    }
    Ok((fact, bytes))
}

fn refused(number: u64, reason: String) -> PublishResponse {
    PublishResponse {
        number,
        refused: reason,
        ..PublishResponse::default()
    }
}

/// Not now; `millis` later it may be fine.
fn unavailable(reason: String, millis: u64) -> Status {
    let mut status = Status::unavailable(reason);
    status
        .metadata_mut()
        .insert("grpc-retry-pushback-ms", MetadataValue::from(millis));
    status
}

#[tonic::async_trait]
impl EventService for Events {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let PublishRequest { number, fact } = request.into_inner();
        let answer = match self.take(fact).await {
            Ok(Taken::OnItsWay(pending, id)) => self.answer(number, id, pending.receipt().await),
            Ok(Taken::Refused(reason)) => Ok(refused(number, reason)),
            Err(status) => Err(status),
        };
        if answer.is_err() {
            self.figures.other("unavailable");
        }
        answer.map(Response::new)
    }

    type PublishStreamStream = BoxStream<'static, Answer>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let stop = self.stop.clone();
        let line = Line {
            events: self.clone(),
            requests: request.into_inner(),
            on_their_way: FuturesUnordered::new(),
            wait,
            stopped: Box::pin(async move { stop.requested().await }),
            open: true,
            ending: None,
        };
        let answers = stream::unfold(line, |mut line| async move {
            let answer = line.next().await?;
            Some((answer, line))
        });
        Ok(Response::new(answers.boxed()))
    }
}
