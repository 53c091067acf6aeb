//! In which order scales and weights move, so that no request meets a version that cannot take it.
//!
//! Sizes are shares of all traffic that a track can take, percent. The rules, in the order in which they win:
//! 1. the candidate never gets more than its ready instances can take, whatever is wanted;
//! 2. traffic goes back to stable no faster than stable's ready instances can take it;
//! 3. a track is made smaller only after routers were *seen* to send it no more than it can take then;
//! 4. a track is made larger before traffic is sent to it.

/// What control has asked of the world, percent of all traffic, each 0..=100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// The candidate's share.
    pub weight: u8,
    /// Size of stable.
    pub stable: u8,
    /// Size of the candidate.
    pub candidate: u8,
}

/// What the world is seen to be, by reports that know of the last move: an older one may show what has been left since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// The least and the greatest weight of any router; `None`: no router says.
    pub weights: Option<(u8, u8)>,
    /// What the ready instances of stable can take; `None`: nobody says.
    pub stable: Option<u8>,
    /// What those of the candidate can take.
    pub candidate: Option<u8>,
}

/// What is wanted in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aim {
    /// This share for the candidate.
    Share(u8),
    /// Everything for the candidate; stable is kept, so that all can return.
    Everything,
    /// The same for good: stable may go.
    Settled,
    /// Everything back to stable; the candidate may go.
    Nothing,
}

/// What control may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rules {
    /// Control scales both tracks; else it moves weights alone, and what nobody reports is taken to suffice.
    pub scaled: bool,
    /// Stable shrinks as the candidate grows.
    pub dynamic: bool,
}

/// What is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wait {
    /// The candidate's instances.
    Candidate,
    /// Stable's instances.
    Stable,
    /// The routers.
    Routers,
}

/// What to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    /// What to ask.
    pub asked: Asked,
    /// What the aim waits for; `None`: it is reached, and seen to be.
    pub wait: Option<Wait>,
}

impl Aim {
    /// The candidate's share in the end.
    #[must_use]
    pub fn weight(self) -> u8 {
        match self {
            Self::Share(weight) => weight.min(100),
            Self::Everything | Self::Settled => 100,
            Self::Nothing => 0,
        }
    }
}

/// What to ask next, given what is wanted, what has been asked, and what is seen.
#[must_use]
pub fn order(aim: Aim, asked: Asked, seen: Seen, rules: Rules) -> Order {
    let target = aim.weight();
    // What nobody says of the sizes asked last neither raises a weight nor takes one back.
    let unknown = if rules.scaled { asked.weight } else { 100 };
    // What is ready and not asked for any more is on its way out.
    let bound = |ready: u8, size: u8| if rules.scaled { ready.min(size) } else { ready };
    let candidate = bound(seen.candidate.unwrap_or(unknown).min(100), asked.candidate);
    let stable = match (rules.scaled, seen.stable) {
        (false, _) => 100,
        (true, Some(told)) => bound(told.min(100), asked.stable),
        (true, None) if rules.dynamic => 100 - asked.weight.min(100),
        (true, None) => 100,
    };
    let weight = next_weight(target, asked.weight, candidate, stable);
    // Stable may go only where the candidate has everything, can take it, and is seen to have it.
    let whole =
        weight == 100 && seen.candidate.is_some_and(|ready| ready >= 100) && seen.weights == Some((100, 100));
    let (aim, early) = match aim {
        Aim::Settled if !whole => (Aim::Everything, true),
        aim => (aim, false),
    };
    if !rules.scaled {
        let asked = Asked { weight, ..asked };
        return Order {
            asked,
            wait: wait(asked, target, seen),
        };
    }
    let (kept, wanted) = sizes(aim, asked, weight, rules);
    let (stable_needs, candidate_needs) = needs(asked, weight, seen);
    let next = Asked {
        weight,
        stable: kept.max(stable_needs),
        candidate: wanted.max(candidate_needs),
    };
    let reached = wait(next, target, seen);
    let short = |size: u8, ready: Option<u8>, by: Wait| (ready.unwrap_or(0) < size).then_some(by);
    Order {
        asked: next,
        wait: reached
            .or(early.then_some(Wait::Candidate))
            .or_else(|| {
                short(
                    wanted,
                    seen.candidate.map(|ready| bound(ready, asked.candidate)),
                    Wait::Candidate,
                )
            })
            .or_else(|| {
                let told = seen.stable.map(|ready| bound(ready, asked.stable));
                short(kept, told.or((!rules.dynamic).then_some(stable)), Wait::Stable)
            }),
    }
}

