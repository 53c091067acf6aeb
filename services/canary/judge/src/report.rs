//! A whole file judged at once: what the command line shows.

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::{Judge, JudgeError, Look, Looks, Options, Spec};
use crate::rows::Row;
use crate::series::as_tracks;
use crate::values::Direction;

/// Judges rows, in any order, and returns one look per interval after the change (or the last alone). The last look is
/// marked as such, and there is always one.
///
/// # Errors
/// [`JudgeError`] when the rows contradict each other or lack what they need.
pub fn run(rows: &[Row], options: &Options) -> Result<Vec<Look>, JudgeError> {
    let Some(first) = rows.first() else {
        return Err(JudgeError::NoRows);
    };
    let tracked: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.track.is_some())
        .map(|row| row.metric.as_str())
        .collect();
    let (paired, single): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.track.is_some());
    if let Some(row) = single.iter().find(|row| tracked.contains(row.metric.as_str())) {
        return Err(JudgeError::Untracked {
            metric: row.metric.clone(),
        });
    }
    let made = if single.is_empty() {
        Vec::new()
    } else {
        as_tracks(&single, options.change_at)?
    };
    let mut judge = Judge::new(*options);
    // Every metric is known before the first verdict, so that no share of alpha moves later.
    for spec in specs(rows.iter().chain(&made), &tracked) {
        judge.expect(&spec);
    }
    for row in paired.into_iter().chain(&made) {
        judge.push(row)?;
    }
    let times: Vec<f64> = judge.open().collect();
    let counted =
        |time: &&f64| options.looks == Looks::Each && options.change_at.is_none_or(|change| **time >= change);
    let last = times.last().copied().unwrap_or(first.time);
    let mut looks: Vec<Look> = times
        .iter()
        .filter(counted)
        .filter(|time| **time < last)
        .map(|time| judge.close(*time))
        .collect();
    let mut end = judge.close(last);
    end.last = true;
    looks.push(end);
    Ok(looks)
}

/// What the rows of each metric say of it, whichever of them says it; the first where they differ.
fn specs<'a>(rows: impl Iterator<Item = &'a Row>, tracked: &BTreeSet<&str>) -> Vec<Spec> {
    let mut known: BTreeMap<&str, (Option<Direction>, Option<f64>, bool)> = BTreeMap::new();
    for row in rows {
        let (direction, weight, critical) = known.entry(&row.metric).or_default();
        *direction = direction.or(row.direction);
        *weight = weight.or(row.weight);
        *critical |= row.critical;
    }
    let spec = |(metric, (direction, weight, critical)): (&str, (_, Option<f64>, _))| Spec {
        metric: metric.to_owned(),
        direction,
        weight: weight.unwrap_or(1.0),
        critical,
        alone: !tracked.contains(metric),
    };
    known.into_iter().map(spec).collect()
}

/// Width and height of [`plot`], in characters.
const SIZE: (usize, usize) = (60, 10);

/// Evidence for harm over the looks as text: `*` the evidence, `-` the line it must reach, both on a log scale.
#[must_use]
pub fn plot(looks: &[Look], options: &Options) -> String {
    let (width, height) = SIZE;
    let floor = -2.0;
    let line = options.levels.log_alarm() / std::f64::consts::LN_10;
    let level = |look: &Look| look.e_worse.max(1e-300).log10().max(floor);
    let top = looks.iter().map(level).fold(line + 0.5, f64::max).min(line + 8.0);
    let row_of = |value: f64| {
        let part = ((value - floor) / (top - floor)).clamp(0.0, 1.0);
        let rows = f64::from(u32::try_from(height - 1).unwrap_or(1));
        (0..height).min_by(|a, b| {
            let distance = |k: &usize| (f64::from(u32::try_from(*k).unwrap_or(0)) - part * rows).abs();
            distance(a).total_cmp(&distance(b))
        })
    };
    let threshold = row_of(line).unwrap_or_default();
    // Rounded to a row, evidence may neither reach the line before it does nor fall short of it once it has.
    let row_of_look = |look: &Look| {
        let (value, row) = (level(look), row_of(level(look))?);
        Some(if value < line {
            row.min(threshold.saturating_sub(1))
        } else {
            row.max(threshold)
        })
    };
    let columns = looks.len().min(width);
    let shown: Vec<Option<usize>> = (0..columns)
        .map(|k| {
            looks.get(if columns < 2 {
                0
            } else {
                k * (looks.len() - 1) / (columns - 1)
            })
        })
        .map(|look| look.and_then(row_of_look))
        .collect();
    let mut text = String::new();
    for row in (0..height).rev() {
        let at_line = row == threshold;
        let share =
            f64::from(u32::try_from(row).unwrap_or(0)) / f64::from(u32::try_from(height - 1).unwrap_or(1));
        text.push_str(&format!(
            "{:>9} |",
            format!("1e{:+.1}", floor + (top - floor) * share)
        ));
        text.extend(shown.iter().map(|at| match (*at == Some(row), at_line) {
            (true, _) => '*',
            (false, true) => '-',
            (false, false) => ' ',
        }));
        text.truncate(text.trim_end().len());
        text.push_str(if at_line { " alarm\n" } else { "\n" });
    }
    text
}
