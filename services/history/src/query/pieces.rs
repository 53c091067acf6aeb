//! Long answers, piece by piece: nothing is held but the piece at hand.

use std::io::{Read as _, Seek as _};

use auspex_proto::subject;
use auspex_proto::wire::{ArchivedFact, ExportChunk};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::unavailable;
use crate::shelf::{Filter, Shelf};
use crate::table::{Rows, Table};

/// A piece of a file, in bytes.
const PIECE: usize = 256 * 1024;

pub(super) fn facts<F>(
    shelf: Shelf,
    filter: Filter,
    wanted: F,
) -> BoxStream<'static, Result<ArchivedFact, Status>>
where
    F: Fn(&ArchivedFact) -> bool + Send + Sync + 'static,
{
    let (out, answers) = mpsc::channel(64);
    tokio::spawn(async move {
        let work = async {
            let mut parts = shelf.parts(&filter).await?;
            while let Some(facts) = parts.next().await? {
                for fact in facts.into_iter().filter(&wanted) {
                    // Nobody listens any more.
                    if out.send(Ok(fact)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            anyhow::Ok(())
        };
        if let Err(fault) = work.await {
            out.send(Err(unavailable(&fault))).await.ok();
        }
    });
    ReceiverStream::new(answers).boxed()
}

pub(super) fn export(
    shelf: Shelf,
    filter: Filter,
    rows: Rows,
    project: String,
) -> BoxStream<'static, Result<ExportChunk, Status>> {
    let (out, answers) = mpsc::channel(4);
    tokio::spawn(async move {
        let done = match whole(&shelf, &filter, rows, &project).await {
            Ok(file) => send(file, &out).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = done {
            out.send(Err(unavailable(&fault))).await.ok();
        }
    });
    ReceiverStream::new(answers).boxed()
}

/// The file, on disk: its end holds what its beginning is read by.
async fn whole(shelf: &Shelf, filter: &Filter, rows: Rows, project: &str) -> anyhow::Result<std::fs::File> {
    let mut table = Table::new(tempfile::tempfile()?, rows)?;
    let token = subject::token(project);
    let add = |fact: ArchivedFact| {
        let address = subject::parse(&fact.subject).ok();
        let kind = address.as_ref().map_or("other", |a| a.kind.token());
        let kinds = filter.kinds.is_empty() || filter.kinds.contains(kind);
        if kinds && (project.is_empty() || address.is_some_and(|a| a.project == token)) {
            table.add(&fact)?;
        }
        Ok(())
    };
    shelf.each(filter, add).await?;
    let (mut file, _) = table.finish()?;
    file.rewind()?;
    Ok(file)
}

async fn send(
    mut file: std::fs::File,
    out: &mpsc::Sender<Result<ExportChunk, Status>>,
) -> anyhow::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece)?;
        let bytes = piece.get(..length).unwrap_or_default().to_vec();
        if length == 0 || out.send(Ok(ExportChunk { bytes })).await.is_err() {
            return Ok(());
        }
    }
}
