//! The gRPC door: events and observations, one by one or as a stream.
//!
//! A stream keeps a window of facts on their way, so that one synced write carries many of them. They go out in the order
//! in which they came, which is that in which the log acknowledges them, and are answered by their number. A fact that cannot
//! be is answered with the reason and the stream goes on; when the log cannot take facts, the stream ends as UNAVAILABLE after
//! everything on its way has been answered: what was not answered is to be sent again, under the same ids.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use auspex_chassis::bus::Outgoing;
use auspex_chassis::{House, Intake, Pending, PublishError, Receipt, Stop};
use auspex_proto::door::PublishRequest;
use auspex_proto::door::event_service_server::{EventService, EventServiceServer};
use auspex_proto::door::publish_request::Fact as Sent;
use auspex_proto::subject::FactKind;
use auspex_proto::wire::PublishResponse;
use auspex_proto::{Fact, Invalid};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::figures::Figures;

/// Larger messages end the stream; those between the bus' limit and this one are refused by number.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;
/// How long the log may take to acknowledge a fact. Longer than the bus waits for the first of them, which notes that the log is
/// silent; those behind it then need not wait as long again, one after the other.
const PATIENCE: Duration = Duration::from_secs(6);

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
        let id = fact.meta().id.as_str().to_owned();
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

    fn answer(&self, (number, id, receipt): Settled) -> Answer {
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
struct Line {
    events: Events,
    requests: Streaming<PublishRequest>,
    on_their_way: VecDeque<OnItsWay>,
    stopped: BoxFuture<'static, ()>,
    end: End,
}

/// Whether a line takes no more, and why if that is a fault.
#[derive(Default)]
struct End {
    has_come: bool,
    why: Option<Status>,
}

impl End {
    /// Takes no more; what is on its way is still answered, then this, the first reason there was.
    fn come(&mut self, why: Option<Status>) {
        self.has_come = true;
        self.why = self.why.take().or(why);
    }
}

/// A fact that the log has not acknowledged yet.
struct OnItsWay {
    number: u64,
    id: String,
    pending: Pending,
    until: Instant,
}

/// A fact's number and id, and what became of it.
type Settled = (u64, String, Result<Receipt, PublishError>);

/// What happens to a line next.
enum Next {
    /// The log has said what became of a fact.
    Settled(Settled),
    /// One more came.
    Came(PublishRequest),
    /// No more comes, and why if that is a fault.
    Ended(Option<Status>),
}

impl Line {
    /// What is next; `None` when everything has been answered and no more comes.
    async fn next(&mut self) -> Option<Next> {
        let open = !self.end.has_come;
        if !open && self.on_their_way.is_empty() {
            return None;
        }
        let room = open && self.on_their_way.len() < self.events.window;
        let until = self.on_their_way.front().map(|first| first.until);
        let next = tokio::select! {
            biased;
            Some(settled) = settled(&mut self.on_their_way) => Next::Settled(settled),
            request = self.requests.message(), if room => match request {
                Ok(Some(request)) => Next::Came(request),
                Ok(None) => Next::Ended(None),
                Err(status) => Next::Ended(Some(status)),
            },
            () = passed(until) => {
                let silent = PublishError::Unavailable("the log is silent".to_owned());
                Next::Settled(first(&mut self.on_their_way, Err(silent))?)
            }
            () = &mut self.stopped, if open => {
                Next::Ended(Some(unavailable("this process is stopping".to_owned(), 1_000)))
            }
        };
        Some(next)
    }
}

/// The answers to a line's facts, in the order in which the log gives its word; then the reason why no more are taken, if
/// there is one. One state that stays where it is: a fact costs no copy of it.
fn answers(events: Events, requests: Streaming<PublishRequest>) -> impl Stream<Item = Answer> + Send {
    let stop = events.stop.clone();
    let mut line = Line {
        events,
        requests,
        on_their_way: VecDeque::new(),
        stopped: Box::pin(async move { stop.requested().await }),
        end: End::default(),
    };
    stream! {
        while let Some(next) = line.next().await {
            match next {
                Next::Settled(settled) => match line.events.answer(settled) {
                    Ok(answer) => yield Ok(answer),
                    Err(status) => line.end.come(Some(status)),
                },
                Next::Came(PublishRequest { number, fact }) => {
                    let mut taking = pin!(line.events.take(fact));
                    // Where much is on its way in the whole process the bus makes publishers wait until some of it has arrived:
                    // whoever waited here without hearing what has arrived could wait for himself.
                    let taken = loop {
                        let settled = tokio::select! {
                            biased;
                            taken = &mut taking => break taken,
                            Some(settled) = settled(&mut line.on_their_way) => settled,
                        };
                        match line.events.answer(settled) {
                            Ok(answer) => yield Ok(answer),
                            Err(status) => line.end.come(Some(status)),
                        }
                    };
                    match taken {
                        Ok(Taken::OnItsWay(pending, id)) => {
                            let until = Instant::now() + PATIENCE;
                            line.on_their_way.push_back(OnItsWay { number, id, pending, until });
                        }
                        Ok(Taken::Refused(reason)) => yield Ok(refused(number, reason)),
                        Err(status) => line.end.come(Some(status)),
                    }
                }
                Next::Ended(why) => line.end.come(why),
            }
        }
        if let Some(status) = line.end.why.take() {
            line.events.figures.other("unavailable");
            yield Err(status);
        }
    }
}

/// The first of these, once it is known what became of it. Only that one is asked: the log acknowledges in order, so that the rest
/// has its answer when its turn comes, and nobody is woken for each.
async fn settled(on_their_way: &mut VecDeque<OnItsWay>) -> Option<Settled> {
    let receipt = (&mut on_their_way.front_mut()?.pending).await;
    first(on_their_way, receipt)
}

/// The first of these leaves them: this became of it.
fn first(on_their_way: &mut VecDeque<OnItsWay>, receipt: Result<Receipt, PublishError>) -> Option<Settled> {
    let OnItsWay { number, id, .. } = on_their_way.pop_front()?;
    Some((number, id, receipt))
}

/// Never without a moment. The timer is made when it is asked for: while there is other work, there is none.
async fn passed(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The fact and the bytes that will be on the log: those that came.
fn read(sent: Sent) -> Result<(Fact, Bytes), Invalid> {
    let (kind, bytes) = match sent {
        Sent::Event(bytes) => (FactKind::Event, bytes),
        Sent::Observations(bytes) => (FactKind::Observation, bytes),
    };
    let fact = Fact::decode(kind, &bytes)?;
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
            Ok(Taken::OnItsWay(pending, id)) => self.answer((number, id, pending.receipt().await)),
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
        let answers = answers(self.clone(), request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }
}
