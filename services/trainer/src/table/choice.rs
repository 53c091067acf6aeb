//! Which columns of a table are used for what, and why the others are not.

use std::collections::BTreeMap;

use serde::Serialize;

use super::survey::{Column, Survey};
use crate::fault::{Fault, invalid};

/// Texts of a column that become numbers; a column with more is left out.
const MOST_CODES: usize = 64;
/// Rows that a text needs on average before its failure rate says anything.
const ROWS_A_CODE: u64 = 20;
/// Groups, at most.
const MOST_GROUPS: usize = 1000;
/// Columns, at most: the scorer tells apart which of so many are known.
const MOST_COLUMNS: usize = 512;

/// Pairs of columns whose sum is the effort of reading a change; the first pair that a table has is taken.
const EFFORTS: [&[&str]; 5] = [
    &["la", "ld"],
    &["lines_added", "lines_deleted"],
    &["additions", "deletions"],
    &["churn"],
    &["loc"],
];

/// What is wanted of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    /// The column with the outcome.
    pub label: String,
    /// The column with the time; `None`: rows are in time order.
    pub time: Option<String>,
    /// The columns to learn from; empty: all that can be.
    pub features: Vec<String>,
    /// The column that tells projects apart.
    pub group: Option<String>,
    /// Whether a column is kept that holds one value only: a service of features is read whole.
    pub whole: bool,
    /// The columns whose sum is the effort of a row; empty: a known pair, else every row costs the same.
    pub effort: Vec<String>,
}

/// A column to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its texts, when it holds texts: each with its number.
    pub codes: Option<BTreeMap<String, usize>>,
}

/// A column that is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// The columns of a table by use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// What was wanted.
    pub wanted: Wanted,
    /// The columns to learn from, in the order of the model's inputs.
    pub features: Vec<Feature>,
    /// The names of the groups; empty without groups.
    pub groups: Vec<String>,
    /// Columns whose sum is the effort.
    pub effort: Vec<String>,
    /// The others.
    pub left_out: Vec<LeftOut>,
    /// What people should know.
    pub notes: Vec<String>,
}

/// Chooses.
///
/// # Errors
/// [`Fault::Invalid`] for a column that was asked for and is not there or cannot be used, or when none is left.
pub fn choose(survey: &Survey, wanted: &Wanted) -> Result<Choice, Fault> {
    let label = survey.find("--label", &wanted.label)?;
    let mut taken = vec![label];
    if let Some(time) = &wanted.time {
        taken.push(survey.find("--time", time)?);
    }
    let mut choice = Choice {
        wanted: wanted.clone(),
        ..Choice::default()
    };
    if let Some(group) = &wanted.group {
        let column = survey.find("--group", group)?;
        choice.groups = groups(survey.columns.get(column), group)?;
        taken.push(column);
    }
    if wanted.features.is_empty() {
        choice.every(survey, &taken);
    } else {
        choice.named(survey, &taken)?;
    }
    choice.something(survey)?;
    if choice.features.len() > MOST_COLUMNS {
        return Err(invalid(
            "--features",
            format!(
                "{} columns; at most {MOST_COLUMNS} are learned from",
                choice.features.len()
            ),
        ));
    }
    choice.effort = effort(survey, wanted)?;
    Ok(choice)
}

fn groups(column: Option<&Column>, name: &str) -> Result<Vec<String>, Fault> {
    let values = column.and_then(|column| column.values.as_ref());
    let too_many = || invalid("--group", format!("`{name}` has more than {MOST_GROUPS} values"));
    let values = values.ok_or_else(too_many)?;
    Ok(values.keys().cloned().collect())
}

fn effort(survey: &Survey, wanted: &Wanted) -> Result<Vec<String>, Fault> {
    let has = |name: &str| survey.columns.iter().any(|c| c.name == name && c.texts == 0);
    if wanted.effort.is_empty() {
        let known = EFFORTS.iter().find(|names| names.iter().all(|name| has(name)));
        return Ok(known.map_or_else(Vec::new, |names| names.iter().map(|n| (*n).to_owned()).collect()));
    }
    for name in &wanted.effort {
        survey.find("--effort", name)?;
        if !has(name) {
            return Err(invalid("--effort", format!("`{name}` holds text")));
        }
    }
    Ok(wanted.effort.clone())
}

/// Why a column tells nothing.
const ONE_VALUE: &str = "holds one value only";

