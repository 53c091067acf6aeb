//! Who reads and writes which facts: the declarations that the loop runs by and that `auspex topology` prints.

use crate::subject::{self, FactKind, Partition};

/// A stage of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The service's name; also that of its bucket, leases and durable.
    pub name: &'static str,
    /// One verb, in a few words.
    pub does: &'static str,
    /// What it absorbs.
    pub reads: &'static [FactKind],
    /// What it makes.
    pub writes: &'static [FactKind],
    /// How it reads.
    pub keeps: Keeps,
}

impl Stage {
    /// The subjects of what it absorbs in a partition. A fact of no concern to it is not even sent to it.
    #[must_use]
    pub fn subjects(&self, partition: Partition) -> Vec<String> {
        let of = |kind: &FactKind| match (self.name, kind) {
            (name, FactKind::Event) if name == CANARY.name => {
                subject::facts_of_leaf(partition, *kind, DEPLOYMENT)
            }
            _ => subject::facts_of(partition, *kind),
        };
        self.reads.iter().map(of).collect()
    }

    /// The subjects of what it absorbs in all partitions: what the durable of a stateless stage is given.
    #[must_use]
    pub fn everywhere(&self) -> Vec<String> {
        let of = |kind: &FactKind| match (self.name, kind) {
            (name, FactKind::Rows) if name == BUILDS.name => subject::facts_of_leaf_everywhere(*kind, STARTS),
            _ => subject::facts_everywhere(*kind),
        };
        self.reads.iter().map(of).collect()
    }

    /// What its service reads and writes beside its verb.
    #[must_use]
    pub fn beside(&self) -> Beside {
        match self.name {
            // What a person or a tool asks for at its door, and what its checks found.
            name if name == CANARY.name => Beside {
                reads: &[],
                writes: &[FactKind::Command],
            },
            // Which version scores, and what was scored last; a version that cannot score is told.
            name if name == SCORING.name => Beside {
                reads: &[FactKind::Model, FactKind::Score],
                writes: &[FactKind::Alert],
            },
            // How an experiment ended.
            name if name == REGISTRY.name => Beside {
                reads: &[],
                writes: &[FactKind::Alert],
            },
            _ => Beside::default(),
        }
    }
}

/// Facts that a service follows to serve by, and facts that it puts on the log by itself: no verb absorbs or makes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    /// What it follows.
    pub reads: &'static [FactKind],
    /// What it puts on the log.
    pub writes: &'static [FactKind],
}

/// The kind of the events that begin a rollout.
const DEPLOYMENT: &str = "deployment";

/// The source of the rows that say that a build is asked for.
pub const STARTS: &str = "starts";

/// What a stage remembers, and so how it reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing, and it reads nothing: facts enter the log here.
    Door,
    /// State per key under a lease per partition, through the one loop.
    State,
    /// Nothing: a shared durable with explicit acks; order does not matter to it.
    Nothing,
    /// Nothing of its own: it follows the newest facts, from wherever it starts.
    Follows,
    /// A record of each thing that one process at a time acts on; it follows the newest facts.
    Claims,
    /// Every fact, for good and elsewhere: it reads all of the log in order, from where its archive ends.
    Archive,
}

