//! Running git: one command, bounded in time and in what it may print.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use auspex_proto::event::ChangeComplexity;

use super::GitError;
use crate::change_stats::Nesting;

/// More than this, in bytes, no command may print: a history of 20,000 commits is a tenth of it.
const MAX_PRINTED: usize = 256 * 1024 * 1024;

/// Git in a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Git<'a> {
    folder: &'a Path,
    patience: Duration,
}

impl<'a> Git<'a> {
    pub(super) fn new(folder: &'a Path, patience: Duration) -> Self {
        Self { folder, patience }
    }

    /// What the command prints; bytes that are no text are replaced.
    pub(super) fn text(&self, arguments: &[&str]) -> Result<String, GitError> {
        self.text_with(arguments, Vec::new())
    }

    /// The same, with something to read.
    pub(super) fn text_with(&self, arguments: &[&str], input: Vec<u8>) -> Result<String, GitError> {
        let bytes = self.run(arguments, input, |out| {
            let mut bytes = Vec::new();
            out.take(MAX_PRINTED as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        })?;
        if bytes.len() > MAX_PRINTED {
            return Err(GitError::Long {
                command: name(arguments),
                limit: MAX_PRINTED,
            });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How many lines each blob has, in order.
    pub(super) fn lines_of(&self, blobs: &[&str]) -> Result<Vec<u64>, GitError> {
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut input = blobs.join("\n").into_bytes();
        input.push(b'\n');
        let lines = self.run(&["cat-file", "--batch"], input, |out| {
            let mut out = BufReader::with_capacity(64 * 1024, out);
            let mut lines = Vec::new();
            while let Some(size) = header(&mut out)? {
                lines.push(count_lines(&mut out, size)?);
            }
            Ok(lines)
        })?;
        match blobs.get(lines.len()) {
            None => Ok(lines),
            Some(blob) => Err(GitError::Unreadable((*blob).to_owned())),
        }
    }

    /// Reads a patch without context line by line: how deeply nested what it adds to code is.
    pub(super) fn patch(&self, arguments: &[&str]) -> Result<Option<ChangeComplexity>, GitError> {
        let limit = MAX_PRINTED as u64;
        let (complexity, read) = self.run(arguments, Vec::new(), move |out| {
            let mut out = BufReader::with_capacity(64 * 1024, out.take(limit + 1));
            let (mut nesting, mut line, mut read) = (Nesting::default(), Vec::new(), 0);
            loop {
                line.clear();
                match out.read_until(b'\n', &mut line)? {
                    0 => return Ok((nesting.complexity(), read)),
                    length => read += length as u64,
                }
                nesting.line(&line);
            }
        })?;
        if read > limit {
            return Err(GitError::Long {
                command: name(arguments),
                limit: MAX_PRINTED,
            });
        }
        Ok(complexity)
    }

    /// Runs git and reads what it prints on a thread of its own, so that one that hangs can be ended.
    fn run<T: Send + 'static>(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
        read: impl FnOnce(ChildStdout) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, GitError> {
        let mut child = self.spawn(arguments).map_err(GitError::Run)?;
        let (done, finished) = mpsc::channel();
        if let Some(mut stdin) = child.stdin.take() {
            // A command that ends before it has read everything says why by its own exit.
            thread::spawn(move || stdin.write_all(&input).ok());
        }
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || done.send(read(stdout)).ok());
        }
        let complaint = complaint(&mut child);
        let Ok(read) = finished.recv_timeout(self.patience) else {
            child.kill().map_err(GitError::Run)?;
            child.wait().map_err(GitError::Run)?;
            return Err(GitError::Slow {
                command: name(arguments),
                seconds: self.patience.as_secs(),
            });
        };
        // Whoever stopped reading has what it wanted, or fails below: a command that still prints must not block.
        let status = child.wait().map_err(GitError::Run)?;
        if !status.success() {
            let reason = complaint.and_then(|said| said.join().ok()).unwrap_or_default();
            let reason = reason.lines().next().unwrap_or_default().to_owned();
            return Err(GitError::Failed {
                command: name(arguments),
                reason,
            });
        }
        read.map_err(GitError::Run)
    }

    fn spawn(&self, arguments: &[&str]) -> std::io::Result<Child> {
        let settings = [
            "--no-pager",
            "--literal-pathspecs",
            "-c",
            "core.quotePath=false",
            "-c",
            "i18n.logOutputEncoding=UTF-8",
            "-c",
            "log.mailmap=false",
            "-c",
            "log.showSignature=false",
        ];
        Command::new("git")
            .args(settings)
            .args([OsStr::new("-C"), self.folder.as_os_str()])
            .args(arguments)
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

/// What git complains of, 4 kB of it; the rest is read and dropped, so that it can go on complaining.
fn complaint(child: &mut Child) -> Option<thread::JoinHandle<String>> {
    let mut stderr = child.stderr.take()?;
    Some(thread::spawn(move || {
        let mut said = Vec::new();
        let _read = stderr.by_ref().take(4096).read_to_end(&mut said);
        let _dropped = std::io::copy(&mut stderr, &mut std::io::sink());
        String::from_utf8_lossy(&said).trim().to_owned()
    }))
}

fn name(arguments: &[&str]) -> String {
    arguments.first().copied().unwrap_or_default().to_owned()
}

/// `id blob size`, the head of what `cat-file --batch` prints; `None` at the end, and at an object that is not there.
fn header(out: &mut impl BufRead) -> std::io::Result<Option<u64>> {
    let mut line = String::new();
    out.read_line(&mut line)?;
    let mut words = line.split_whitespace().skip(1);
    Ok(match words.next() {
        Some("blob") => words.next().and_then(|size| size.parse().ok()),
        _ => None,
    })
}

/// Lines in the next `size` bytes; a last one without an end counts. Reads the line feed behind them too.
fn count_lines(out: &mut impl BufRead, size: u64) -> std::io::Result<u64> {
    let (mut lines, mut left, mut last) = (0, size, b'\n');
    while left > 0 {
        let chunk = out.fill_buf()?;
        let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some((seen, end)) = chunk.get(..length).and_then(|seen| Some((seen, *seen.last()?))) else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        lines += seen.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        last = end;
        left -= length as u64;
        out.consume(length);
    }
    let behind = out.fill_buf()?.len().min(1);
    out.consume(behind);
    Ok(lines + u64::from(last != b'\n'))
}
