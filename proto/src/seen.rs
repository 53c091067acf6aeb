//! Remembering what has been absorbed, beyond the server's duplicate window.
//!
//! The server drops a repeated message id for two minutes; a webhook can be redelivered for days. Whoever counts events
//! keeps the last ids it has counted, as 8-byte hashes in a ring of bounded size.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::FactId;

/// A bounded ring of ids already absorbed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    ring: Vec<u64>,
    next: usize,
}

impl Seen {
    /// How many ids are remembered. At 1,000 events a day and project, half a day: more than any redelivery by hand
    /// within a busy shift; and 4 kB of state.
    pub const CAPACITY: usize = 512;

    /// Notes the id; `true` when it is new, `false` when it has been here before.
    pub fn admit(&mut self, id: &FactId) -> bool {
        let hash = short(id);
        if self.ring.contains(&hash) {
            return false;
        }
        if self.ring.len() < Self::CAPACITY {
            self.ring.push(hash);
        } else if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = hash;
        }
        self.next = (self.next + 1) % Self::CAPACITY;
        true
    }
}

fn short(id: &FactId) -> u64 {
    let digest = Sha256::digest(id.as_str().as_bytes());
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_while_it_is_remembered() {
        let mut seen = Seen::default();
        let id = |n: usize| FactId::derived("x", 0, "k", n);
        assert!(seen.admit(&id(0)));
        assert!(!seen.admit(&id(0)));
        for n in 1..=Seen::CAPACITY {
            assert!(seen.admit(&id(n)));
        }
        assert!(
            seen.admit(&id(0)),
            "the oldest has been forgotten: the ring is bounded"
        );
        assert!(!seen.admit(&id(Seen::CAPACITY)));
    }
}
