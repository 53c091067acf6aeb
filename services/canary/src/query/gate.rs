//! Another controller drives and asks. Waiting is never a pass, and neither is the absence of evidence.

use auspex_proto::wire::{Action, GateAnswer, GateRequest, GateVerdict, Phase, ReasonCode, RolloutView};

/// What the rollout's last decision answers to the question.
pub(super) fn answer(asked: &GateRequest, view: RolloutView) -> GateAnswer {
    let last = view.last.clone().unwrap_or_default();
    let other = !asked.revision.is_empty() && asked.revision != view.candidate_revision;
    // Where the asker stands: what routers tell, else what it says it wants.
    let wanted = if asked.weight > 0 {
        asked.weight
    } else {
        view.verified_weight.saturating_add(1)
    };
    let (verdict, text) = match Phase::try_from(view.phase).unwrap_or_default() {
        _ if other => (
            GateVerdict::Wait,
            format!("{} is on trial, not {}", view.candidate_revision, asked.revision),
        ),
        Phase::RolledBack | Phase::Returning => (GateVerdict::Fail, last.reason_text.clone()),
        Phase::Promoted | Phase::Baking => (GateVerdict::Pass, last.reason_text.clone()),
        Phase::Waiting | Phase::Paused | Phase::Unspecified => (GateVerdict::Wait, last.reason_text.clone()),
        Phase::Progressing if last.reason == i32::from(ReasonCode::NoEvidence) => {
            (GateVerdict::Wait, last.reason_text.clone())
        }
        Phase::Progressing if last.action == i32::from(Action::Hold) && asked.weight == 0 => {
            (GateVerdict::Wait, last.reason_text.clone())
        }
        Phase::Progressing if view.weight >= wanted.min(100) => (GateVerdict::Pass, last.reason_text.clone()),
        Phase::Progressing => (
            GateVerdict::Wait,
            format!(
                "{} % is admitted, {wanted} % was asked: {}",
                view.weight, last.reason_text
            ),
        ),
    };
    GateAnswer {
        verdict: verdict.into(),
        reason: last.reason,
        text,
        weight: view.weight,
        prior: view.prior,
        posterior: view.posterior,
        rollout: Some(view),
    }
}

#[cfg(test)]
mod tests {
    use auspex_proto::wire::Decision;

    use super::*;

    fn said(phase: Phase, action: Action, reason: ReasonCode, asked: u32) -> GateVerdict {
        let view = RolloutView {
            phase: phase.into(),
            weight: 20,
            candidate_revision: "b".to_owned(),
            last: Some(Decision {
                action: action.into(),
                reason: reason.into(),
                ..Decision::default()
            }),
            ..RolloutView::default()
        };
        let asked = GateRequest {
            weight: asked,
            revision: "b".to_owned(),
            ..GateRequest::default()
        };
        answer(&asked, view).verdict()
    }

    #[test]
    fn only_what_is_admitted_passes() {
        let advanced = |asked| {
            said(
                Phase::Progressing,
                Action::Advance,
                ReasonCode::BudgetAdmits,
                asked,
            )
        };
        assert_eq!(advanced(20), GateVerdict::Pass);
        assert_eq!(advanced(21), GateVerdict::Wait);
        let silent = said(Phase::Progressing, Action::Hold, ReasonCode::NoEvidence, 10);
        assert_eq!(silent, GateVerdict::Wait, "no evidence is no pass");
        assert_eq!(
            said(Phase::Paused, Action::Pause, ReasonCode::Commanded, 1),
            GateVerdict::Wait
        );
        let back = said(Phase::RolledBack, Action::RollBack, ReasonCode::EvidenceWorse, 1);
        assert_eq!(back, GateVerdict::Fail);
        let done = said(Phase::Promoted, Action::Promote, ReasonCode::EvidenceSafe, 100);
        assert_eq!(done, GateVerdict::Pass);
    }

    #[test]
    fn another_revision_waits() {
        let view = RolloutView {
            phase: Phase::Promoted.into(),
            candidate_revision: "a".to_owned(),
            ..RolloutView::default()
        };
        let asked = GateRequest {
            revision: "b".to_owned(),
            ..GateRequest::default()
        };
        assert_eq!(answer(&asked, view).verdict(), GateVerdict::Wait);
    }
}
