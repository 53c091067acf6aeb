//! What goes out, and behind what: long before the state that knows of it is saved, right before, or after it.

use super::Slots;
use crate::bus::Outgoing;
use crate::stage::under_way::{Places, Said};
use crate::verb::{Speech, Verb};

impl<V: Verb> Slots<V> {
    /// Whether any key may have something to publish that does not wait for the save.
    pub(crate) fn speaks(&self) -> bool {
        !self.speaking.is_empty()
    }

    /// What is to be published of keys that are not saved yet, and their names. It is under way from now on. What has to wait for
    /// its save is saved at once.
    pub(crate) fn speak(&mut self) -> (Vec<String>, Vec<Said>) {
        let (mut keys, mut said) = (Vec::new(), Vec::new());
        let fenced = self.verb.speech() == Speech::Fenced;
        for key in std::mem::take(&mut self.speaking) {
            // What was saved meanwhile went out with its save.
            let Some(slot) = self.keys.get_mut(&key).filter(|slot| slot.touched) else {
                continue;
            };
            let unsent = slot.unsent();
            let after = match unsent {
                [one] if fenced => self.fences.before(one),
                _ => None,
            };
            // Behind a dead letter, which waits for the save, the rest waits too; and of several only the first could say behind which
            // one it comes.
            if !unsent.iter().all(Outgoing::is_fact) || (fenced && after.is_none()) {
                self.touched.hurry(&key);
                continue;
            }
            said.extend(unsent.iter().cloned().map(|message| Said { message, after }));
            slot.spoken();
            if fenced {
                self.touched.spoke(&key);
            }
            keys.push(key);
        }
        (keys, said)
    }

    /// Notes the revision a save got; what is new in the key's outbox is now to be sent, and under way until
    /// [`Slots::acknowledged`]. What stands alone on its subject is fenced as well.
    pub(crate) fn saved(&mut self, key: &str, revision: u64) -> Vec<Said> {
        let Some(slot) = self.keys.get_mut(key) else {
            return Vec::new();
        };
        slot.revision = revision;
        let unsent = slot.unsent().to_vec();
        slot.sent_before = slot.outbox.len();
        slot.under_way += unsent.len();
        let fenced = self.verb.speech() == Speech::Fenced;
        let alone = |one: &Outgoing| {
            unsent
                .iter()
                .filter(|other| other.subject() == one.subject())
                .count()
                == 1
        };
        let after = |one: &Outgoing| (fenced && alone(one)).then(|| self.fences.before(one)).flatten();
        let said = unsent.iter().map(|one| Said {
            message: one.clone(),
            after: after(one),
        });
        said.collect()
    }

    /// Notes where in the log stands what was published.
    pub(crate) fn stands(&mut self, places: Places) {
        if self.verb.speech() == Speech::Fenced {
            for (subject, place) in places {
                self.fences.note(subject, place);
            }
        }
    }
}
