//! Which alerts wait for whom.

use auspex_chassis::{Input, Reject, Route, Verb};
use auspex_proto::{Alert, Fact, ServiceName, stage};

use super::Outbox;
use crate::route::receivers;

/// The verb: an alert of the log waits for each of its receivers. One that another stage made names none, and is routed here.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// Names of all configured receivers.
    pub everybody: Vec<String>,
    /// Who is told of what.
    pub routes: Vec<receivers::Route>,
}

impl Queue {
    fn receivers(&self, alert: &Alert) -> Vec<String> {
        // Of our own, none named means that nobody is to be told.
        if !alert.receivers.is_empty() || alert.meta.source == stage::ALERTS.name {
            return alert.receivers.clone();
        }
        let topic = receivers::Topic {
            kind: alert.kind,
            severity: alert.severity,
            service: alert.service.as_ref().map_or("", ServiceName::as_str),
            project: &alert.meta.project,
        };
        receivers::of(&topic, &self.routes, &self.everybody)
    }
}

impl Verb for Queue {
    type State = Outbox;

    fn route(&self, fact: &Fact) -> Route {
        match fact {
            Fact::Alert(alert) if !self.receivers(alert).is_empty() => {
                Route::Key(alert.meta.project.to_string())
            }
            _ => Route::Nobody,
        }
    }

    fn is_urgent(&self, _fact: &Fact) -> bool {
        // It is carried once it is saved.
        true
    }

    fn absorb(&self, state: &mut Outbox, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        if let Fact::Alert(alert) = input.fact {
            let receivers = self.receivers(alert);
            let alert = Alert {
                receivers,
                ..alert.clone()
            };
            state.enqueue(input.seq, &alert, input.now).map_err(Reject)?;
        }
        Ok(Vec::new())
    }
}
