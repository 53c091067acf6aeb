//! Why a decision was made.

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::wire;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The rollout began.
    Started,
    /// Its score arrived and became the prior.
    ScoreArrived,
    /// No score within `score_wait`: the base rate is the prior.
    ScoreMissing,
    /// The judge says worse: a rollback under law 8.
    EvidenceWorse,
    /// The judge says no worse.
    EvidenceSafe,
    /// A step is done.
    StepDone,
    /// A step is not done yet.
    StepWait,
    /// The blast-radius budget admits more.
    BudgetAdmits,
    /// The blast-radius budget admits no more.
    BudgetSpent,
    /// The prior alone was too bad; counted apart from law 8.
    LowConfidence,
    /// A limit of the user's own was crossed; counted apart from law 8.
    LimitCrossed,
    /// Nothing to judge by: never a pass, never a failure.
    NoEvidence,
    /// The baseline is served and the candidate is silent.
    SilentCandidate,
    /// The candidate cannot take it.
    NoCapacity,
    /// A person or tool asked.
    Commanded,
    /// A newer rollout of the same service began.
    Superseded,
    /// A later score is in a higher band: an alert and a hold, never odds.
    RiskRaised,
    /// Confidence is high.
    Confident,
    /// Confidence is moderate or low.
    Uncertain,
    /// The rollout took longer than it may.
    Deadline,
    /// A person has to let it pass.
    ApprovalWanted,
    /// A person has.
    Approved,
    /// A freeze window, or too close to one.
    Frozen,
    /// No change ticket is named.
    TicketWanted,
    /// Another service has to come first.
    DependencyWaits,
    /// The database is being expanded, verified or contracted.
    MigrationWaits,
    /// That failed.
    MigrationFailed,
    /// A smoke test is under way.
    CheckWaits,
    /// A smoke test failed.
    CheckFailed,
    /// All smoke tests passed.
    ChecksPassed,
    /// The next region waits for this one's bake.
    RegionBakes,
    /// Promoted and watched.
    Bakes,
    /// Rolled back after the promotion; counted apart.
    BakeFailed,
    /// The bake time is over.
    BakeDone,
    /// A track is being scaled up first.
    CapacityWaits,
    /// Somebody else moved the weight.
    Drift,
    /// No router has confirmed the weight.
    NotVerified,
    /// An A/B split has its time.
    SplitRuns,
    /// An A/B split is over.
    SplitOver,
    /// Named cohorts before everybody.
    CohortsFirst,
    /// Rolling: a batch is ready.
    BatchDone,
    /// Blue/green: everything to the candidate in one go.
    Switched,
    /// Blue/green: the preview or the kept stable has its time.
    Dwells,
    /// Everything is back on stable, and seen to be.
    Returned,
}

mapped!(Reason, ReasonCode, "reason", {
    Started, ScoreArrived, ScoreMissing, EvidenceWorse, EvidenceSafe, StepDone, StepWait, BudgetAdmits, BudgetSpent,
    LowConfidence, LimitCrossed, NoEvidence, SilentCandidate, NoCapacity, Commanded, Superseded, RiskRaised, Confident,
    Uncertain, Deadline, ApprovalWanted, Approved, Frozen, TicketWanted, DependencyWaits, MigrationWaits, MigrationFailed,
    CheckWaits, CheckFailed, ChecksPassed, RegionBakes, Bakes, BakeFailed, BakeDone, CapacityWaits, Drift, NotVerified,
    SplitRuns, SplitOver, CohortsFirst, BatchDone, Switched, Dwells, Returned,
});
