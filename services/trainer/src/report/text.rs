//! The report for people at a terminal.

use auspex_learn::bounds::Bounds;

use super::Report;
use crate::figures::Figures;

/// A number of three or four places; `-` for none.
pub(super) fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// A figure with its bounds.
pub(super) fn bounded(figures: &Figures, name: &str, value: Option<f64>) -> String {
    match (value, figures.intervals.get(name)) {
        (Some(value), Some(Bounds { low, high })) => format!("{value:.4} ({low:.4}-{high:.4})"),
        _ => shown(value),
    }
}

/// Rows laid out in columns; the first is the head. What ends a shorter row may be as long as it likes.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter(|row| row.len() == columns || c + 1 < row.len())
                .filter_map(|row| row.get(c))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(name: &str, figures: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        figures.rows.to_string(),
        format!("{:.4}", figures.rate),
        shown(figures.roc_auc),
        shown(figures.pr_auc),
        format!("{:.4}", figures.log_loss),
        format!("{:.4}", figures.brier),
        format!("{:.4}", figures.brier_base),
        format!("{:.4}", figures.ece),
        shown(figures.recall_at_20_effort),
    ]
}

fn head(first: &str) -> Vec<String> {
    [
        first, "ROWS", "RATE", "ROC-AUC", "PR-AUC", "LOG-LOSS", "BRIER", "BASE", "ECE", "EFFORT20",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Who competed.
fn candidates(report: &Report) -> String {
    let mut rows = vec![head("CANDIDATE")];
    for candidate in &report.candidates {
        match (&candidate.backtest, &candidate.error) {
            (Some(figures), _) => rows.push(row(&candidate.name, figures)),
            (None, Some(error)) => rows.push(vec![candidate.name.clone(), format!("not fitted: {error}")]),
            (None, None) => {}
        }
    }
    table(&rows)
}

/// Bounds, gates, notes.
fn rest(report: &Report) -> String {
    let mut out = String::new();
    let test = &report.test;
    out.push_str(&format!(
        "\n95 % bounds: ROC-AUC {}, PR-AUC {}, Brier {}, ECE {}\n",
        bounded(test, "roc_auc", test.roc_auc),
        bounded(test, "pr_auc", test.pr_auc),
        bounded(test, "brier", Some(test.brier)),
        bounded(test, "ece", Some(test.ece)),
    ));
    out.push_str(&format!(
        "failures in the riskiest 5 / 10 / 50 % of rows: {} / {} / {}\n\n",
        shown(test.failures_in_riskiest_5),
        shown(test.failures_in_riskiest_10),
        shown(test.failures_in_riskiest_50)
    ));
    for gate in &report.gates {
        let mark = if gate.passed { "passed" } else { "FAILED" };
        out.push_str(&format!(
            "gate {}: {mark} ({}; {})\n",
            gate.name,
            gate.meaning,
            shown(gate.value)
        ));
    }
    for left in &report.left_out {
        out.push_str(&format!("left out: `{}` {}\n", left.column, left.reason));
    }
    for note in &report.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}

/// The report as text.
#[must_use]
pub fn text(report: &Report) -> String {
    let table_ = &report.table;
    let mut out = format!(
        "{}: champion {}\n{} rows learned from (failure rate {:.3}), {} tested on, {} columns\n",
        report.model,
        report.champion,
        table_.train_rows,
        table_.train_rate,
        table_.test_rows,
        table_.features.len()
    );
    if table_.immature > 0 {
        out.push_str(&format!(
            "{} rows whose outcome was not known yet are left out\n",
            table_.immature
        ));
    }
    out.push_str("\nback-test (older rows foretell newer ones; the champion is chosen here):\n");
    out.push_str(&candidates(report));
    out.push_str("\ntest (newest rows, looked at once):\n");
    let mut rows = vec![head("")];
    rows.push(row(
        &format!("{} ({})", report.champion, report.recalibrate),
        &report.test,
    ));
    if let Some(plain) = &report.test_as_trained {
        rows.push(row("  as trained", plain));
    }
    rows.extend(
        report
            .groups
            .iter()
            .map(|(name, figures)| row(&format!("  {name}"), figures)),
    );
    rows.extend(
        report
            .mean_of_groups
            .iter()
            .map(|figures| row("  mean of groups", figures)),
    );
    rows.extend(
        report
            .mean_of_groups_as_trained
            .iter()
            .map(|figures| row("  mean of groups, as trained", figures)),
    );
    out.push_str(&table(&rows));
    out.push_str(&rest(report));
    out
}

/// An evaluation as text.
#[must_use]
pub fn evaluated(found: &crate::evaluate::Evaluated) -> String {
    let mut rows = vec![head("")];
    rows.push(row(
        &format!("{} ({})", found.model, found.recalibrate),
        &found.test,
    ));
    if let Some(plain) = &found.test_as_trained {
        rows.push(row("  as trained", plain));
    }
    rows.extend(
        found
            .groups
            .iter()
            .map(|(name, figures)| row(&format!("  {name}"), figures)),
    );
    rows.extend(
        found
            .mean_of_groups
            .iter()
            .map(|figures| row("  mean of groups", figures)),
    );
    let mut out = format!("{} on {}\n{}", found.model, found.file, table(&rows));
    out.push_str(&format!(
        "95 % bounds: ROC-AUC {}, PR-AUC {}, Brier {}, ECE {}\n",
        bounded(&found.test, "roc_auc", found.test.roc_auc),
        bounded(&found.test, "pr_auc", found.test.pr_auc),
        bounded(&found.test, "brier", Some(found.test.brier)),
        bounded(&found.test, "ece", Some(found.test.ece)),
    ));
    for note in &found.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}
