//! The objects of the cluster, as the watches tell them.

use std::collections::BTreeMap;

use auspex_cluster::{Cluster, Fault, Kind, Seen, watch};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::kinds;

/// Most that a watch may be ahead of who reads it.
const AHEAD: usize = 256;

/// Namespace and name.
pub type Key = (String, String);

/// All objects of one kind.
#[derive(Debug, Default)]
pub struct Objects {
    /// By namespace and name.
    pub all: BTreeMap<Key, Value>,
    /// Whether all have been told at least once.
    pub complete: bool,
    /// Why they cannot be watched for now.
    pub blind: Option<Fault>,
}

/// All kinds.
#[derive(Debug)]
pub struct World {
    kinds: Vec<(Kind, Objects)>,
    seen: mpsc::Receiver<(usize, Seen)>,
}

impl World {
    /// Watches these kinds in a namespace, or everywhere when it is empty. Kinds of the cluster have no namespace.
    #[must_use]
    pub fn watch(cluster: &Cluster, namespace: &str, wanted: &[Kind]) -> Self {
        let (all, seen) = mpsc::channel(AHEAD);
        for (at, kind) in wanted.iter().enumerate() {
            let namespace = if *kind == kinds::ARGO_CLUSTER_TEMPLATES {
                ""
            } else {
                namespace
            };
            let (tell, mut told) = mpsc::channel(AHEAD);
            tokio::spawn(watch(cluster.clone(), kind.all(namespace), tell));
            let all = all.clone();
            tokio::spawn(async move {
                while let Some(seen) = told.recv().await {
                    if all.send((at, seen)).await.is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            kinds: wanted.iter().map(|kind| (*kind, Objects::default())).collect(),
            seen,
        }
    }

    /// Takes in what has come, without waiting.
    pub fn absorb(&mut self) {
        while let Ok((at, seen)) = self.seen.try_recv() {
            self.take(at, seen);
        }
    }

    /// Waits until something comes, and takes it in.
    pub async fn wait(&mut self) {
        if let Some((at, seen)) = self.seen.recv().await {
            self.take(at, seen);
        }
    }

    /// Puts an object in its place that was just written: the watch tells it too, a little later.
    pub fn written(&mut self, kind: Kind, object: Value) {
        if let Some((_, objects)) = self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            objects.all.insert(kinds::key(&object), object);
        }
    }

    /// Objects of a kind; `None` when it is not watched.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Option<&Objects> {
        self.kinds
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, objects)| objects)
    }

    /// Whether everything has been told that bears on this kind: it, and what it refers to.
    #[must_use]
    pub fn is_complete(&self, wanted: &[Kind]) -> bool {
        wanted
            .iter()
            .all(|kind| self.of(*kind).is_some_and(|objects| objects.complete))
    }

    fn take(&mut self, at: usize, seen: Seen) {
        let Some((kind, objects)) = self.kinds.get_mut(at) else {
            return;
        };
        match seen {
            Seen::Now(object) => {
                objects.blind = None;
                objects.all.insert(kinds::key(&object), object);
            }
            Seen::Gone(object) => {
                objects.all.remove(&kinds::key(&object));
            }
            Seen::Complete => {
                objects.complete = true;
                objects.blind = None;
            }
            Seen::Blind(fault) => {
                if objects.blind.as_ref() != Some(&fault) {
                    tracing::warn!(kind = kind.resource, group = kind.group, %fault, "cannot be watched for now");
                }
                objects.blind = Some(fault);
            }
        }
    }
}
