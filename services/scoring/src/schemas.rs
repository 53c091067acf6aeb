//! Which schemas of features there are: a model that reads another than those that exist would score nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// By the name of the feature service; kept for the life of the process.
#[derive(Debug, Clone, Default)]
pub struct Schemas(Arc<RwLock<BTreeMap<String, BTreeSet<String>>>>);

/// As many of one service are remembered: a release or two of features live side by side, not more.
const MOST: usize = 16;

impl Schemas {
    /// Notes that vectors of this schema exist.
    pub fn note(&self, feature_service: &str, schema_hash: &str) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let there = known
            .get(feature_service)
            .is_some_and(|all| all.contains(schema_hash) || all.len() >= MOST);
        drop(known);
        if !there {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known
                .entry(feature_service.to_owned())
                .or_default()
                .insert(schema_hash.to_owned());
        }
    }

    /// Why a model of this schema would score nothing; `None`: as far as is known, it would.
    #[must_use]
    pub fn mismatch(&self, feature_service: &str, schema_hash: &str) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let served = known.get(feature_service)?;
        if served.contains(schema_hash) {
            return None;
        }
        let there: Vec<&str> = served.iter().map(String::as_str).collect();
        Some(format!(
            "schema_hash: is {schema_hash}, the features of {feature_service} are {}",
            there.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_serves_is_told() {
        let schemas = Schemas::default();
        assert_eq!(
            schemas.mismatch("a@1", "x"),
            None,
            "of an unknown service nothing is known"
        );
        schemas.note("a@1", "x");
        assert_eq!(schemas.mismatch("a@1", "x"), None);
        let told = schemas.mismatch("a@1", "y").unwrap();
        assert!(told.contains('x') && told.contains('y'), "{told}");
    }
}
