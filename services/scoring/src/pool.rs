//! The scoring threads: each owns a session and scores what has arrived in one run. A few vectors that nobody wants reasons
//! for are scored at once, by whoever asks: waking a thread and being woken by it takes ten times as long as the score.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use auspex_proto::FeatureVector;
use auspex_proto::score::Band;
use tokio::sync::oneshot;

use crate::model::{Model, ModelFault};
use crate::reasons::Explained;
use crate::runtime::{Reasons, Runtime, ScoreFault, Scorer, number};
use crate::score::Scored;

/// At most this many rows go into one run: a run of 256 takes 2 ms, the time that the first row waits for the last.
const ROWS_A_RUN: usize = 256;
/// At most this many are scored by whoever asks: some 40 us, which a task may take.
const AT_ONCE: usize = 4;

/// Vectors on their way to a thread, and the way back.
struct Job {
    vectors: Arc<Vec<FeatureVector>>,
    when: Reasons,
    reply: oneshot::Sender<Vec<Result<Scored, ScoreFault>>>,
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

    /// Scores the vectors, in order; a fault of one stands beside it and spoils no other.
    pub async fn score(&self, vectors: Vec<FeatureVector>, when: Reasons) -> Done {
        if let Some(scored) = self.at_once(&vectors, when) {
            return vectors.into_iter().zip(scored).collect();
        }
        let mut replies = Vec::new();
        let mut vectors = vectors.into_iter().peekable();
        while vectors.peek().is_some() {
            let (reply, answer) = oneshot::channel();
            let part: Arc<Vec<FeatureVector>> = Arc::new(vectors.by_ref().take(ROWS_A_RUN).collect());
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len().max(1);
            let job = Job {
                vectors: Arc::clone(&part),
                when,
                reply,
            };
            if let Some(thread) = self.threads.get(turn) {
                // A thread that is gone drops the job, and with it the reply.
                thread.send(job).ok();
            }
            replies.push((answer, part));
        }
        let mut done = Vec::new();
        for (reply, part) in replies {
            let scored = reply.await.unwrap_or_default().into_iter().map(Some);
            let gone = || Err(ScoreFault::Runtime("a scoring thread is gone".to_owned()));
            let scored = scored
                .chain(std::iter::repeat(None))
                .map(|scored| scored.unwrap_or_else(gone));
            // The thread lets go of its share before it replies.
            let part = Arc::try_unwrap(part).unwrap_or_else(|part| part.to_vec());
            done.extend(part.into_iter().zip(scored));
        }
        done
    }

    /// Scores a vector with its reasons, and gives every contribution. Blocks, for long when the graph has to be asked.
    ///
    /// # Errors
    /// [`ScoreFault`].
    pub fn explain(&self, vector: &FeatureVector) -> Result<(Scored, Explained), ScoreFault> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let explained = catch_unwind(AssertUnwindSafe(|| {
            let scored = desk.score(vector, Reasons::Never)?;
            let row: Vec<f32> = vector.features.iter().map(number).collect();
            Ok((scored, desk.explain(&row)?))
        }));
        explained.unwrap_or(Err(ScoreFault::Panicked))
    }

    /// The graph alone, on rows laid end to end: the calibrated probability of each. Blocks.
    ///
    /// # Errors
    /// [`ScoreFault`].
    pub fn infer(&self, rows: &[f32]) -> Result<Vec<f64>, ScoreFault> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let found = catch_unwind(AssertUnwindSafe(|| desk.p_fail(rows)));
        let calibration = &desk.model().manifest.calibration;
        let finish = |p: f32| calibration.finish(f64::from(p));
        Ok(found
            .unwrap_or(Err(ScoreFault::Panicked))?
            .into_iter()
            .map(finish)
            .collect())
    }

    /// A few vectors, when nobody else is at the desk and no reasons are wanted, or one vector, whose reasons take some 150 us;
    /// else the threads do it.
    fn at_once(&self, vectors: &[FeatureVector], when: Reasons) -> Option<Vec<Result<Scored, ScoreFault>>> {
        let alone = vectors.len() == 1 && when == Reasons::WhenNotable;
        let explains = match when {
            Reasons::Always => true,
            Reasons::WhenNotable => !alone && vectors.iter().any(|vector| vector.wants_reasons),
            Reasons::Never => false,
        };
        if explains || vectors.len() > AT_ONCE {
            return None;
        }
        let mut desk = self.desk.try_lock().ok()?;
        let now = if alone { when } else { Reasons::Never };
        let all: Vec<_> = vectors.iter().map(|vector| (vector, now)).collect();
        // A panic is for the threads to have and to tell of.
        let scored = catch_unwind(AssertUnwindSafe(|| desk.score_all(&all))).ok()?;
        let notable =
            |scored: &Result<Scored, ScoreFault>| scored.as_ref().is_ok_and(|s| s.band != Band::Low);
        let explains = !alone && when == Reasons::WhenNotable && scored.iter().any(notable);
        (!explains).then_some(scored)
    }
}

