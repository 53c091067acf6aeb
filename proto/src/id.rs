//! Names and ids as types, so that none can stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// The longest name we keep, in bytes: ids of CI systems are well below it.
pub const MAX_LENGTH: usize = 256;

fn check(field: &str, text: &str) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid::new(field, "is empty"));
    }
    if text.len() > MAX_LENGTH {
        return Err(Invalid::new(
            field,
            format!("is {} bytes long, at most {MAX_LENGTH} are allowed", text.len()),
        ));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(Invalid::new(field, format!("holds the control character {c:?}"))),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks the text: 1 to 256 bytes, no control characters.
            ///
            /// # Errors
            /// [`Invalid`] naming the field and the reason.
            pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
                let text = text.into();
                check($field, &text)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Identity of a fact, unique within its kind; equal ids are the same fact.
    FactId, "id"
);
name!(
    /// A repository, or the services that deploy together: the unit of total order.
    Project, "project"
);
name!(
    /// A version of the code: usually a commit hash.
    Revision, "revision"
);
name!(
    /// A running service, as its routers and metrics call it.
    ServiceName, "service"
);
name!(
    /// A rollout's name, unique within its project.
    RolloutName, "rollout"
);

impl Project {
    /// What bears on all projects: models, freezes, dependencies between projects.
    pub const ALL: &'static str = "*all*";

    /// The reserved project whose facts every stage of every partition reads.
    #[must_use]
    pub fn all() -> Self {
        Self(Self::ALL.to_owned())
    }

    /// Whether this is the reserved project.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == Self::ALL
    }
}

impl FactId {
    /// The id of a fact derived from another: by whom, from which sequence, for which key, the how-manieth.
    /// The same input always gives the same id, so a fact published twice is recognised.
    #[must_use]
    pub fn derived(stage: &str, cause: u64, key: &str, index: usize) -> Self {
        let id = format!("{stage}:{cause}:{index}:{key}");
        if id.len() <= MAX_LENGTH {
            Self(id)
        } else {
            Self(digest(&id))
        }
    }

    /// The id of a fact from outside: a hash of its source and the source's own id, of fixed length.
    #[must_use]
    pub fn outside(source: &str, id: &str) -> Self {
        Self(digest(&format!("{source}\n{id}")))
    }
}

fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_wrong_with_it() {
        assert_eq!(Project::new("").unwrap_err().to_string(), "project: is empty");
        assert!(
            Revision::new("a\nb")
                .unwrap_err()
                .to_string()
                .contains("control character")
        );
        assert!(ServiceName::new("x".repeat(257)).is_err());
        assert!(ServiceName::new("x".repeat(256)).is_ok());
    }

    #[test]
    fn derived_ids_are_equal_for_equal_causes_only() {
        assert_eq!(
            FactId::derived("canary", 7, "shop", 0),
            FactId::derived("canary", 7, "shop", 0)
        );
        assert_ne!(
            FactId::derived("canary", 7, "shop", 0),
            FactId::derived("canary", 7, "shop", 1)
        );
        assert_ne!(FactId::outside("a", "b\nc"), FactId::outside("a\nb", "d"));
    }
}
