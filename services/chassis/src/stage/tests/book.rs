//! A verb whose every word tells what its state has been through.

use auspex_proto::event::Body;
use auspex_proto::{Event, Fact, FactId, Meta, Project, Timestamp};
use serde::{Deserialize, Serialize};

use crate::verb::{Input, Reject, Route, Speech, Verb};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) count: u64,
    /// All that was absorbed, in its order, with the time at which it was.
    pub(super) mark: u64,
}

/// What it says holds its whole state: a state that went another way shows.
pub(super) struct Book {
    pub(super) speech: Speech,
}

pub(super) fn kind(fact: &Fact) -> &str {
    match fact {
        Fact::Event(Event {
            body: Body::Other { kind, .. },
            ..
        }) => kind,
        _ => "",
    }
}

pub(super) fn event(project: &str, (id, cause): (&str, u64), kind: &str, json: String) -> Fact {
    let meta = Meta {
        id: FactId::new(id).unwrap(),
        project: Project::new(project).unwrap(),
        time: Timestamp(1),
        cause,
        source: String::new(),
    };
    let body = Body::Other {
        kind: kind.to_owned(),
        json,
    };
    Fact::Event(Event { meta, body })
}

impl Verb for Book {
    type State = Page;

    fn route(&self, fact: &Fact) -> Route {
        match kind(fact) {
            "nobody" => Route::Nobody,
            "every" => Route::Every,
            "two" => Route::Keys(vec![fact.project().to_string(), "e".to_owned()]),
            _ => Route::Key(fact.project().to_string()),
        }
    }

    fn absorb(&self, page: &mut Page, input: &Input<'_>) -> Result<Vec<Fact>, Reject> {
        let kind = kind(input.fact);
        match kind {
            "poison" => panic!("poison"),
            "bad" => return Err(Reject("it is bad".to_owned())),
            "still" => return Ok(Vec::new()),
            _ => {}
        }
        page.count += 1;
        let now = u64::try_from(input.now.0).unwrap();
        page.mark = page
            .mark
            .wrapping_mul(1_000_003)
            .wrapping_add(input.seq << 20 | now);
        if kind != "say" && kind != "two" {
            return Ok(Vec::new());
        }
        let id = FactId::derived("book", input.seq, input.key, 0).to_string();
        Ok(vec![event(
            input.key,
            (&id, input.seq),
            "said",
            format!("{page:?}"),
        )])
    }

    fn is_urgent(&self, fact: &Fact) -> bool {
        kind(fact) == "hurry"
    }

    fn speech(&self) -> Speech {
        self.speech
    }

    fn is_seen(&self, page: &Page, _: &Fact) -> bool {
        page.count.is_multiple_of(2)
    }
}