/// What a thread scores with.
trait Score {
    fn all(&mut self, vectors: &[(&FeatureVector, Reasons)]) -> Vec<Result<Scored, ScoreFault>>;
    fn one(&mut self, vector: &FeatureVector, when: Reasons) -> Result<Scored, ScoreFault>;
}

impl Score for Scorer {
    fn all(&mut self, vectors: &[(&FeatureVector, Reasons)]) -> Vec<Result<Scored, ScoreFault>> {
        self.score_all(vectors)
    }

    fn one(&mut self, vector: &FeatureVector, when: Reasons) -> Result<Scored, ScoreFault> {
        self.score(vector, when)
    }
}

/// Works until the pool is gone.
fn attend(mut scorer: Scorer, jobs: &Receiver<Job>) {
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
        let mut scored = run(&mut scorer, &all).into_iter();
        for Job { vectors, reply, .. } in taken {
            let done = scored.by_ref().take(vectors.len()).collect();
            drop(vectors);
            // Whoever asked may have gone: nothing is lost, a fact that was not acked comes again.
            reply.send(done).ok();
        }
    }
}

/// Scores all in one run. When that panics each is scored by itself, so that the one at fault is the only one without a score.
fn run(scorer: &mut impl Score, all: &[(&FeatureVector, Reasons)]) -> Vec<Result<Scored, ScoreFault>> {
    if let Ok(scored) = catch_unwind(AssertUnwindSafe(|| scorer.all(all))) {
        return scored;
    }
    tracing::error!(
        vectors = all.len(),
        "a run of the model panicked; each vector is scored by itself"
    );
    let one = |(vector, when): &(&FeatureVector, Reasons)| {
        catch_unwind(AssertUnwindSafe(|| scorer.one(vector, *when))).unwrap_or(Err(ScoreFault::Panicked))
    };
    all.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use auspex_proto::{Entity, EntityKind, FactId, Meta, Project, Revision, Timestamp};

    use super::*;

    struct Touchy;

    impl Score for Touchy {
        fn all(&mut self, vectors: &[(&FeatureVector, Reasons)]) -> Vec<Result<Scored, ScoreFault>> {
            vectors
                .iter()
                .map(|(vector, when)| self.one(vector, *when))
                .collect()
        }

        fn one(&mut self, vector: &FeatureVector, _when: Reasons) -> Result<Scored, ScoreFault> {
            assert!(vector.entity.id != "poison", "poison");
            Ok(Scored {
                p_failure: 0.5,
                low: 0.0,
                high: 1.0,
                band: Band::Medium,
                missing: vec![vector.entity.id.clone()],
                reasons: Vec::new(),
            })
        }
    }

    fn vector(id: &str) -> FeatureVector {
        FeatureVector {
            meta: Meta {
                id: FactId::new(id).unwrap(),
                project: Project::new("shop").unwrap(),
                time: Timestamp(0),
                cause: 0,
                source: String::new(),
            },
            entity: Entity {
                kind: EntityKind::Change,
                id: id.to_owned(),
                revision: Revision::new(id).unwrap(),
                service: None,
            },
            feature_service: "change-risk@1".to_owned(),
            schema_hash: String::new(),
            features: Vec::new(),
            context: Vec::new(),
            wants_reasons: false,
        }
    }

    #[test]
    fn a_vector_that_panics_costs_its_neighbours_nothing() {
        let vectors = ["a", "poison", "b"].map(vector);
        let all: Vec<_> = vectors.iter().map(|vector| (vector, Reasons::Never)).collect();
        let found = run(&mut Touchy, &all);
        assert_eq!(found[1], Err(ScoreFault::Panicked));
        assert_eq!(found[0].as_ref().unwrap().missing, ["a"]);
        assert_eq!(found[2].as_ref().unwrap().missing, ["b"]);
    }
}