/// What the aim wants of stable's size and of the candidate's.
fn sizes(aim: Aim, asked: Asked, weight: u8, rules: Rules) -> (u8, u8) {
    match aim {
        // Sizes only grow on the way: what was scaled for a raise stays for it.
        Aim::Share(_) => {
            let target = aim.weight();
            let kept = if rules.dynamic {
                100 - target.min(weight)
            } else {
                100
            };
            (kept, target.max(asked.candidate))
        }
        // Whoever kept stable whole keeps it whole until it is settled.
        Aim::Everything if rules.dynamic => (asked.stable, 100),
        Aim::Everything => (100, 100),
        Aim::Settled => (0, 100),
        Aim::Nothing => (100, 0),
    }
}

/// The least of both sizes: nothing is taken away from a track before the other one is seen to carry what is left; where
/// nobody says, nothing is.
fn needs(asked: Asked, weight: u8, seen: Seen) -> (u8, u8) {
    match seen.weights {
        None => (asked.stable, asked.candidate.max(weight)),
        Some((least, most)) => {
            let least = least.min(asked.weight).min(weight);
            (100 - least, most.max(asked.weight).max(weight))
        }
    }
}

/// Rules 1 and 2.
fn next_weight(target: u8, now: u8, candidate: u8, stable: u8) -> u8 {
    let wanted = if target < now {
        // As far back as stable can take it, never further up.
        target.max(100 - stable).min(now)
    } else {
        target
    };
    wanted.min(candidate)
}

fn wait(asked: Asked, target: u8, seen: Seen) -> Option<Wait> {
    if asked.weight < target {
        return Some(Wait::Candidate);
    }
    if asked.weight > target {
        return Some(Wait::Stable);
    }
    match seen.weights {
        Some((least, most)) if (least, most) == (target, target) => None,
        _ => Some(Wait::Routers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALED: Rules = Rules {
        scaled: true,
        dynamic: true,
    };

    fn seen(weight: u8, stable: u8, candidate: u8) -> Seen {
        Seen {
            weights: Some((weight, weight)),
            stable: Some(stable),
            candidate: Some(candidate),
        }
    }

    #[test]
    fn scale_comes_before_weight_and_leaves_after_it() {
        let begin = Asked {
            weight: 0,
            stable: 100,
            candidate: 0,
        };
        let first = order(Aim::Share(50), begin, seen(0, 100, 0), SCALED);
        assert_eq!(
            (first.asked.weight, first.asked.candidate, first.asked.stable),
            (0, 50, 100)
        );
        assert_eq!(first.wait, Some(Wait::Candidate));
        let ready = order(Aim::Share(50), first.asked, seen(0, 100, 50), SCALED);
        assert_eq!(
            (ready.asked.weight, ready.asked.stable),
            (50, 100),
            "routers are not there yet"
        );
        let there = order(Aim::Share(50), ready.asked, seen(50, 100, 50), SCALED);
        assert_eq!((there.asked.weight, there.asked.stable), (50, 50));
        // Back: stable first, as far as it is ready.
        let back = order(Aim::Nothing, there.asked, seen(50, 50, 50), SCALED);
        assert_eq!(
            (back.asked.weight, back.asked.stable, back.asked.candidate),
            (50, 100, 50)
        );
        let half = order(Aim::Nothing, back.asked, seen(50, 75, 50), SCALED);
        assert_eq!((half.asked.weight, half.wait), (25, Some(Wait::Stable)));
        let done = order(Aim::Nothing, half.asked, seen(25, 100, 50), SCALED);
        assert_eq!((done.asked.weight, done.asked.candidate), (0, 25));
        let seen_done = order(Aim::Nothing, done.asked, seen(0, 100, 25), SCALED);
        assert_eq!((seen_done.asked.candidate, seen_done.wait), (0, None));
    }

    #[test]
    fn a_candidate_that_dies_gets_nothing_even_if_stable_is_small() {
        let asked = Asked {
            weight: 60,
            stable: 40,
            candidate: 60,
        };
        let next = order(Aim::Share(60), asked, seen(60, 40, 10), SCALED);
        assert_eq!((next.asked.weight, next.asked.stable), (10, 90));
    }

    #[test]
    fn without_scaling_weights_move_at_once() {
        let rules = Rules {
            scaled: false,
            dynamic: false,
        };
        let asked = Asked {
            weight: 5,
            stable: 100,
            candidate: 100,
        };
        let next = order(Aim::Everything, asked, Seen::default(), rules);
        assert_eq!((next.asked.weight, next.wait), (100, Some(Wait::Routers)));
        let next = order(
            Aim::Nothing,
            Asked { weight: 100, ..asked },
            Seen {
                stable: Some(0),
                ..Seen::default()
            },
            rules,
        );
        assert_eq!(next.asked.weight, 0);
    }
}
