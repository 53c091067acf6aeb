//! The report as one page that needs nothing else.

use super::plot::{Series, square};
use super::text::{bounded, shown};
use super::{Report, Row};
use crate::evaluate::Evaluated;
use crate::figures::{Figures, Plots};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#1c2330;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.25rem .7rem;border-bottom:1px solid #dde2ea;text-align:right}td:first-child,th:first-child{text-align:left}\
.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;width:250px}svg{width:100%}svg text{font-size:8px;fill:#556}\
.g{stroke:#e4e8ef;stroke-width:.7}figcaption{text-align:center;font-size:.85rem;color:#445}.bad{color:#b3261e}.wide{overflow-x:auto}\
.bar{display:inline-block;height:.7em;background:#3667c8}";

/// A text that may stand in a page.
fn safe(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn cells(name: &str, figures: &Figures) -> String {
    let cells = [
        safe(name),
        figures.rows.to_string(),
        format!("{:.4}", figures.rate),
        bounded(figures, "roc_auc", figures.roc_auc),
        bounded(figures, "pr_auc", figures.pr_auc),
        bounded(figures, "log_loss", Some(figures.log_loss)),
        bounded(figures, "brier", Some(figures.brier)),
        format!("{:.4}", figures.brier_base),
        bounded(figures, "ece", Some(figures.ece)),
        bounded(figures, "recall_at_20_effort", figures.recall_at_20_effort),
    ];
    format!("<tr><td>{}</td></tr>", cells.join("</td><td>"))
}

const HEAD: &str = "<tr><th></th><th>rows</th><th>failure rate</th><th>ROC-AUC</th><th>PR-AUC</th><th>log-loss</th>\
<th>Brier</th><th>Brier of the rate</th><th>ECE</th><th>recall at 20 % effort</th></tr>";

fn candidate(row: &Row) -> String {
    match (&row.backtest, &row.error) {
        (Some(figures), _) => cells(&row.name, figures),
        (None, error) => format!(
            "<tr><td>{}</td><td colspan=9>not fitted: {}</td></tr>",
            safe(&row.name),
            safe(error.as_deref().unwrap_or("unknown"))
        ),
    }
}

/// Reliability, ROC, precision and recall, gain.
fn drawn(plots: &Plots, rate: f64) -> String {
    let line = |points: &[(f64, f64)]| Series {
        points: points.to_vec(),
        colour: "#3667c8",
        dots: false,
    };
    let diagonal = Series {
        points: vec![(0.0, 0.0), (1.0, 1.0)],
        colour: "#9aa4b5",
        dots: false,
    };
    let level = Series {
        points: vec![(0.0, rate), (1.0, rate)],
        ..diagonal.clone()
    };
    let dots = Series {
        points: plots.reliability.iter().map(|bin| (bin.p, bin.rate)).collect(),
        colour: "#3667c8",
        dots: true,
    };
    let curves = &plots.curves;
    [
        square(
            "Reliability",
            ("said", "happened"),
            &[diagonal.clone(), line(&dots.points), dots.clone()],
        ),
        square(
            "ROC",
            ("successes called risky", "failures called risky"),
            &[diagonal.clone(), line(&curves.roc)],
        ),
        square(
            "Precision and recall",
            ("failures found", "failures among the risky"),
            &[level, line(&curves.pr)],
        ),
        square(
            "Gain",
            ("rows looked at", "failures found"),
            &[diagonal, line(&curves.gain)],
        ),
    ]
    .concat()
}

fn importance(report: &Report) -> String {
    let most = report
        .importance
        .first()
        .map_or(1.0, |(_, value)| value.max(1e-9));
    let row = |(name, value): &(String, f64)| {
        format!(
            "<tr><td>{}</td><td>{value:.3}</td><td style=\"text-align:left\"><span class=bar style=\"width:{:.0}px\"></span></td></tr>",
            safe(name),
            200.0 * value / most
        )
    };
    report.importance.iter().take(25).map(row).collect()
}

fn gates(report: &Report) -> String {
    let row = |gate: &super::Gate| {
        let (class, mark) = if gate.passed {
            ("", "passed")
        } else {
            ("bad", "failed")
        };
        format!(
            "<tr><td>{}</td><td class=\"{class}\">{mark}</td><td>{}</td><td>{}</td><td style=\"text-align:left\">{}</td></tr>",
            safe(&gate.name),
            shown(gate.value),
            shown(gate.limit),
            safe(&gate.meaning)
        )
    };
    report.gates.iter().map(row).collect()
}

/// An evaluation as a page.
#[must_use]
pub fn evaluated(found: &Evaluated) -> String {
    let mut rows = cells(&found.recalibrate, &found.test);
    if let Some(plain) = &found.test_as_trained {
        rows.push_str(&cells("as trained", plain));
    }
    for (name, figures) in &found.groups {
        rows.push_str(&cells(name, figures));
    }
    if let Some(mean) = &found.mean_of_groups {
        rows.push_str(&cells("mean of groups", mean));
    }
    let notes = found.notes.iter().map(|note| format!("<li>{}</li>", safe(note)));
    format!(
        "{head}<h1>{model}</h1><p>On <code>{file}</code>. Brackets are 95 % bounds.</p><div class=plots>{plots}</div>\
         <div class=wide><table>{HEAD}{rows}</table></div><ul>{notes}</ul></html>\n",
        head = head(&found.model),
        model = safe(&found.model),
        file = safe(&found.file),
        plots = drawn(&found.plots, found.test.rate),
        notes = notes.collect::<String>(),
    )
}

/// How a page begins.
fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{}</title>\
         <style>{STYLE}</style>",
        safe(title)
    )
}

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let table = &report.table;
    let mut test = cells(
        &format!("{} ({})", report.champion, report.recalibrate),
        &report.test,
    );
    if let Some(plain) = &report.test_as_trained {
        test.push_str(&cells("as trained", plain));
    }
    for (name, figures) in &report.groups {
        test.push_str(&cells(name, figures));
    }
    if let Some(mean) = &report.mean_of_groups {
        test.push_str(&cells("mean of groups", mean));
    }
    let list =
        |items: Vec<String>| -> String { items.into_iter().map(|item| format!("<li>{item}</li>")).collect() };
    let mut notes: Vec<String> = report.notes.iter().map(|note| safe(note)).collect();
    let left = |left: &super::LeftOut| {
        format!(
            "column <code>{}</code> is left out: {}",
            safe(&left.column),
            safe(&left.reason)
        )
    };
    notes.extend(report.left_out.iter().map(left));
    format!(
        "{head}<h1>{model}</h1><p>Champion: <b>{champion}</b>. Learned from {train} rows of <code>{file}</code> \
         (failure rate {rate:.3}), tested on the {rows} newest. Brackets are 95 % bounds.</p>\
         <div class=plots>{plots}</div>\
         <h2>Test: newest rows, looked at once</h2><div class=wide><table>{HEAD}{test}</table></div>\
         <h2>Back-test: who competed</h2><p>Older rows foretell newer ones, within the training rows. The champion is the one with the lowest \
         log-loss here.</p><div class=wide><table>{HEAD}{candidates}</table></div>\
         <h2>What moves the score</h2><p>Mean absolute contribution on test rows, in log-odds before calibration.</p><table>{importance}</table>\
         <h2>Gates</h2><table>{gates}</table><h2>Notes</h2><ul>{notes}</ul></html>\n",
        head = head(&report.model),
        model = safe(&report.model),
        champion = safe(&report.champion),
        train = table.train_rows,
        file = safe(&table.file),
        rate = table.train_rate,
        rows = table.test_rows,
        plots = drawn(&report.plots, report.test.rate),
        candidates = report.candidates.iter().map(candidate).collect::<String>(),
        importance = importance(report),
        gates = gates(report),
        notes = list(notes),
    )
}
