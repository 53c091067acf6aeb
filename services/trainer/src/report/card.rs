//! The report as a card that stays with the model.

use super::Report;
use super::text::{bounded, shown};
use crate::figures::Figures;

/// Published mean ROC-AUC on the six open-source projects of the public commit data, each learned on its first 80 % and
/// tested on its last 20 % (ZZR0/ISSTA21-JIT-DP, ISSTA 2021).
const PUBLISHED: [(&str, f64); 3] = [("LApredict", 0.7246), ("DeepJIT", 0.7065), ("CC2Vec", 0.7055)];
/// The columns of that data.
const KAMEI: [&str; 6] = ["entrophy", "ndev", "nuc", "exp", "rexp", "sexp"];

pub(crate) fn line(name: &str, figures: &Figures) -> String {
    format!(
        "| {name} | {} | {:.3} | {:.3} | {} | {} | {:.4} | {:.4} | {:.4} | {} |\n",
        figures.rows,
        figures.rate,
        figures.mean_p,
        bounded(figures, "roc_auc", figures.roc_auc),
        bounded(figures, "pr_auc", figures.pr_auc),
        figures.brier,
        figures.brier_base,
        figures.ece,
        shown(figures.recall_at_20_effort)
    )
}

pub(crate) const HEAD: &str = "| | rows | failure rate | mean p | ROC-AUC (95 %) | PR-AUC (95 %) | Brier | Brier of the rate | ECE | recall at 20 % effort |\n\
|---|---|---|---|---|---|---|---|---|---|\n";

fn published(report: &Report) -> String {
    let is_public = KAMEI
        .iter()
        .all(|name| report.table.features.iter().any(|feature| feature == name));
    if !is_public {
        return String::new();
    }
    let own = report.mean_of_groups.as_ref().unwrap_or(&report.test).roc_auc;
    let mut out = String::from(
        "## Beside published results\n\nMean ROC-AUC over the six projects of the public commit data, each \
        learned on its first 80 % and tested on its last 20 %. A run on one project stands beside the mean of six.\n\n| model | ROC-AUC |\n|---|---|\n",
    );
    out.push_str(&format!(
        "| **{}, this card** | **{}** |\n",
        report.model,
        shown(own)
    ));
    for (name, value) in PUBLISHED {
        out.push_str(&format!("| {name} | {value:.4} |\n"));
    }
    out.push('\n');
    out
}

/// The card.
#[must_use]
pub fn card(report: &Report) -> String {
    let table = &report.table;
    let mut out = format!(
        "# {}\n\nChampion: **{}**. Learned from {} rows of `{}` (failure rate {:.3}), label `{}`, tested on the {} newest rows. \
         Written by `auspex train`.\n\n",
        report.model,
        report.champion,
        table.train_rows,
        table.file,
        table.train_rate,
        table.label,
        table.test_rows
    );
    out.push_str("## Test\n\nThe newest rows of each group. Nothing was chosen on them: weights, candidates, calibration and champion come \
        from a back-test within the older rows, and the test rows are scored once, by the served graph.\n\n");
    out.push_str(HEAD);
    out.push_str(&line(&format!("all ({})", report.recalibrate), &report.test));
    if let Some(plain) = &report.test_as_trained {
        out.push_str(&line("all (as trained)", plain));
    }
    for (name, figures) in &report.groups {
        out.push_str(&line(name, figures));
    }
    if let Some(mean) = &report.mean_of_groups {
        out.push_str(&line("**mean of groups**", mean));
    }
    if let Some(mean) = &report.mean_of_groups_as_trained {
        out.push_str(&line("mean of groups (as trained)", mean));
    }
    out.push_str("\n*Brier of the rate* is that of saying the failure rate of these very rows, which nobody knows beforehand. *ECE*: ten \
        equal-width bins. *Recall at 20 % effort*: share of failures found in the first 20 % of the effort");
    match table.effort.is_empty() {
        true => out.push_str(" (every row the same)"),
        false => out.push_str(&format!(" (`{}`)", table.effort.join(" + "))),
    }
    out.push_str(", read by falling p per effort.\n\n");
    out.push_str(&published(report));
    out.push_str("## Who competed\n\nOn the back-test: three stretches of the older rows, each scored by a model of what came before it.\n\n");
    out.push_str("| candidate | log-loss | ROC-AUC | PR-AUC | ECE | share | test ROC-AUC |\n|---|---|---|---|---|---|---|\n");
    for row in &report.candidates {
        match (&row.backtest, &row.error) {
            (Some(figures), _) => out.push_str(&format!(
                "| {} | {:.4} | {} | {} | {:.4} | {} | {} |\n",
                row.name,
                figures.log_loss,
                shown(figures.roc_auc),
                shown(figures.pr_auc),
                figures.ece,
                row.weight.map_or_else(|| "-".to_owned(), |w| format!("{w:.2}")),
                row.test
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |test| shown(test.roc_auc))
            )),
            (None, error) => {
                let error = error.as_deref().unwrap_or("unknown");
                out.push_str(&format!("| {} | not fitted: {error} |\n", row.name));
            }
        }
    }
    out.push_str(&rest(report));
    out
}

fn rest(report: &Report) -> String {
    let table = &report.table;
    let mut out = String::from(
        "\n## What moves the score\n\nMean absolute contribution on test rows, in log-odds before calibration.\n\n| feature | moves |\n|---|---|\n",
    );
    for (name, moved) in report.importance.iter().take(20) {
        out.push_str(&format!("| `{name}` | {moved:.3} |\n"));
    }
    out.push_str("\n## Sets that hold the outcome (split conformal, per class)\n\n| promised | held on the test rows | mean size |\n|---|---|---|\n");
    for one in &report.conformal {
        out.push_str(&format!(
            "| {:.2} | {:.3} | {:.2} |\n",
            one.quantile.level, one.covered, one.size
        ));
    }
    out.push_str(&format!(
        "\n## File\n\n`model.onnx`, {} bytes, sha256 `{}`. What is served differs from the trees by at most {:.1e} in p, over {} rows, split \
         thresholds and missing values among them.\n\n## Gates\n\n",
        report.artifact.size, report.artifact.sha256, report.artifact.parity, report.artifact.parity_rows
    ));
    for gate in &report.gates {
        let mark = if gate.passed { "passed" } else { "**failed**" };
        out.push_str(&format!(
            "- {}: {mark} ({}, {})\n",
            gate.name,
            gate.meaning,
            shown(gate.value)
        ));
    }
    out.push_str("\n## Limits\n\n- The label decides what *failing* means. What nobody recorded as a failure is learned as a success.\n\
        - The figures are those of these rows. A future that is unlike them has others; the drift baselines in the manifest are there to tell.\n\
        - Contributions say what moved the score, not what causes failures, and features of authors are no measure of a person.\n");
    if table.immature > 0 {
        out.push_str(&format!(
            "- {} rows whose outcome was younger than the label delay ({}) when the test begins were not learned from.\n",
            table.immature, table.label_delay
        ));
    }
    for left in &report.left_out {
        out.push_str(&format!(
            "- Column `{}` is not used: {}.\n",
            left.column, left.reason
        ));
    }
    for note in &report.notes {
        out.push_str(&format!("- {note}.\n"));
    }
    let versions: Vec<String> = report
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    if !versions.is_empty() {
        out.push_str(&format!(
            "\nLibraries: {}. Seed {}.\n",
            versions.join(", "),
            report.seed
        ));
    }
    out
}
