//! The alert before any error: a revision whose probability of failure is high.

use auspex_proto::alert::{Cause, Kind, Severity};
use auspex_proto::score::Band;
use auspex_proto::{EntityKind, FactId, Score, ServiceName};

use super::{Desk, Draft};
use crate::diagnose::{self, Case};
use crate::state::ScoreNote;
use crate::words::{key, percent, short};

/// What is known of the score when its alert is raised.
pub(super) struct Risk<'a> {
    /// The revision.
    pub(super) revision: &'a str,
    /// Its service, when known.
    pub(super) service: Option<&'a ServiceName>,
    /// Its rollout, when it has one.
    pub(super) rollout: &'a str,
}

impl Desk<'_> {
    /// One alert per revision, at its first high score; a deployment's score waits for its reasons, for it may start a rollout.
    pub(super) fn scored(&mut self, score: &Score) {
        if !self.state.note_score(score) {
            return;
        }
        let revision = score.entity.revision.as_str();
        let waits = score.entity.kind == EntityKind::Deployment && score.reasons.is_empty();
        let high = score.band == Band::High;
        if let Some(change) = self.state.changes.get_mut(revision) {
            change.pending = high && waits;
        }
        if high && !waits {
            let service = score.entity.service.as_ref();
            self.raise(&Risk {
                revision,
                service,
                rollout: "",
            });
        }
    }

    /// Raises what waited for reasons: its rollout has begun, and nothing better is coming.
    pub(super) fn raise_pending(&mut self, risk: &Risk<'_>) {
        if self
            .state
            .changes
            .get(risk.revision)
            .is_some_and(|change| change.pending)
        {
            self.raise(risk);
        }
    }

    fn raise(&mut self, risk: &Risk<'_>) {
        let Some(change) = self.state.changes.get_mut(risk.revision) else {
            return;
        };
        change.pending = false;
        let Some(score) = change.score.clone() else { return };
        let (title_of_change, author) = (change.title.clone(), change.author.clone());
        if !self.state.raised.admit(&FactId::outside("risk", risk.revision)) {
            return;
        }
        let causes = diagnose::causes(&Case {
            state: self.state,
            revision: risk.revision,
            service: risk.service.map(ServiceName::as_str).unwrap_or_default(),
            decision: None,
            now: self.input.now,
        });
        let name = risk.service.map(|s| format!("{s} ")).unwrap_or_default();
        let mut facts = vec![
            ("revision", risk.revision.to_owned()),
            ("p_failure", interval(&score)),
        ];
        facts.extend((!title_of_change.is_empty()).then_some(("change", title_of_change)));
        facts.extend((!author.is_empty()).then_some(("author", author)));
        facts.push(("model", score.model.clone()));
        facts.extend((score.missing > 0).then(|| ("features missing", score.missing.to_string())));
        let p = percent(score.p_failure);
        let draft = Draft {
            kind: Kind::HighRisk,
            severity: Severity::Warning,
            key: key(self.project, &["risk", risk.revision]),
            title: format!(
                "High risk: {name}{} fails with a probability of {p}",
                short(risk.revision)
            ),
            text: text(&score, &causes, risk.rollout),
            service: risk.service,
            rollout: risk.rollout,
            causes,
            facts,
        };
        self.fire(draft, risk.revision, "risk", true);
    }

    /// Tells that a revision's risk is over.
    pub(super) fn settle_risk(&mut self, revision: &str, how: &str) {
        if let Some(change) = self.state.changes.get_mut(revision) {
            change.pending = false;
        }
        self.resolve(
            |open| open.kind == Kind::HighRisk && open.revision == revision,
            how,
        );
    }
}

fn interval(score: &ScoreNote) -> String {
    format!(
        "{} ({} to {})",
        percent(score.p_failure),
        percent(score.low),
        percent(score.high)
    )
}

fn text(score: &ScoreNote, causes: &[Cause], rollout: &str) -> String {
    let missing = match score.missing {
        0 => String::new(),
        n => format!(" It had to do without {n} features, so the interval is wide."),
    };
    let look = match rollout {
        "" => "auspex rollout list".to_owned(),
        name => format!("auspex rollout get {name}"),
    };
    format!(
        "What: the model puts the probability of failure at {}.{missing}\n{}\
         Impact: none yet; no request has failed for it.\n\
         Auspex: will raise its traffic as slowly as the rollout's policy asks, and watch it closely.\n\
         Next: review the change before it is deployed; to follow it: `{look}`",
        interval(score),
        super::rollout::why(causes),
    )
}
