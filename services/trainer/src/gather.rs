//! From what was collected to rows to learn from: vectors as they were served, or what the feature store knew at those moments.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use auspex_learn::Matrix;
use auspex_proto::wire::FeatureEntity;
use serde::Serialize;

use crate::collect::{Example, State};
use crate::encode::Encoding;
use crate::fault::Fault;
use crate::prepare::{Prepared, enough, young};
use crate::sample::Sample;
use crate::store::{Answer, Question, Store};
use crate::table::choice::Choice;

/// Keys that streams of the mesh have; one that is not known of an example is asked for as [`UNKNOWN`], of which nothing is known.
const KEYS: [&str; 5] = ["revision", "author", "service", "environment", "project"];
const UNKNOWN: &str = "?";

/// Where rows came from that came from no table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `feature store` or `served vectors`.
    pub from: String,
    /// The snapshot of each project that was answered from; none of served vectors.
    pub snapshots: BTreeMap<String, String>,
    /// Examples of before the store was configured, which cannot be asked for.
    pub left_out: usize,
}

impl Origin {
    /// The snapshots as one name: that of the only project, else `project=snapshot` each.
    #[must_use]
    pub fn snapshot(&self) -> Option<String> {
        match self.snapshots.len() {
            0 => None,
            1 => self.snapshots.values().next().cloned(),
            _ => {
                let each = self
                    .snapshots
                    .iter()
                    .map(|(project, id)| format!("{project}={id}"));
                Some(each.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// The examples of all projects.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Gathered {
    pub(crate) sample: Sample,
    pub(crate) service: String,
    pub(crate) schema: String,
    pub(crate) origin: Origin,
}

/// As they were served: of all projects whose vectors have the newest schema.
pub(crate) fn served(states: &[(String, State)]) -> anyhow::Result<Gathered> {
    let newest = states
        .iter()
        .map(|(_, state)| state)
        .filter(|state| state.examples.iter().any(|example| !example.values.is_empty()))
        .max_by_key(|state| state.clock);
    let newest = newest.ok_or_else(|| anyhow!("there are no examples"))?;
    let mut rows = Rows::default();
    for (group, (_, state)) in (0..).zip(states.iter().filter(|(_, state)| state.schema == newest.schema)) {
        for example in state
            .examples
            .iter()
            .filter(|example| example.values.len() == newest.names.len())
        {
            rows.add(group, example, &example.values);
        }
    }
    Ok(Gathered {
        sample: rows.sample(&newest.names),
        service: newest.service.clone(),
        schema: newest.schema.clone(),
        origin: Origin {
            from: "served vectors".to_owned(),
            ..Origin::default()
        },
    })
}

/// As the store knew them at their moments.
pub(crate) async fn stored(
    states: &[(String, State)],
    store: &Store,
    service: &str,
) -> anyhow::Result<Gathered> {
    let mut answers = Vec::new();
    let mut left_out = 0;
    for (project, state) in states {
        let examples: Vec<&Example> = state
            .examples
            .iter()
            .filter(|example| example.asked > 0)
            .collect();
        left_out += state.examples.len() - examples.len();
        if examples.is_empty() {
            continue;
        }
        let entities = examples.iter().map(|example| entity(project, example)).collect();
        let question = Question {
            project,
            service,
            ..Question::default()
        };
        let answer = store.ask(&question, entities).await;
        answers.push((
            project.as_str(),
            examples,
            answer.context("asking the feature store")?,
        ));
    }
    let mut gathered = together(&answers)?;
    gathered.origin.left_out = left_out;
    Ok(gathered)
}

/// What was gathered, cut by time: rows to learn from whose outcome was known when the test begins, and the newest to test on.
///
/// # Errors
/// [`Fault::Invalid`] when there is not enough.
pub(crate) fn prepared(gathered: Gathered, split: f64, delay: f64) -> Result<Prepared, Fault> {
    let sample = gathered.sample;
    let (older, newer) = sample.cut(split);
    let known = sample.matured(&older, &newer, delay);
    let (train, test) = (sample.take(&known), sample.take(&newer));
    let immature = older.len() - known.len();
    enough(&train, &test).map_err(|fault| young(fault, immature, false))?;
    Ok(Prepared {
        choice: Choice::default(),
        encoding: Encoding::default(),
        train,
        test,
        immature,
        joined: None,
        origin: Some(gathered.origin),
    })
}

pub(crate) fn entity(project: &str, example: &Example) -> FeatureEntity {
    let known = |key: &str| match key {
        "project" => project.to_owned(),
        key => example
            .keys
            .get(key)
            .cloned()
            .unwrap_or_else(|| UNKNOWN.to_owned()),
    };
    FeatureEntity {
        keys: KEYS
            .into_iter()
            .chain(example.keys.keys().map(String::as_str))
            .map(|key| (key.to_owned(), known(key)))
            .collect(),
        time_ms: example.asked,
        ..FeatureEntity::default()
    }
}

/// The answers for all projects as one sample.
pub(crate) fn together(answers: &[(&str, Vec<&Example>, Answer)]) -> anyhow::Result<Gathered> {
    let Some((_, _, first)) = answers.first() else {
        bail!("there are no examples");
    };
    let (mut rows, mut snapshots) = (Rows::default(), BTreeMap::new());
    for (group, (project, examples, answer)) in (0..).zip(answers) {
        // Somebody applied other definitions meanwhile.
        if answer.schema != first.schema {
            bail!("the feature service has changed while it was asked");
        }
        snapshots.insert((*project).to_owned(), answer.snapshot.clone());
        for (example, values) in examples
            .iter()
            .zip(answer.values.chunks(answer.names.len().max(1)))
        {
            rows.add(group, example, values);
        }
    }
    Ok(Gathered {
        sample: rows.sample(&first.names),
        service: first.service.clone(),
        schema: first.schema.clone(),
        origin: Origin {
            from: "feature store".to_owned(),
            snapshots,
            left_out: 0,
        },
    })
}

/// Rows on their way into a sample.
#[derive(Debug, Default)]
struct Rows {
    values: Vec<f32>,
    sample: Sample,
}

impl Rows {
    fn add(&mut self, group: u32, example: &Example, values: &[f32]) {
        self.values.extend_from_slice(values);
        self.sample.labels.push(example.failed);
        self.sample.times.push(example.at as f64 / 1000.0);
        self.sample.groups.push(group);
    }

    fn sample(self, names: &[String]) -> Sample {
        let sample = Sample {
            names: names.to_vec(),
            table: Matrix::new(self.values, names.len()),
            stride: 1,
            ..self.sample
        };
        sample.in_time_order()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(at: i64, asked: i64, revision: &str) -> Example {
        Example {
            at,
            asked,
            failed: at % 2 == 0,
            keys: [("revision".to_owned(), revision.to_owned())].into(),
            ..Example::default()
        }
    }

    fn answer(schema: &str, values: &[f32]) -> Answer {
        Answer {
            snapshot: format!("of {schema}{}", values.len()),
            service: "mine@2".to_owned(),
            schema: schema.to_owned(),
            names: vec!["a".to_owned(), "b".to_owned()],
            values: values.to_vec(),
        }
    }

    #[test]
    fn answers_become_rows_in_time_order_and_name_their_snapshots() {
        let (one, two, three) = (
            example(3000, 7, "r1"),
            example(1000, 8, "r2"),
            example(2000, 9, "r3"),
        );
        let nan = f32::NAN;
        let answers = [
            ("shop", vec![&one, &two], answer("s", &[1.0, 2.0, 3.0, nan])),
            ("till", vec![&three], answer("s", &[5.0, 6.0])),
        ];
        let found = together(&answers).unwrap();
        assert_eq!(
            (found.sample.times.as_slice(), found.sample.groups.as_slice()),
            ([1.0, 2.0, 3.0].as_slice(), [0, 1, 0].as_slice())
        );
        assert_eq!(found.sample.table.row(1), [5.0, 6.0]);
        assert!(found.sample.table.row(0)[1].is_nan());
        assert_eq!(found.origin.snapshot().unwrap(), "shop=of s4,till=of s2");
        assert_eq!(
            together(&answers[1..]).unwrap().origin.snapshot().unwrap(),
            "of s2"
        );
        let other = ("till", vec![&three], answer("t", &[5.0, 6.0]));
        assert!(together(&[answers[0].clone(), other]).is_err());
        assert!(together(&[]).is_err());
    }

    #[test]
    fn what_is_not_known_of_an_example_is_asked_for_as_nobody() {
        let found = entity("shop", &example(1, 77, "r1"));
        assert_eq!((found.time_ms, found.keys.len()), (77, KEYS.len()));
        assert_eq!(
            ["revision", "author", "project"].map(|key| found.keys[key].as_str()),
            ["r1", "?", "shop"]
        );
    }
}
