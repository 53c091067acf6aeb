//! Why a command did not do what it was asked, in one sentence, and the exit code that goes with it.

use std::process::ExitCode;

use auspex_chassis::settings::Mistakes;

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What was asked makes no sense: exit code 2.
    #[error("{0}")]
    Invalid(String),
    /// It makes sense and could not be done: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// It was done, but for what is told: exit code 3.
    #[error("{0}")]
    Partly(String),
}

impl Fault {
    /// An input that cannot be used.
    pub fn invalid(text: impl std::fmt::Display) -> Self {
        Self::Invalid(text.to_string())
    }

    /// A thing that could not be done.
    pub fn failed(text: impl std::fmt::Display) -> Self {
        Self::Failed(text.to_string())
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Invalid(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Partly(_) => ExitCode::from(3),
        }
    }
}

impl From<anyhow::Error> for Fault {
    fn from(fault: anyhow::Error) -> Self {
        match fault.downcast_ref::<Mistakes>() {
            Some(mistakes) => Self::invalid(mistakes),
            None => Self::failed(format!("{fault:#}")),
        }
    }
}

impl From<Mistakes> for Fault {
    fn from(mistakes: Mistakes) -> Self {
        Self::invalid(mistakes)
    }
}

impl From<std::io::Error> for Fault {
    fn from(fault: std::io::Error) -> Self {
        Self::failed(fault)
    }
}

impl From<auspex_proto::Invalid> for Fault {
    fn from(fault: auspex_proto::Invalid) -> Self {
        Self::invalid(fault)
    }
}

impl From<tonic::Status> for Fault {
    fn from(status: tonic::Status) -> Self {
        let text = status.message();
        match status.code() {
            tonic::Code::InvalidArgument => Self::invalid(text),
            tonic::Code::Unimplemented => {
                Self::failed("the server does not run the service that answers this")
            }
            tonic::Code::Unavailable | tonic::Code::Unknown
                if text.is_empty() || text.contains("transport") =>
            {
                Self::failed("the server closed the connection before it answered")
            }
            _ if text.is_empty() => Self::failed(format!("the server answered {:?}", status.code())),
            _ => Self::failed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_and_invalid_arguments_are_the_callers_fault() {
        let mistakes = anyhow::Error::from(Mistakes(vec!["server.listen: is wrong".to_owned()]));
        assert!(matches!(Fault::from(mistakes), Fault::Invalid(text) if text.contains("server.listen")));
        let refused = tonic::Status::invalid_argument("meta.id: is empty");
        assert_eq!(Fault::from(refused), Fault::invalid("meta.id: is empty"));
        let away = anyhow::anyhow!("no route").context("connecting");
        assert_eq!(Fault::from(away), Fault::failed("connecting: no route"));
        assert!(matches!(
            Fault::from(tonic::Status::not_found("")),
            Fault::Failed(_)
        ));
    }
}
