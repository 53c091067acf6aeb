//! Whether a project has room for one more rollout: all of its state is saved in one piece, which the bus bounds.

use super::start::Refusal;
use crate::state::{MOST_ACTIVE, MOST_LISTED, Rollout, State};
use crate::terms::size;

/// Whether there is room for this one, under its name and for what it lists.
pub(super) fn room(state: &State, rollout: &Rollout) -> Result<(), Refusal> {
    let (service, name) = (rollout.service.as_str(), &rollout.name);
    let impossible = |why: String| Err(Refusal::Impossible(why));
    let others = state.active.iter().filter(|(other, _)| *other != service);
    // A rollout that has to go back first stays for a while beside the one that comes after it.
    let own = state
        .active
        .get(service)
        .filter(|own| own.is_scaled() && own.weight > 0);
    let mut count = usize::from(own.is_some());
    let mut taken = None;
    let mut listed = rollout.terms.metrics.len();
    let mut bytes = rollout.terms.size() + own.map_or(0, |own| own.terms.size());
    for (_, other) in others {
        count += 1 + usize::from(other.next.is_some());
        listed += other.terms.metrics.len();
        bytes += other.terms.size() + other.next.as_ref().map_or(0, |next| next.terms.size());
        if &other.name == name {
            taken = Some(&other.service);
        }
    }
    if let Some(other) = taken {
        return impossible(format!("the name {name} is taken by the rollout of {other}"));
    }
    if count >= MOST_ACTIVE {
        return impossible(format!(
            "{MOST_ACTIVE} rollouts of the project are under way, the most there may be"
        ));
    }
    if listed > MOST_LISTED && !rollout.terms.metrics.is_empty() {
        return impossible(format!(
            "spec.metrics: the project's rollouts under way would list {listed} together, at most {MOST_LISTED}"
        ));
    }
    if bytes > size::MOST_TOGETHER {
        let (field, own) = rollout.terms.greatest();
        return impossible(format!(
            "spec.{field}: the documents of the project's rollouts under way would take {} kB together, at most {}; of this one it is the greatest part, {} kB",
            bytes.div_ceil(1_000),
            size::MOST_TOGETHER / 1_000,
            own.div_ceil(1_000)
        ));
    }
    Ok(())
}
