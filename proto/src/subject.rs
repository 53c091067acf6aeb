//! The log: its subjects, partitions, lifetimes, streams, buckets and durable names. Nowhere else is there a subject string.
//!
//! A fact's subject is `auspex.v1.<partition>.<fact>.<project>.<kind>`. The partition is a hash of the project, fixed for
//! good once facts exist; what bears on all projects goes to the partition `all`, which every stage reads too.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::Project;
use crate::invalid::Invalid;
pub use crate::kind::{FACT_KINDS, FactKind};
pub(crate) use crate::token::push_token;
pub use crate::token::{token, untoken};

/// The stream of all facts.
pub const FACTS: &str = "FACTS";
/// What the stream of facts holds.
pub const FACTS_SUBJECTS: &str = "auspex.v1.>";
/// The stream of dead letters.
pub const DEAD: &str = "DEAD";
/// What the stream of dead letters holds.
pub const DEAD_SUBJECTS: &str = "auspex.dead.v1.>";
/// The stream that `auspex bench` measures the bare server with; nowhere but in a server of its own.
pub const BENCH: &str = "BENCH";
/// What [`BENCH`] holds.
pub const BENCH_SUBJECTS: &str = "auspex.bench.v1.>";
/// Where a measured message goes in.
pub const BENCH_IN: &str = "auspex.bench.v1.in";
/// Where what was made of it comes out.
pub const BENCH_OUT: &str = "auspex.bench.v1.out";
/// The bucket of leases; its `max_age` is the lease time.
pub const LEASES: &str = "AUSPEX_LEASES";
/// The bucket of cursors: one per stage and partition.
pub const CURSORS: &str = "AUSPEX_CURSORS";
/// The object store of model versions' files, by what they hold.
pub const MODELS: &str = "AUSPEX_MODELS";
/// The bucket of what the registry remembers.
pub const REGISTRY: &str = "AUSPEX_REGISTRY";
/// The bucket of plans of analyses.
pub const PLANS: &str = "AUSPEX_PLANS";
/// The bucket of deployments of GitHub's that wait for an answer.
pub const PROTECTIONS: &str = "AUSPEX_PROTECTIONS";
/// The bucket of the feature store's definitions.
pub const DEFINITIONS: &str = "AUSPEX_DEFINITIONS";
/// Header that carries the W3C trace context of a fact that follows from another; a fact from outside begins a trace of its own.
pub const TRACE_HEADER: &str = "traceparent";
/// Header of a fact that was put back from the archive: where it stood (`<creation of its log>:<sequence>:<time>`, unix
/// milliseconds). Its time is that of the fact wherever the log is read.
pub const ORIGIN_HEADER: &str = "Auspex-Origin";
/// Where a place in a log that was put back stays empty, because the archive never had its fact. It is none of a fact.
pub const EMPTY_PLACE: &str = "auspex.v1.all.none.none.none";

/// A share of the projects, with one total order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Partition {
    /// By hash of the project.
    Number(u16),
    /// What bears on all projects.
    All,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "p{number}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// How many partitions there are: fixed for good once facts exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitions(u16);

impl Partitions {
    /// 1 to 1,024.
    ///
    /// # Errors
    /// [`Invalid`] when out of range.
    pub fn new(count: u16) -> Result<Self, Invalid> {
        if (1..=1024).contains(&count) {
            Ok(Self(count))
        } else {
            Err(Invalid::new(
                "partitions",
                format!("{count} is not within 1..=1024"),
            ))
        }
    }

    /// The partition of a project.
    #[must_use]
    pub fn of(self, project: &Project) -> Partition {
        if project.is_all() {
            return Partition::All;
        }
        let digest = Sha256::digest(project.as_str().as_bytes());
        let mut first = [0_u8; 8];
        first.copy_from_slice(&digest[..8]);
        let number = u64::from_be_bytes(first) % u64::from(self.0);
        Partition::Number(u16::try_from(number).unwrap_or(0))
    }

    /// All numbered partitions.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition::Number)
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u16 {
        self.0
    }
}

/// A parsed subject of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where in the order.
    pub partition: Partition,
    /// What it is.
    pub kind: FactKind,
    /// Whose it is, as a token.
    pub project: String,
    /// Its own kind, as a token.
    pub leaf: String,
}

