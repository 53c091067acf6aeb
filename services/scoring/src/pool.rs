//! The scoring threads: each owns a session and scores what has arrived in one run. A few vectors that nobody wants reasons
//! for are scored at once, by whoever asks: waking a thread and being woken by it takes ten times as long as the score.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use auspex_proto::FeatureVector;
use auspex_proto::score::Band;
use tokio::sync::oneshot;

use crate::model::{Model, ModelFault};
use crate::runtime::{Reasons, Runtime, ScoreFault, Scorer};
use crate::score::Scored;

/// At most this many rows go into one run: a run of 256 takes 2 ms, the time that the first row waits for the last.
const ROWS_A_RUN: usize = 256;
/// At most this many are scored by whoever asks: some 40 us, which a task may take.
const AT_ONCE: usize = 4;

/// Vectors on their way to a thread, and the way back.
struct Job {
    vectors: Vec<FeatureVector>,
    when: Reasons,
    reply: oneshot::Sender<Done>,
}

/// The vectors again, each with its score.
pub type Done = Vec<(FeatureVector, Result<Scored, ScoreFault>)>;

/// The threads. They end when the last clone of the pool is dropped.
#[derive(Debug, Clone)]
pub struct Pool {
    threads: Arc<[Sender<Job>]>,
    next: Arc<AtomicUsize>,
    /// For who asks about a few.
    desk: Arc<Mutex<Scorer>>,
}

impl Pool {
    /// Starts the threads; every one opens a session and passes the golden rows first.
    ///
    /// # Errors
    /// [`ModelFault`].
    pub fn start(
        runtime: &Runtime,
        model: &Arc<Model>,
        threads: usize,
        reasons: usize,
    ) -> Result<Self, ModelFault> {
        let desk = Scorer::open(runtime, Arc::clone(model), reasons)?;
        let mut senders = Vec::new();
        for number in 0..threads.max(1) {
            let scorer = Scorer::open(runtime, Arc::clone(model), reasons)?;
            let (sender, jobs) = channel();
            let thread = std::thread::Builder::new().name(format!("score-{number}"));
            let started = thread.spawn(move || attend(scorer, &jobs));
            started.map_err(|f| ModelFault::Runtime(format!("starting a thread: {f}")))?;
            senders.push(sender);
        }
        Ok(Self {
            threads: senders.into(),
            next: Arc::default(),
            desk: Arc::new(Mutex::new(desk)),
        })
    }

    /// Scores the vectors, in order.
    ///
    /// # Errors
    /// [`ScoreFault::Runtime`] when a run has failed as a whole; a fault of one vector stands beside it.
    pub async fn score(&self, vectors: Vec<FeatureVector>, when: Reasons) -> Result<Done, ScoreFault> {
        if let Some(scored) = self.at_once(&vectors, when) {
            return Ok(vectors.into_iter().zip(scored).collect());
        }
        let gone = || ScoreFault::Runtime("the run has failed".to_owned());
        let mut replies = Vec::new();
        let mut vectors = vectors.into_iter().peekable();
        while vectors.peek().is_some() {
            let (reply, answer) = oneshot::channel();
            let part = vectors.by_ref().take(ROWS_A_RUN).collect();
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len().max(1);
            let job = Job {
                vectors: part,
                when,
                reply,
            };
            let sent = self.threads.get(turn).map(|thread| thread.send(job));
            sent.ok_or_else(gone)?.map_err(|_| gone())?;
            replies.push(answer);
        }
        let mut done = Vec::new();
        for reply in replies {
            done.extend(reply.await.map_err(|_| gone())?);
        }
        Ok(done)
    }

    /// A few vectors, when no reasons are wanted and nobody else is at the desk; else the threads do it.
    fn at_once(&self, vectors: &[FeatureVector], when: Reasons) -> Option<Vec<Result<Scored, ScoreFault>>> {
        let explains = match when {
            Reasons::Always => true,
            Reasons::WhenNotable => vectors.iter().any(|vector| vector.wants_reasons),
            Reasons::Never => false,
        };
        if explains || vectors.len() > AT_ONCE {
            return None;
        }
        let mut desk = self.desk.try_lock().ok()?;
        let all: Vec<_> = vectors.iter().map(|vector| (vector, Reasons::Never)).collect();
        // A panic is for the threads to have and to tell of.
        let scored = catch_unwind(AssertUnwindSafe(|| desk.score_all(&all))).ok()?;
        let notable =
            |scored: &Result<Scored, ScoreFault>| scored.as_ref().is_ok_and(|s| s.band != Band::Low);
        let explains = when == Reasons::WhenNotable && scored.iter().any(notable);
        (!explains).then_some(scored)
    }
}

/// Works until the pool is gone. A vector that makes the thread panic spoils the run it is in, and no other.
fn attend(mut scorer: Scorer, jobs: &Receiver<Job>) {
    while catch_unwind(AssertUnwindSafe(|| work(&mut scorer, jobs))).is_err() {
        tracing::error!("a run of the model panicked; its vectors have no score");
    }
}

/// Takes a job and all that has come meanwhile, scores them in one run, answers each.
fn work(scorer: &mut Scorer, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut rows = first.vectors.len();
        let mut taken = vec![first];
        while rows < ROWS_A_RUN {
            let Ok(next) = jobs.try_recv() else { break };
            rows += next.vectors.len();
            taken.push(next);
        }
        let all: Vec<(&FeatureVector, Reasons)> = taken
            .iter()
            .flat_map(|job| job.vectors.iter().map(|v| (v, job.when)))
            .collect();
        let mut scored = scorer.score_all(&all).into_iter();
        for job in taken {
            let count = job.vectors.len();
            let done: Done = job.vectors.into_iter().zip(scored.by_ref().take(count)).collect();
            // Whoever asked may have gone: nothing is lost, a fact that was not acked comes again.
            job.reply.send(done).ok();
        }
    }
}
