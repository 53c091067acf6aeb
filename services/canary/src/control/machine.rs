//! The phases of a rollout, and what leads from one to another. The table below is the machine: control asks it before every
//! decision, the documentation's drawing is made from it, and what is not in it cannot happen.

use auspex_proto::decision::{Action, Phase};

/// One line of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// From here; `None`: there is no rollout yet.
    pub from: Option<Phase>,
    /// By this.
    pub by: Action,
    /// To there.
    pub to: Phase,
    /// Only with (`Some(true)`) or without a prior; `None`: either way.
    pub scored: Option<bool>,
}

const fn line(from: Phase, by: Action, to: Phase) -> Line {
    Line {
        from: Some(from),
        by,
        to,
        scored: None,
    }
}

const fn when(scored: bool, line: Line) -> Line {
    Line {
        scored: Some(scored),
        ..line
    }
}

/// The machine. `Promoted` and `RolledBack` lead nowhere.
pub const LINES: &[Line] = &[
    Line {
        from: None,
        by: Action::Start,
        to: Phase::Waiting,
        scored: None,
    },
    when(false, line(Phase::Waiting, Action::Hold, Phase::Waiting)),
    when(true, line(Phase::Waiting, Action::Hold, Phase::Progressing)),
    when(true, line(Phase::Waiting, Action::Advance, Phase::Progressing)),
    line(Phase::Waiting, Action::Pause, Phase::Paused),
    line(Phase::Waiting, Action::Bake, Phase::Baking),
    line(Phase::Waiting, Action::Promote, Phase::Promoted),
    line(Phase::Waiting, Action::RollBack, Phase::RolledBack),
    line(Phase::Progressing, Action::Hold, Phase::Progressing),
    line(Phase::Progressing, Action::Advance, Phase::Progressing),
    line(Phase::Progressing, Action::Resume, Phase::Progressing),
    line(Phase::Progressing, Action::Pause, Phase::Paused),
    line(Phase::Progressing, Action::Bake, Phase::Baking),
    line(Phase::Progressing, Action::Promote, Phase::Promoted),
    line(Phase::Progressing, Action::Return, Phase::Returning),
    line(Phase::Progressing, Action::RollBack, Phase::RolledBack),
    line(Phase::Paused, Action::Hold, Phase::Paused),
    line(Phase::Paused, Action::Pause, Phase::Paused),
    when(true, line(Phase::Paused, Action::Resume, Phase::Progressing)),
    when(false, line(Phase::Paused, Action::Resume, Phase::Waiting)),
    line(Phase::Paused, Action::Advance, Phase::Progressing),
    line(Phase::Paused, Action::Bake, Phase::Baking),
    line(Phase::Paused, Action::Promote, Phase::Promoted),
    line(Phase::Paused, Action::Return, Phase::Returning),
    line(Phase::Paused, Action::RollBack, Phase::RolledBack),
    line(Phase::Baking, Action::Hold, Phase::Baking),
    line(Phase::Baking, Action::Pause, Phase::Baking),
    line(Phase::Baking, Action::Resume, Phase::Baking),
    line(Phase::Baking, Action::Promote, Phase::Promoted),
    line(Phase::Baking, Action::Return, Phase::Returning),
    line(Phase::Baking, Action::RollBack, Phase::RolledBack),
    line(Phase::Returning, Action::Hold, Phase::Returning),
    line(Phase::Returning, Action::Return, Phase::Returning),
    line(Phase::Returning, Action::RollBack, Phase::RolledBack),
];

/// The phase after an action; `None`: that cannot happen from here. `scored`: the rollout has its prior.
#[must_use]
pub fn after(from: Phase, by: Action, scored: bool) -> Option<Phase> {
    let fits = |line: &&Line| line.scored.is_none_or(|wanted| wanted == scored);
    LINES
        .iter()
        .filter(fits)
        .find(|line| line.from == Some(from) && line.by == by)
        .map(|line| line.to)
}

/// The machine as a Mermaid state diagram, lines that stay where they are left out.
#[must_use]
pub fn drawing() -> String {
    let mut out = String::from("stateDiagram-v2\n");
    for line in LINES.iter().filter(|line| line.from != Some(line.to)) {
        let from = line
            .from
            .map_or_else(|| "[*]".to_owned(), |from| format!("{from:?}"));
        let guard = match line.scored {
            None => "",
            Some(true) => " (with its score)",
            Some(false) => " (still without a score)",
        };
        out.push_str(&format!(
            "    {from} --> {:?}: {}{guard}\n",
            line.to,
            spoken(line.by)
        ));
    }
    for end in [Phase::Promoted, Phase::RolledBack] {
        out.push_str(&format!("    {end:?} --> [*]\n"));
    }
    out
}

fn spoken(action: Action) -> &'static str {
    match action {
        Action::Start => "start",
        Action::Advance => "advance",
        Action::Hold => "hold",
        Action::Pause => "pause",
        Action::Resume => "resume",
        Action::RollBack => "roll back",
        Action::Promote => "promote",
        Action::Bake => "bake",
        Action::Return => "return",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_absorb_and_every_phase_can_reach_both_or_one_of_them() {
        for action in Action::ALL {
            for end in [Phase::Promoted, Phase::RolledBack] {
                for scored in [false, true] {
                    assert_eq!(after(end, *action, scored), None, "{end:?} {action:?}");
                }
            }
        }
        for phase in Phase::ALL.iter().filter(|phase| !phase.is_terminal()) {
            for scored in [false, true] {
                assert_eq!(
                    after(*phase, Action::RollBack, scored),
                    Some(Phase::RolledBack),
                    "{phase:?}"
                );
            }
        }
    }

    #[test]
    fn a_line_is_there_once() {
        for (at, line) in LINES.iter().enumerate() {
            let same =
                |other: &Line| (other.from, other.by, other.scored) == (line.from, line.by, line.scored);
            assert_eq!(LINES.iter().position(same), Some(at), "{line:?}");
        }
    }
}