/// A column as one to learn from, or why it cannot be.
fn usable(column: &Column, rows: u64) -> Result<Feature, String> {
    if column.is_constant() {
        return Err(ONE_VALUE.to_owned());
    }
    let name = column.name.clone();
    if column.texts == 0 {
        return Ok(Feature { name, codes: None });
    }
    let (line, first) = column.first_text.clone().unwrap_or_default();
    if column.numbers > 0 {
        return Err(format!("holds numbers and text: line {line} holds `{first}`"));
    }
    let values = column.values.as_ref().filter(|values| values.len() <= MOST_CODES);
    let often = |values: &&BTreeMap<String, u64>| rows >= ROWS_A_CODE * values.len() as u64;
    let values = values.filter(often).ok_or_else(|| {
        format!("holds text with too many values to learn from: line {line} holds `{first}`")
    })?;
    if values.len() < 2 && column.missing == 0 {
        return Err(ONE_VALUE.to_owned());
    }
    Ok(Feature {
        name,
        codes: Some(values.keys().cloned().zip(0..).collect()),
    })
}

impl Choice {
    fn leave_out(&mut self, column: &Column, reason: String) {
        self.left_out.push(LeftOut {
            column: column.name.clone(),
            reason,
        });
    }

    fn every(&mut self, survey: &Survey, taken: &[usize]) {
        for (place, column) in survey.columns.iter().enumerate() {
            if taken.contains(&place) {
                continue;
            }
            if column.name.is_empty() {
                self.leave_out(column, "has no name".to_owned());
                continue;
            }
            if column.counts_rows && survey.rows > 2 {
                self.leave_out(column, "counts the rows".to_owned());
                continue;
            }
            match usable(column, survey.rows) {
                Ok(feature) => self.take(feature, column),
                Err(reason) if reason == ONE_VALUE && self.wanted.whole => self.keep(column),
                Err(reason) => self.leave_out(column, reason),
            }
        }
    }

    /// Whether a column that tells rows apart was chosen.
    fn something(&self, survey: &Survey) -> Result<(), Fault> {
        let varies = |feature: &Feature| {
            let mut columns = survey.columns.iter();
            columns.any(|column| column.name == feature.name && usable(column, survey.rows).is_ok())
        };
        if self.features.iter().any(varies) {
            return Ok(());
        }
        let out = self
            .left_out
            .iter()
            .map(|left| format!("`{}` {}", left.column, left.reason));
        let kept = self
            .features
            .iter()
            .map(|feature| format!("`{}` {ONE_VALUE}", feature.name));
        let reasons: Vec<String> = out.chain(kept).take(6).collect();
        let reason = match reasons.is_empty() {
            true => "no column is left to learn from".to_owned(),
            false => format!("no column is left to learn from: {}", reasons.join("; ")),
        };
        Err(invalid("--features", reason))
    }

    /// A column of one value, which is part of a schema all the same.
    fn keep(&mut self, column: &Column) {
        let name = column.name.clone();
        self.notes.push(format!(
            "`{name}` {ONE_VALUE}: the model reads it, but nothing is learned from it"
        ));
        let codes = column.values.as_ref().filter(|_| column.texts > 0);
        let codes = codes.map(|values| values.keys().cloned().zip(0..).collect());
        self.take(Feature { name, codes }, column);
    }

    fn named(&mut self, survey: &Survey, taken: &[usize]) -> Result<(), Fault> {
        for name in &self.wanted.features.clone() {
            let place = survey.find("--features", name)?;
            let Some(column) = survey.columns.get(place) else {
                continue;
            };
            if taken.first() == Some(&place) {
                return Err(invalid("--features", format!("`{name}` is the label")));
            }
            if self.features.iter().any(|feature| feature.name == *name) {
                return Err(invalid("--features", format!("`{name}` is named twice")));
            }
            match usable(column, survey.rows) {
                Ok(feature) => self.take(feature, column),
                // What is named is the schema.
                Err(reason) if reason == ONE_VALUE => self.keep(column),
                Err(reason) => return Err(invalid("--features", format!("`{name}` {reason}"))),
            }
        }
        Ok(())
    }

    fn take(&mut self, feature: Feature, column: &Column) {
        if column.infinite > 0 {
            let text = format!(
                "`{}`: {} infinite values are read as missing",
                column.name, column.infinite
            );
            self.notes.push(text);
        }
        let most = f64::from(f32::MAX);
        if column.numbers > 0 && (column.high > most || column.low < -most) {
            let text = format!(
                "`{}`: values beyond {most:.1e} are read as that: they are told apart no more",
                column.name
            );
            self.notes.push(text);
        }
        self.features.push(feature);
    }
}
