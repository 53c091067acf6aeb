//! `auspex dlq`: facts that could not be absorbed.

use auspex_proto::stage::STAGES;
use auspex_proto::wire::dead_letters_client::DeadLettersClient;
use auspex_proto::wire::{DeadLetterEntry, DeadLetterRequest, ListDeadLettersRequest};
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::reach::Reach;
use super::{Output, print, view};
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// The newest ones
    List {
        /// Only those of this stage
        #[arg(long, value_parser = stages())]
        stage: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to show them
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// One of them, with its payload
    Show {
        /// Its number in the list
        number: u64,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Publish one once more, under an id of its own
    Retry {
        /// Its number in the list
        number: Option<u64>,
        /// Retry all letters of this stage, oldest first
        #[arg(long, conflicts_with = "number", value_parser = stages())]
        stage: Option<String>,
    },
}

/// As many as the server lists at once.
const LISTED: usize = 5_000;

fn stages() -> PossibleValuesParser {
    PossibleValuesParser::new(STAGES.iter().map(|stage| stage.name))
}

impl Dlq {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let mut client = DeadLettersClient::new(reach.open().await?);
        match self {
            Self::List { stage, limit, output } => {
                let request = ListDeadLettersRequest {
                    stage: stage.unwrap_or_default(),
                    limit,
                };
                let entries = client.list(request).await?.into_inner().entries;
                match output {
                    Output::Text => print::text(&list(&entries)),
                    Output::Json => print::json(&Value::from(entries.iter().map(head).collect::<Vec<_>>())),
                }
            }
            Self::Show { number, output } => {
                let entry = client.show(DeadLetterRequest { number }).await?.into_inner();
                match output {
                    Output::Text => print::text(&text(&entry)),
                    Output::Json => print::json(&document(&entry)),
                }
            }
            Self::Retry { number, stage } => {
                let numbers = match (number, stage) {
                    (Some(number), _) => vec![number],
                    (None, None) => {
                        return Err(Fault::invalid("a NUMBER of the list, or --stage, is needed"));
                    }
                    (None, Some(stage)) => {
                        let request = ListDeadLettersRequest {
                            stage,
                            limit: u32::MAX,
                        };
                        let entries = client.list(request).await?.into_inner().entries;
                        entries.into_iter().map(|entry| entry.number).collect()
                    }
                };
                retry(&mut client, &numbers).await
            }
        }
    }
}

/// Retries each; what cannot be retried is said, and the others are tried all the same.
async fn retry(client: &mut DeadLettersClient<super::reach::Line>, numbers: &[u64]) -> Result<(), Fault> {
    let mut refused = 0;
    for number in numbers {
        match client.retry(DeadLetterRequest { number: *number }).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let (sequence, id) = (answer.sequence, answer.message_id);
                print::line(&format!("{number}: in the log again at {sequence}, as {id}"))?;
            }
            Err(status) if numbers.len() == 1 => return Err(status.into()),
            Err(status) => {
                refused += 1;
                print::line(&format!("{number}: {}", status.message()))?;
            }
        }
    }
    match refused {
        0 if numbers.is_empty() => print::line("there is nothing to retry"),
        0 if numbers.len() >= LISTED => Err(Fault::failed(format!(
            "these were the newest {LISTED}: older ones are retried by their NUMBER"
        ))),
        0 => Ok(()),
        _ => Err(Fault::failed(format!(
            "{refused} of {} could not be retried",
            numbers.len()
        ))),
    }
}

fn list(entries: &[DeadLetterEntry]) -> String {
    if entries.is_empty() {
        return "there are no dead letters\n".to_owned();
    }
    let head = ["NUMBER", "WHEN", "STAGE", "SUBJECT", "REASON"]
        .map(str::to_owned)
        .to_vec();
    let mut rows = vec![head];
    for entry in entries {
        let letter = entry.letter.clone().unwrap_or_default();
        let when = view::instant(letter.time_ms);
        rows.push(vec![
            entry.number.to_string(),
            when,
            letter.stage,
            letter.subject,
            letter.reason,
        ]);
    }
    print::table(&rows)
}

fn text(entry: &DeadLetterEntry) -> String {
    let letter = entry.letter.clone().unwrap_or_default();
    let payload = match std::str::from_utf8(&letter.payload) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => text.to_owned(),
        _ => hex::encode(&letter.payload),
    };
    format!(
        "number   {}\nstage    {}\nreason   {}\nwhen     {}\nsubject  {}\nsequence {}\nid       {}\nattempt  {}\npayload  {} bytes\n{payload}\n",
        entry.number,
        letter.stage,
        letter.reason,
        view::instant(letter.time_ms),
        letter.subject,
        letter.sequence,
        letter.message_id,
        letter.attempt,
        letter.payload.len(),
    )
}

/// A letter without its payload, as a list has it.
fn head(entry: &DeadLetterEntry) -> Value {
    let letter = entry.letter.clone().unwrap_or_default();
    json!({
        "number": entry.number, "stage": letter.stage, "subject": letter.subject, "sequence": letter.sequence,
        "message_id": letter.message_id, "reason": letter.reason, "attempt": letter.attempt,
        "time_ms": letter.time_ms,
    })
}

fn document(entry: &DeadLetterEntry) -> Value {
    let mut document = head(entry);
    let payload = entry.letter.as_ref().map(|letter| hex::encode(&letter.payload));
    if let Value::Object(fields) = &mut document {
        fields.insert("payload_hex".to_owned(), Value::from(payload));
    }
    document
}
