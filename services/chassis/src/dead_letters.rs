//! Looking at dead letters, and giving one another chance.

use std::collections::VecDeque;
use std::sync::Arc;

use async_nats::jetstream::stream::RawMessageErrorKind;
use auspex_proto::wire::dead_letters_server::{DeadLetters, DeadLettersServer};
use auspex_proto::wire::{
    DeadLetter, DeadLetterEntry, DeadLetterRequest, ListDeadLettersRequest, ListDeadLettersResponse,
    RetryDeadLetterResponse,
};
use auspex_proto::{Fact, subject};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::bus::{Bus, KEPT, Outgoing, Reader, Start};

/// The most that are listed at once: without their payloads they fit gRPC's own limit of 4 MB.
const MOST: usize = 5_000;

/// The gRPC service over the stream of dead letters.
#[derive(Debug, Clone)]
pub(crate) struct Letters {
    bus: Bus,
}

impl Letters {
    pub(crate) fn server(bus: &Bus) -> DeadLettersServer<Self> {
        DeadLettersServer::from_arc(Arc::new(Self { bus: bus.clone() }))
    }

    async fn entry(&self, number: u64) -> Result<DeadLetterEntry, Status> {
        let missing = || Status::not_found(format!("there is no dead letter {number}"));
        // The server takes 0 for no number at all.
        if number == 0 {
            return Err(missing());
        }
        let stream = self
            .bus
            .js()
            .get_stream_no_info(subject::DEAD)
            .await
            .map_err(unavailable)?;
        let message = stream
            .get_raw_message(number)
            .await
            .map_err(|fault| match fault.kind() {
                RawMessageErrorKind::NoMessageFound => missing(),
                _ => unavailable(fault),
            })?;
        let letter =
            DeadLetter::decode(message.payload.as_ref()).map_err(|f| Status::data_loss(f.to_string()))?;
        Ok(DeadLetterEntry {
            number,
            letter: Some(letter),
        })
    }

    /// The whole of a letter's payload: the log has it when the letter keeps only a part.
    async fn payload(&self, letter: &mut DeadLetter) -> Result<Vec<u8>, Status> {
        if letter.sequence == 0 || letter.payload.len() < KEPT {
            return Ok(std::mem::take(&mut letter.payload));
        }
        let log = self.bus.js().get_stream_no_info(subject::FACTS).await;
        let found = log.map_err(unavailable)?.get_raw_message(letter.sequence).await;
        match found {
            Ok(message) => Ok(message.payload.to_vec()),
            Err(fault) if fault.kind() == RawMessageErrorKind::NoMessageFound => Err(
                Status::failed_precondition("the letter keeps a part of it, and it has expired from the log"),
            ),
            Err(fault) => Err(unavailable(fault)),
        }
    }
}

fn unavailable(fault: impl std::fmt::Display) -> Status {
    Status::unavailable(fault.to_string())
}

#[tonic::async_trait]
impl DeadLetters for Letters {
    async fn list(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let asked = request.into_inner();
        let limit = match asked.limit {
            0 => 100,
            limit => usize::try_from(limit).unwrap_or(MOST).min(MOST),
        };
        let stream = self
            .bus
            .js()
            .get_stream(subject::DEAD)
            .await
            .map_err(unavailable)?;
        if stream.cached_info().state.messages == 0 {
            return Ok(Response::new(ListDeadLettersResponse::default()));
        }
        // The newest are what a person looks for.
        let mut entries = VecDeque::new();
        let mut reader = Reader::new(
            &self.bus,
            subject::DEAD,
            vec![subject::DEAD_SUBJECTS.to_owned()],
            Start::At(1),
        );
        loop {
            let raw = reader.next().await.map_err(unavailable)?;
            if let Ok(mut letter) = DeadLetter::decode(raw.payload.as_ref())
                && (asked.stage.is_empty() || asked.stage == letter.stage)
            {
                letter.payload = Vec::new();
                if entries.len() == limit {
                    entries.pop_front();
                }
                entries.push_back(DeadLetterEntry {
                    number: raw.seq,
                    letter: Some(letter),
                });
            }
            if raw.behind == 0 {
                break;
            }
        }
        Ok(Response::new(ListDeadLettersResponse {
            entries: entries.into(),
        }))
    }

    async fn show(&self, request: Request<DeadLetterRequest>) -> Result<Response<DeadLetterEntry>, Status> {
        self.entry(request.into_inner().number).await.map(Response::new)
    }

    /// The payload goes to its place once more, under an id of its own: within the duplicate window the old id would vanish.
    async fn retry(
        &self,
        request: Request<DeadLetterRequest>,
    ) -> Result<Response<RetryDeadLetterResponse>, Status> {
        let number = request.into_inner().number;
        let mut letter = self.entry(number).await?.letter.unwrap_or_default();
        let address = subject::parse(&letter.subject).map_err(|_| {
            Status::failed_precondition(format!(
                "it was refused at the door ({}) and never was a fact: mend it, and send it there again",
                letter.subject
            ))
        })?;
        let payload = self.payload(&mut letter).await?;
        if let Err(fault) = Fact::decode(address.kind, &payload) {
            return Err(Status::failed_precondition(format!(
                "it would fail again: {fault}"
            )));
        }
        let attempt = nuid::next();
        let message_id = format!("{}#retry-{attempt}", letter.message_id);
        let kind = address.kind;
        let outgoing = Outgoing::raw(
            letter.subject,
            message_id.clone(),
            kind.token(),
            kind.lifetime(),
            payload,
        );
        let pending = self.bus.send(&outgoing).await.map_err(unavailable)?;
        let receipt = pending.receipt().await.map_err(unavailable)?;
        Ok(Response::new(RetryDeadLetterResponse {
            sequence: receipt.sequence,
            message_id,
        }))
    }
}
