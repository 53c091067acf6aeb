//! What the path is given: changes, and the rollouts that wait for their scores.

use auspex_chassis::House;
use auspex_proto::command::Ask;
use auspex_proto::event::{Body, ChangeStats};
use auspex_proto::{Command, Event, Fact, FactId, Meta, Project, Revision, RolloutName};

/// A small change, and the rollout that waits for its score.
pub(super) struct Change {
    pub(super) number: usize,
    revision: Revision,
}

impl Change {
    pub(super) fn new(number: usize) -> anyhow::Result<Self> {
        Ok(Self {
            number,
            revision: Revision::new(number.to_string())?,
        })
    }

    fn meta(&self, what: &str, house: &House, projects: usize) -> anyhow::Result<Meta> {
        Ok(Meta {
            id: FactId::new(format!("bench-{what}-{}", self.number))?,
            project: Project::new(format!("bench/{}", self.number % projects))?,
            time: house.now(),
            cause: 0,
            source: "bench".to_owned(),
        })
    }

    pub(super) fn start(&self, house: &House, projects: usize) -> anyhow::Result<Fact> {
        let document = format!(
            "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {{ name: shop }}\n\
             spec: {{ service: shop, mode: observe, score_wait: 120, limits: {{ p_failure: 0 }}, \
             tracks: {{ candidate: {{ revision: '{}' }} }} }}\n",
            self.revision
        );
        Ok(Fact::Command(Command {
            meta: self.meta("start", house, projects)?,
            rollout: RolloutName::new("shop")?,
            actor: "bench".to_owned(),
            note: String::new(),
            ask: Ask::Start { document },
        }))
    }

    pub(super) fn event(&self, house: &House, projects: usize) -> anyhow::Result<Fact> {
        // The model calls it low: as of most changes, nobody asks for reasons.
        let stats = ChangeStats {
            subsystems: Some(1.0),
            directories: Some(5.0),
            files: Some(1.0),
            entropy: Some(0.0),
            lines_added: Some(0.0),
            lines_deleted: Some(20.0),
            lines_before: Some(0.0),
            is_fix: Some(1.0),
            developers: Some(150.0),
            age_days: Some(0.8),
            unique_changes: Some(0.0),
            author_experience: Some(25.0),
            author_recent_experience: Some(165.0),
            author_subsystem_experience: Some(6.0),
        };
        Ok(Fact::Event(Event {
            meta: self.meta("change", house, projects)?,
            body: Body::Change(auspex_proto::event::Change {
                revision: self.revision.clone(),
                branch: "main".to_owned(),
                author: "bench".to_owned(),
                title: "Say it better".to_owned(),
                paths: vec!["docs/words.md".to_owned()],
                stats: Some(stats),
                authored: None,
                complexity: None,
            }),
        }))
    }
}