/// The subject of a fact.
#[must_use]
pub fn fact(partition: Partition, kind: FactKind, project: &Project, leaf: &str) -> String {
    let mut subject = String::with_capacity(40 + project.as_str().len() + leaf.len());
    let _infallible = write!(subject, "auspex.v1.{partition}.");
    subject.push_str(kind.token());
    subject.push('.');
    push_token(&mut subject, project.as_str());
    subject.push('.');
    push_token(&mut subject, leaf);
    subject
}

/// All facts of a kind in a partition.
#[must_use]
pub fn facts_of(partition: Partition, kind: FactKind) -> String {
    format!("auspex.v1.{partition}.{}.>", kind.token())
}

/// All facts of a kind of a project.
#[must_use]
pub fn facts_of_project(partition: Partition, kind: FactKind, project: &Project) -> String {
    format!(
        "auspex.v1.{partition}.{}.{}.>",
        kind.token(),
        token(project.as_str())
    )
}

/// All facts of a kind in a partition whose own kind is this.
#[must_use]
pub fn facts_of_leaf(partition: Partition, kind: FactKind, leaf: &str) -> String {
    format!("auspex.v1.{partition}.{}.*.{}", kind.token(), token(leaf))
}

/// All facts of a kind whose own kind is this, wherever.
#[must_use]
pub fn facts_of_leaf_everywhere(kind: FactKind, leaf: &str) -> String {
    format!("auspex.v1.*.{}.*.{}", kind.token(), token(leaf))
}

/// All facts of a kind, wherever.
#[must_use]
pub fn facts_everywhere(kind: FactKind) -> String {
    format!("auspex.v1.*.{}.>", kind.token())
}

/// The one subject on which the owner of a partition writes its ticks.
#[must_use]
pub fn ticks(partition: Partition) -> String {
    format!("auspex.v1.{partition}.tick.time.tick")
}

/// Where the dead letters of a stage go.
#[must_use]
pub fn dead_letters(stage: &str, partition: Partition) -> String {
    format!("auspex.dead.v1.{}.{partition}", token(stage))
}

/// Whose dead letters a subject is of.
#[must_use]
pub fn stage_of_dead(subject: &str) -> Option<String> {
    let (stage, _partition) = subject.strip_prefix("auspex.dead.v1.")?.split_once('.')?;
    untoken(stage)
}

/// The heartbeat of control, by which routers hold their weights. Not in the log: a heartbeat kept is a heartbeat faked.
#[must_use]
pub fn pulse(partition: Partition) -> String {
    format!("auspex.pulse.v1.{partition}")
}

/// The heartbeats of all partitions.
#[must_use]
pub fn pulses() -> String {
    "auspex.pulse.v1.*".to_owned()
}

/// The bucket that keeps a stage's state.
#[must_use]
pub fn state_bucket(stage: &str) -> String {
    format!("AUSPEX_STATE_{stage}")
}

/// The durable consumer of a stateless stage.
#[must_use]
pub fn durable(stage: &str) -> String {
    format!("auspex-{stage}")
}

/// The key of a lease or a cursor.
#[must_use]
pub fn post(stage: &str, partition: Partition) -> String {
    format!("{}.{partition}", token(stage))
}

/// The keys of all leases of a stage.
#[must_use]
pub fn posts(stage: &str) -> String {
    format!("{}.*", token(stage))
}

/// The key of the claim on one thing of a stage.
#[must_use]
pub fn claim(stage: &str, name: &str) -> String {
    format!("claim.{}.{}", token(stage), token(name))
}

/// The keys of all claims of a stage.
#[must_use]
pub fn claims(stage: &str) -> String {
    format!("claim.{}.*", token(stage))
}

/// The key by which a replica of a stage is counted; it expires as a lease does.
#[must_use]
pub fn member(stage: &str, instance: &str) -> String {
    format!("member.{}.{}", token(stage), token(instance))
}

/// The keys of all replicas of a stage.
#[must_use]
pub fn members(stage: &str) -> String {
    format!("member.{}.*", token(stage))
}

