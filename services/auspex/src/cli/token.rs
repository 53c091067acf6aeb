//! `auspex token`: a fresh token for a person, and its hash for the server.

use auspex_chassis::serve::hash_token;
use clap::Args;

use super::{id, print};
use crate::fault::Fault;

/// A new token.
#[derive(Debug, Args)]
pub(crate) struct NewToken {
    /// Whose it is; the server's log says it
    name: String,
    /// What it may do
    #[arg(long, value_enum)]
    role: Role,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: super::Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Role {
    /// Publish events and observations
    Publisher,
    /// Look at everything
    Reader,
    /// Look, and steer rollouts
    Operator,
    /// Everything
    Admin,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl NewToken {
    pub(crate) fn carry_out(&self) -> Result<(), Fault> {
        let (name, role) = (&self.name, self.role.word());
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Fault::invalid("NAME: is empty or holds control characters"));
        }
        let token = format!("auspex_{}", id::random_hex(32)?);
        let sha256 = hash_token(&token);
        if self.output == super::Output::Json {
            let entry = serde_json::json!({"name": name, "role": role, "sha256": sha256});
            return print::json(&serde_json::json!({"token": token, "access": entry}));
        }
        // A JSON string is a TOML string.
        let quoted = serde_json::Value::from(name.as_str());
        print::text(&format!(
            "token (shown once, kept nowhere):\n  {token}\n\nentry for the server's configuration:\n\
             [[server.access]]\nname = {quoted}\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n"
        ))
    }
}