/// Facts enter.
pub const INGEST: Stage = Stage {
    name: "ingest",
    does: "normalize what happened outside into facts",
    reads: &[],
    writes: &[FactKind::Event, FactKind::Observation],
    keeps: Keeps::Door,
};
/// Facts become vectors.
pub const FEATURES: Stage = Stage {
    name: "features",
    does: "extract one vector of numbers, as known at one time",
    reads: &[FactKind::Event, FactKind::Observation],
    writes: &[FactKind::Vector, FactKind::Rows],
    keeps: Keeps::State,
};
/// Rows become tiles, from which features are read.
pub const STORE: Stage = Stage {
    name: "store",
    does: "keep what each entity's rows come to, hop by hop",
    reads: &[FactKind::Rows],
    writes: &[],
    keeps: Keeps::State,
};
/// What is known of a build becomes its vector when it is asked for.
pub const BUILDS: Stage = Stage {
    name: "builds",
    does: "serve what the store knows of a build that is asked for",
    reads: &[FactKind::Rows],
    writes: &[FactKind::Vector],
    keeps: Keeps::Nothing,
};
/// Rows are kept for good.
pub const OFFLINE: Stage = Stage {
    name: "offline",
    does: "write rows of features to Parquet files",
    reads: &[FactKind::Rows],
    writes: &[],
    keeps: Keeps::Nothing,
};
/// Vectors become scores.
pub const SCORING: Stage = Stage {
    name: "scoring",
    does: "score a vector: calibrated P(failure)",
    reads: &[FactKind::Vector],
    writes: &[FactKind::Score],
    keeps: Keeps::Nothing,
};
/// Scores and evidence become decisions.
pub const CANARY: Stage = Stage {
    name: "canary",
    does: "decide weight, hold, promotion, rollback",
    reads: &[
        FactKind::Event,
        FactKind::Observation,
        FactKind::Score,
        FactKind::Command,
        FactKind::Tick,
    ],
    writes: &[FactKind::Decision, FactKind::Tick],
    keeps: Keeps::State,
};
/// Scores and decisions become alerts, and alerts are delivered.
pub const ALERTS: Stage = Stage {
    name: "alerts",
    does: "route and diagnose what a person should know",
    reads: &[FactKind::Event, FactKind::Score, FactKind::Decision],
    writes: &[FactKind::Alert],
    keeps: Keeps::State,
};
/// Alerts reach people.
pub const DELIVERY: Stage = Stage {
    name: "delivery",
    does: "carry each alert to its receivers, in order, at least once",
    reads: &[FactKind::Alert],
    writes: &[],
    keeps: Keeps::State,
};
/// Decisions become traffic, traffic becomes observations.
pub const PROXY: Stage = Stage {
    name: "proxy",
    does: "split traffic by the last decision and report what users got",
    reads: &[FactKind::Decision],
    writes: &[FactKind::Observation],
    keeps: Keeps::Follows,
};

/// Versions of models become facts that scoring may follow.
pub const REGISTRY: Stage = Stage {
    name: "registry",
    does: "keep model versions and say which may score",
    reads: &[],
    writes: &[FactKind::Model],
    keeps: Keeps::Door,
};
/// Outcomes meet the scores that foretold them.
pub const FEEDBACK: Stage = Stage {
    name: "feedback",
    does: "join outcomes with scores once they have matured",
    reads: &[
        FactKind::Event,
        FactKind::Score,
        FactKind::Decision,
        FactKind::Tick,
    ],
    writes: &[FactKind::Observation, FactKind::Model],
    keeps: Keeps::State,
};
/// What passed is kept.
pub const HISTORY: Stage = Stage {
    name: "history",
    does: "keep every fact in an archive, and metrics in a time-series database",
    reads: &crate::subject::FACT_KINDS,
    writes: &[],
    keeps: Keeps::Archive,
};

/// Decisions become weights of data planes outside.
pub const ROUTER: Stage = Stage {
    name: "router",
    does: "carry the last decision to data planes outside, and verify it there",
    reads: &[FactKind::Decision],
    writes: &[FactKind::Observation],
    keeps: Keeps::Claims,
};

/// Objects of a cluster become commands.
pub const OPERATOR: Stage = Stage {
    name: "operator",
    does: "begin the rollouts that objects of a cluster ask for, and write back what became of them",
    reads: &[],
    writes: &[FactKind::Command],
    keeps: Keeps::Door,
};

/// What templates say is measured beside a rollout.
pub const ANALYSIS: Stage = Stage {
    name: "analysis",
    does: "measure what templates say beside a rollout, and ask for what follows",
    reads: &[FactKind::Decision, FactKind::Score],
    writes: &[FactKind::Command],
    keeps: Keeps::Claims,
};

/// What was served meets what became of it.
pub const TRAINER: Stage = Stage {
    name: "trainer",
    does: "keep served vectors with their outcomes, as examples to learn from",
    reads: &[FactKind::Vector, FactKind::Event, FactKind::Decision],
    writes: &[],
    keeps: Keeps::State,
};
/// Examples become model versions.
pub const TRAINING: Stage = Stage {
    name: "training",
    does: "fit candidates to the examples when it is time, gate and register the best",
    reads: &[],
    writes: &[],
    keeps: Keeps::Claims,
};

/// All stages, in the order of the path.
pub const STAGES: [Stage; 18] = [
    INGEST, FEATURES, STORE, BUILDS, OFFLINE, SCORING, REGISTRY, FEEDBACK, CANARY, ANALYSIS, ALERTS,
    DELIVERY, PROXY, ROUTER, HISTORY, OPERATOR, TRAINER, TRAINING,
];
