//! From tables to rows to learn from and rows to test on.

use auspex_learn::metrics;

use crate::context;
use crate::encode::{self, Encoding};
use crate::fault::{Fault, invalid};
use crate::gather::Origin;
use crate::history;
use crate::request::Request;
use crate::sample::Sample;
use crate::table::choice::{Choice, LeftOut, choose};
use crate::table::join::Source;
use crate::table::load::load;
use crate::table::survey::survey;

/// Rows to learn from, at least, and failures and successes among them.
const LEAST_ROWS: usize = 50;
const LEAST_OF_A_CLASS: usize = 10;

/// What a run works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The columns.
    pub choice: Choice,
    /// Numbers of texts and groups.
    pub encoding: Encoding,
    /// Rows to learn from whose outcome was known when the test begins.
    pub train: Sample,
    /// Rows to test on.
    pub test: Sample,
    /// Rows older than the test whose outcome was not known yet.
    pub immature: usize,
    /// SHA-256 of the feature store's table that was joined.
    pub joined: Option<String>,
    /// Where rows came from that came from no table.
    pub origin: Option<Origin>,
}

/// Reads, chooses, cuts.
///
/// # Errors
/// [`Fault::Invalid`] when the table does not hold what is needed.
pub fn prepare(request: &Request, say: &dyn Fn(&str)) -> Result<Prepared, Fault> {
    if !(request.split > 0.0 && request.split < 1.0) {
        return Err(invalid(
            "--split",
            format!("{} is not within 0..1", request.split),
        ));
    }
    let source = Source::of(
        &request.table,
        request.join.as_deref(),
        request.wanted.time.as_deref(),
    )?;
    let mut wanted = request.wanted.clone();
    if wanted.features.is_empty() && !source.names().is_empty() {
        wanted.features = source.names().to_vec();
    }
    // A service of features is read whole, whatever its columns hold.
    wanted.whole = !request.feature_service.is_empty();
    let seen = survey(source.path(), wanted.group.as_deref())?;
    say(&format!(
        "{}: {} rows, {} columns",
        request.table.display(),
        seen.rows,
        seen.columns.len()
    ));
    let mut choice = choose(&seen, &wanted)?;
    let mut sample = load(source.path(), &seen, &choice)?;
    classes(&sample, &choice)?;
    let mut test = match &request.test {
        None => None,
        Some(path) => {
            let seen = survey(path, request.wanted.group.as_deref()).map_err(|fault| tested(fault, path))?;
            Some(load(path, &seen, &choice).map_err(|fault| tested(fault, path))?)
        }
    };
    without_copies(&mut choice, &mut sample, test.as_mut())?;
    derived(request, &mut sample, test.as_mut(), &mut choice)?;
    let (train, test, older) = match test {
        None => {
            let (older, newer) = sample.cut(request.split);
            let known = sample.matured(&older, &newer, request.delay);
            (sample.take(&known), sample.take(&newer), older.len())
        }
        Some(test) => separate(sample, test, request.delay),
    };
    notes(&mut choice, request, &train);
    let immature = older - train.rows();
    enough(&train, &test).map_err(|fault| young(fault, immature, request.wanted.time.is_none()))?;
    let encoding = encode::learn(&choice, &train);
    let (mut train, mut test) = (train, test);
    encode::apply(&encoding, &choice, &mut train);
    encode::apply(&encoding, &choice, &mut test);
    Ok(Prepared {
        choice,
        encoding,
        train,
        test,
        immature,
        joined: source.sha256(),
        origin: None,
    })
}

/// A fault of the table to test on says so.
fn tested(fault: Fault, path: &std::path::Path) -> Fault {
    match fault {
        Fault::Invalid { field, reason } if field == path.display().to_string() => {
            invalid("--test", format!("{field}: {reason}"))
        }
        Fault::Invalid { field, reason } => {
            invalid("--test", format!("{}: {field}: {reason}", path.display()))
        }
        other => other,
    }
}

/// Rows may be too few because so many are too young.
pub(crate) fn young(fault: Fault, immature: usize, counts_rows: bool) -> Fault {
    match fault {
        Fault::Invalid { field, reason } if immature > 0 => {
            let unit = if counts_rows {
                ", which counts rows where no --time is named"
            } else {
                ""
            };
            let more = format!("{reason} ({immature} more are too young for --label-delay{unit})");
            invalid(field, more)
        }
        other => other,
    }
}

/// Adds the columns that are made of others.
fn derived(
    request: &Request,
    sample: &mut Sample,
    mut test: Option<&mut Sample>,
    choice: &mut Choice,
) -> Result<(), Fault> {
    let before = test.is_some().then(|| sample.clone());
    if request.history {
        history::add(None, sample, choice, request.delay);
        if let Some(test) = &mut test {
            history::add(before.as_ref(), test, choice, request.delay);
        }
    }
    if request.context {
        context::add(None, sample, choice, request.history)?;
        if let Some(test) = &mut test {
            context::add(before.as_ref(), test, choice, request.history)?;
        }
    }
    context::ratios(&request.ratios, sample, choice)?;
    match test {
        Some(test) => context::ratios(&request.ratios, test, choice),
        None => Ok(()),
    }
}

