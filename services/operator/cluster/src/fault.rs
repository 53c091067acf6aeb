//! Why the API server did not do what was asked, told apart by what follows from it.

use thiserror::Error;

/// What the server says of a JSON patch whose test failed, or whose path is gone; it gives no cause.
const UNFIT_PATCH: &str = "the server rejected our request due to an error in our request";

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// It did not answer, answered too late, or is overloaded: try again later.
    #[error("the API server is away: {0}")]
    Away(String),
    /// What the request builds on has changed meanwhile: read again.
    #[error("changed by somebody else meanwhile: {0}")]
    Conflict(String),
    /// The version of a watch is too old: list again.
    #[error("the version is too old: {0}")]
    Expired(String),
    /// The right is missing: a person must grant it.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The schema, or an admission rule of the cluster, does not want it.
    #[error("refused by the cluster: {0}")]
    Refused(String),
    /// There is no such object, or no such kind.
    #[error("not found: {0}")]
    Missing(String),
    /// The request is not one of those that are declared; it was not sent.
    #[error("not a declared request: {0}")]
    Undeclared(String),
}

impl Fault {
    /// From the answer of the server: the HTTP code, and the message of its `Status`.
    ///
    /// `details` are the messages of its causes.
    #[must_use]
    pub fn answer(code: u16, message: &str, details: &[&str]) -> Self {
        let mut said = message.to_owned();
        for detail in details.iter().filter(|detail| !message.contains(**detail)) {
            said.push_str(": ");
            said.push_str(detail);
        }
        match code {
            409 => Self::Conflict(said),
            // All that the server says of a JSON patch that does not fit the object any more.
            422 if message.ends_with(UNFIT_PATCH) => Self::Conflict(said),
            410 => Self::Expired(said),
            403 if message.contains("admission webhook") || message.contains("ValidatingAdmissionPolicy") => {
                Self::Refused(said)
            }
            401 | 403 => Self::Denied(said),
            404 => Self::Missing(said),
            400..=428 => Self::Refused(said),
            _ => Self::Away(said),
        }
    }

    /// Whether trying again, later or after reading again, may help without a person.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Conflict(_) | Self::Expired(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_apart_by_what_follows_from_it() {
        let fault = |code, message: &str| Fault::answer(code, message, &[]);
        assert!(matches!(
            fault(409, "the object has been modified"),
            Fault::Conflict(_)
        ));
        assert!(matches!(
            fault(410, "too old resource version"),
            Fault::Expired(_)
        ));
        assert!(matches!(
            fault(403, "User \"a\" cannot patch resource"),
            Fault::Denied(_)
        ));
        let webhook = "admission webhook \"a.b.c\" denied the request: no changes on a friday";
        assert!(matches!(fault(403, webhook), Fault::Refused(_)));
        assert!(matches!(
            fault(422, "spec.weight: Invalid value"),
            Fault::Refused(_)
        ));
        assert!(matches!(
            fault(404, "virtualservices \"a\" not found"),
            Fault::Missing(_)
        ));
        for code in [429, 500, 503, 504] {
            assert!(fault(code, "later").passes(), "{code}");
        }
        assert!(!fault(403, "no").passes());
    }

    #[test]
    fn a_patch_that_does_not_fit_any_more_is_a_conflict() {
        let fault = Fault::answer(422, UNFIT_PATCH, &[]);
        assert_eq!(fault, Fault::Conflict(UNFIT_PATCH.to_owned()));
    }

    #[test]
    fn causes_are_told_with_the_message() {
        let fault = Fault::answer(422, "a is invalid", &["must be 2", "is invalid"]);
        assert_eq!(
            fault.to_string(),
            "refused by the cluster: a is invalid: must be 2"
        );
    }
}