/// The key of a state: the partition first, so that an owner finds its own.
#[must_use]
pub fn state_key(partition: Partition, key: &str) -> String {
    format!("{partition}.{}", token(key))
}

/// All keys of a partition.
#[must_use]
pub fn state_keys(partition: Partition) -> String {
    format!("{partition}.>")
}

/// The key behind a state key.
#[must_use]
pub fn key_of(state_key: &str) -> Option<String> {
    untoken(state_key.split_once('.')?.1)
}

/// A key of several parts, each of any text.
#[must_use]
pub fn document_key(parts: &[&str]) -> String {
    parts.iter().map(|part| token(part)).collect::<Vec<_>>().join(".")
}

/// All keys that begin with these parts and go on.
#[must_use]
pub fn document_keys(parts: &[&str]) -> String {
    let mut pattern = document_key(parts);
    if !pattern.is_empty() {
        pattern.push('.');
    }
    pattern + ">"
}

/// The parts of such a key.
#[must_use]
pub fn document_parts(key: &str) -> Option<Vec<String>> {
    key.split('.').map(untoken).collect()
}

/// The stream behind a bucket.
#[must_use]
pub fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The stream behind a store of files.
#[must_use]
pub fn objects_stream(store: &str) -> String {
    format!("OBJ_{store}")
}

/// The subject behind a key, or a pattern of keys, of a bucket.
#[must_use]
pub fn bucket_key(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// The key behind such a subject.
#[must_use]
pub fn bucket_key_of<'a>(bucket: &str, subject: &'a str) -> Option<&'a str> {
    subject
        .strip_prefix("$KV.")?
        .strip_prefix(bucket)?
        .strip_prefix('.')
}

/// Reads a fact's subject.
///
/// # Errors
/// [`Invalid`] when it is none of ours.
pub fn parse(subject: &str) -> Result<Address, Invalid> {
    let fault = || Invalid::new("subject", format!("{subject} is not the subject of a fact"));
    let mut parts = subject.strip_prefix("auspex.v1.").ok_or_else(fault)?.split('.');
    let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(fault);
    let (partition, kind, project, leaf) = (next()?, next()?, next()?, next()?);
    let partition = match partition.strip_prefix('p').and_then(|n| n.parse().ok()) {
        Some(number) => Partition::Number(number),
        None if partition == "all" => Partition::All,
        None => return Err(fault()),
    };
    let kind = FactKind::parse(kind).ok_or_else(fault)?;
    if parts.next().is_some() {
        return Err(fault());
    }
    Ok(Address {
        partition,
        kind,
        project: project.to_owned(),
        leaf: leaf.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dead_letter_tells_its_stage() {
        let place = dead_letters("a stage.", Partition::Number(3));
        assert_eq!(stage_of_dead(&place).as_deref(), Some("a stage."));
        assert_eq!(stage_of_dead("auspex.v1.p3.event.a.b"), None);
    }

    #[test]
    fn a_subject_reads_back() {
        let project = Project::new("acme/shop.api").unwrap();
        let subject = fact(Partition::Number(3), FactKind::Decision, &project, "check out");
        assert_eq!(subject, "auspex.v1.p3.decision.acme=2Fshop=2Eapi.check=20out");
        let address = parse(&subject).unwrap();
        assert_eq!(address.partition, Partition::Number(3));
        assert_eq!(address.kind, FactKind::Decision);
        assert_eq!(untoken(&address.project).unwrap(), "acme/shop.api");
        for wrong in [
            "",
            "auspex.v1",
            "auspex.v1.p3.event.x",
            "auspex.v1.q3.event.x.y",
            "auspex.v1.p3.event.x.y.z",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn facts_live_at_least_seven_days() {
        let week = Duration::from_secs(7 * 86_400);
        assert!(FACT_KINDS.iter().all(|kind| kind.lifetime() >= week));
    }

    proptest! {
        #[test]
        fn a_project_has_one_partition_in_range(name in "[a-z/]{1,40}", count in 1_u16..64) {
            let partitions = Partitions::new(count).unwrap();
            let project = Project::new(name).unwrap();
            prop_assert!(partitions.iter().any(|p| p == partitions.of(&project)));
        }
    }
}
