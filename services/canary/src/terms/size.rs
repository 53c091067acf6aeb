//! How much of a state terms take: a project's state is saved in one piece, and the bus bounds that.

use serde::Serialize;

use super::Terms;

/// The most that the terms of one rollout may take, in bytes as they are saved.
pub const MOST: usize = 24_000;
/// The most that those of all rollouts under way in a project may take together.
pub const MOST_TOGETHER: usize = 120_000;

impl Terms {
    /// Bytes, as they are saved.
    #[must_use]
    pub fn size(&self) -> usize {
        of(self)
    }

    /// The field of a document's `spec` that takes the most of it, and how much.
    #[must_use]
    pub fn greatest(&self) -> (&'static str, usize) {
        let parts = [
            ("policy", of(&self.policy)),
            ("strategy", of(&self.legs)),
            ("gates", of(&self.gates)),
            ("cohorts", of(&self.cohorts)),
            ("metrics", of(&self.metrics)),
            ("regions", of(&self.regions)),
        ];
        let greatest = parts.into_iter().max_by_key(|(_, bytes)| *bytes);
        greatest.unwrap_or_default()
    }

    /// What is wrong when they are too large for a state.
    pub(crate) fn too_large(&self, path: &str) -> Option<String> {
        let bytes = self.size();
        if bytes <= MOST {
            return None;
        }
        let (field, own) = self.greatest();
        Some(format!(
            "{path}.{field}: takes {} of the {} kB that the document has in control's state, at most {}",
            own.div_ceil(1_000),
            bytes.div_ceil(1_000),
            MOST / 1_000
        ))
    }
}

fn of<T: Serialize>(value: &T) -> usize {
    rmp_serde::to_vec_named(value).map_or(usize::MAX / 64, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::document::Spec;
    use crate::terms::Terms;

    fn spec(text: &str) -> Spec {
        serde_yaml_ng::from_str(text).unwrap()
    }

    #[test]
    fn a_plain_document_takes_little_and_a_huge_one_is_refused_by_its_greatest_field() {
        let plain = Terms::of(&spec("{service: a}"), &Config::default());
        assert!(plain.size() < 2_000, "{}", plain.size());
        let step = format!("{{pause: {{}}, analysis: {}}}", "a".repeat(200));
        let steps = vec![step; 100].join(", ");
        let legs = (0..7).map(|n| format!("{{name: l{n}, canary: {{to: 10}}}}"));
        let legs = legs.collect::<Vec<_>>().join(", ");
        let huge = format!("{{service: a, policy: {{steps: [{steps}]}}, strategy: {{pipeline: [{legs}]}}}}");
        let problems = spec(&huge).problems("spec");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("spec.strategy: takes "), "{problems:?}");
        assert!(problems[0].ends_with("at most 24"), "{problems:?}");
    }
}
