//! Beginning again what was rolled back, and going back behind a promotion.

use auspex_proto::decision::{Mode, Phase, TrackTarget};
use auspex_proto::{Invalid, RolloutName};

use super::start::{Refusal, fresh};
use super::succession::launch;
use super::voice::Voice;
use crate::config::Config;
use crate::document::Spec;
use crate::state::{Rollout, State};
use crate::terms::Terms;

/// Begins once more what was rolled back, by the same terms.
pub(super) fn again(
    config: &Config,
    state: &mut State,
    name: &RolloutName,
    voice: &mut Voice<'_>,
) -> Result<(), Refusal> {
    let impossible = |why: String| Err(Refusal::Impossible(why));
    let Some(ended) = state.ended(name) else {
        return impossible(format!("no rollout is called {name}, or it is under way"));
    };
    if ended.phase != Phase::RolledBack {
        return impossible(format!("{name} was promoted: there is nothing to begin again"));
    }
    let Some(whole) = ended.whole.as_deref().cloned() else {
        return impossible(format!(
            "too many rollouts ended since {name}: start it by its document"
        ));
    };
    let terms = whole.terms.clone();
    let now = voice.now();
    let fresh = fresh(
        (whole.name, whole.service),
        (whole.stable, whole.candidate),
        terms,
        now,
    );
    let rollout = Rollout {
        deployment: whole.deployment,
        ..fresh
    };
    launch(config, state, rollout, voice)
}

/// The name of the rollout that goes back behind another one.
///
/// # Errors
/// It would be too long.
pub(crate) fn undone(name: &RolloutName) -> Result<RolloutName, Invalid> {
    RolloutName::new(format!("{name}-undo"))
}

/// Back to what served before a promotion, as a rollout of its own: at once, and by the same gates against freezes.
pub(super) fn undo(
    config: &Config,
    state: &mut State,
    name: &RolloutName,
    voice: &mut Voice<'_>,
) -> Result<(), Refusal> {
    let impossible = |why: String| Err(Refusal::Impossible(why));
    let Some(ended) = state.ended(name).cloned() else {
        return impossible(format!("no rollout called {name} is over"));
    };
    if ended.phase != Phase::Promoted || ended.mode != Mode::Act {
        return impossible(format!("{name} moved nobody: there is nothing to undo"));
    }
    if ended.contracted {
        return impossible(format!(
            "the database was contracted after {name}: what served before can no longer work with it"
        ));
    }
    let serving = state.serving(ended.service.as_str());
    if serving != Some(&ended.candidate) {
        return impossible(format!("{} has been promoted again since", ended.service));
    }
    if ended.stable == TrackTarget::default() {
        return impossible(format!("nobody said what served before {name}"));
    }
    let spec = Spec {
        service: ended.service.to_string(),
        ..Spec::default()
    };
    let terms = Terms {
        affinity: ended
            .whole
            .as_ref()
            .and_then(|whole| whole.terms.affinity.clone()),
        ..Terms::of(&spec, config).at_once()
    };
    let name = undone(name).map_err(|fault| Refusal::Impossible(fault.to_string()))?;
    let rollout = fresh(
        (name, ended.service),
        (ended.candidate, ended.stable),
        terms,
        voice.now(),
    );
    launch(config, state, rollout, voice)
}
