//! The history, asked for the events of a project, in the order of the log.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use auspex_proto::wire::history_client::HistoryClient;
use auspex_proto::wire::{ExportKind, ExportRequest};
use auspex_proto::{Event, Fact, FactKind};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;
use tempfile::NamedTempFile;

use crate::door::{Door, Place};

/// Reading an archive of years takes its time.
const PATIENCE: Duration = Duration::from_secs(1800);
/// A piece of the answer, in bytes.
const LARGEST: usize = 32 << 20;
/// Of the columns of an export, those that are read.
const COLUMNS: &str = "message fact {
    REQUIRED INT64 time (TIMESTAMP(MILLIS, true));
    REQUIRED BYTE_ARRAY payload;
}";

/// The way to it; connects when it is used.
#[derive(Debug, Clone)]
pub(crate) struct Past(Door);

impl Past {
    pub(crate) fn of(place: &Place) -> anyhow::Result<Self> {
        Door::of(place, PATIENCE).map(Self)
    }

    /// Tells all events of a project, each with when the log had it, in milliseconds.
    pub(crate) async fn tell(&self, project: &str, mut to: impl FnMut(&Event, i64)) -> anyhow::Result<()> {
        let table = self
            .export(project)
            .await
            .with_context(|| format!("asking the history about {project}"))?;
        read(&table, |time, payload| {
            // What this version cannot read says nothing to it.
            if let Ok(Fact::Event(event)) = Fact::decode(FactKind::Event, payload) {
                to(&event, time);
            }
        })
    }

    async fn export(&self, project: &str) -> anyhow::Result<File> {
        let asked = ExportRequest {
            kind: ExportKind::Facts.into(),
            project: project.to_owned(),
            facts: vec![FactKind::Event.token().to_owned()],
            ..ExportRequest::default()
        };
        let mut client = HistoryClient::new(self.0.channel()).max_decoding_message_size(LARGEST);
        let said = |status: tonic::Status| anyhow!("{}", status.message());
        let mut pieces = client
            .export(self.0.request(asked))
            .await
            .map_err(said)?
            .into_inner();
        let mut file = NamedTempFile::new()?;
        while let Some(piece) = pieces.message().await.map_err(said)? {
            file.write_all(&piece.bytes)?;
        }
        file.flush()?;
        Ok(file.reopen()?)
    }
}

/// Time and payload of each row.
fn read(table: &File, mut to: impl FnMut(i64, &[u8])) -> anyhow::Result<()> {
    let reader = SerializedFileReader::new(table.try_clone()?)?;
    let columns = Arc::new(parse_message_type(COLUMNS)?);
    for row in reader.get_row_iter(Some((*columns).clone()))? {
        let row = row?;
        let (mut time, mut payload) = (None, None);
        for (name, field) in row.get_column_iter() {
            match (name.as_str(), field) {
                ("time", Field::TimestampMillis(at)) => time = Some(*at),
                ("payload", Field::Bytes(bytes)) => payload = Some(bytes.data()),
                _ => {}
            }
        }
        match (time, payload) {
            (Some(time), Some(payload)) => to(time, payload),
            _ => return Err(anyhow!("the history's table has no time or no payload")),
        }
    }
    Ok(())
}