/// Of a table to learn from and one to test on, what was known when the test begins.
fn separate(sample: Sample, test: Sample, delay: f64) -> (Sample, Sample, usize) {
    let mut first = std::collections::BTreeMap::<u32, f64>::new();
    for (time, group) in test.times.iter().zip(&test.groups) {
        let start = first.entry(*group).or_insert(f64::INFINITY);
        *start = start.min(*time);
    }
    let known = |row: &usize| {
        let (Some(time), Some(group)) = (sample.times.get(*row), sample.groups.get(*row)) else {
            return false;
        };
        delay <= 0.0 || first.get(group).is_none_or(|start| time + delay <= *start)
    };
    let rows: Vec<usize> = (0..sample.rows()).filter(known).collect();
    (sample.take(&rows), test, sample.rows())
}

fn classes(sample: &Sample, choice: &Choice) -> Result<(), Fault> {
    let (rows, failed) = (sample.rows(), metrics::failures(&sample.labels));
    let name = &choice.wanted.label;
    if failed == 0 || failed == rows {
        let all = if failed == 0 { "passed (0)" } else { "failed (1)" };
        let reason = format!(
            "all {rows} rows of `{name}` are {all}: both outcomes are needed to learn what tells them apart"
        );
        return Err(invalid("--label", reason));
    }
    Ok(())
}

/// Whether rows are enough to learn from and to test on.
///
/// # Errors
/// [`Fault::Invalid`] saying how many there are and how many are needed.
pub fn enough(train: &Sample, test: &Sample) -> Result<(), Fault> {
    let (rows, failed) = (train.rows(), metrics::failures(&train.labels));
    if rows < LEAST_ROWS || failed.min(rows - failed) < LEAST_OF_A_CLASS {
        let reason = format!(
            "{rows} rows to learn from, {failed} of them failures; at least {LEAST_ROWS} rows with {LEAST_OF_A_CLASS} \
             failures and {LEAST_OF_A_CLASS} successes are needed"
        );
        return Err(invalid("--data", reason));
    }
    if test.rows() == 0 {
        return Err(invalid("--split", "leaves no row to test on"));
    }
    Ok(())
}

fn notes(choice: &mut Choice, request: &Request, train: &Sample) {
    if request.wanted.time.is_none() {
        choice
            .notes
            .push("no --time: rows are taken to be in time order".to_owned());
    }
    if train.reordered {
        choice
            .notes
            .push("the file was not in time order and was sorted".to_owned());
    }
    if train.stride > 1 {
        choice
            .notes
            .push(format!("a large table: every {} rows one is used", train.stride));
    }
    if train.unlabelled > 0 {
        choice.notes.push(format!(
            "{} rows have no outcome and are not used",
            train.unlabelled
        ));
    }
}

/// Takes out columns that say what the label says: they would be perfect here and unknown when it matters.
fn without_copies(choice: &mut Choice, sample: &mut Sample, test: Option<&mut Sample>) -> Result<(), Fault> {
    let mut kept = Vec::new();
    for (column, feature) in choice.features.iter().enumerate() {
        let values = sample.table.column(column);
        if is_copy(&values, &sample.labels) {
            let reason = format!("says what `{}` says in every row", choice.wanted.label);
            if !choice.wanted.features.is_empty() {
                return Err(invalid(
                    "--features",
                    format!("`{}` {reason}: it is the outcome, not a feature", feature.name),
                ));
            }
            choice.left_out.push(LeftOut {
                column: feature.name.clone(),
                reason,
            });
            continue;
        }
        let p: Vec<f64> = values
            .iter()
            .map(|v| {
                if v.is_nan() {
                    f64::NEG_INFINITY
                } else {
                    f64::from(*v)
                }
            })
            .collect();
        let alone = metrics::roc_auc(&sample.labels, &p).unwrap_or(0.5);
        if !(0.02..=0.98).contains(&alone) {
            choice.notes.push(format!(
                "`{}` alone tells nearly all (ROC-AUC {:.3}): is it known before the outcome?",
                feature.name,
                alone.max(1.0 - alone)
            ));
        }
        kept.push(column);
    }
    if kept.is_empty() {
        return Err(invalid(
            "--features",
            "no column is left to learn from but the outcome itself",
        ));
    }
    sample.table = sample.table.select(&kept);
    if let Some(test) = test {
        test.table = test.table.select(&kept);
    }
    choice.features = kept
        .iter()
        .filter_map(|c| choice.features.get(*c))
        .cloned()
        .collect();
    Ok(())
}

/// Whether a column of two values goes with the label row by row.
fn is_copy(values: &[f32], labels: &[bool]) -> bool {
    let of = |wanted: bool| {
        let mut pairs = values
            .iter()
            .zip(labels)
            .filter(|(_, y)| **y == wanted)
            .map(|(v, _)| v.to_bits());
        let first = pairs.next()?;
        pairs.all(|other| other == first).then_some(first)
    };
    matches!((of(true), of(false)), (Some(a), Some(b)) if a != b)
}
