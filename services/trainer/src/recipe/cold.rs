//! The card of the cold start. Prose is fixed, every figure is filled in from the run, and nothing in it depends on the machine.

use super::ci_run::{DATA, Worth};
use super::commits::{KNOWN, Origin, SERVED, TOOK};
use crate::figures::Figures;
use crate::report::Report;
use crate::report::card::{HEAD, line};

const HEADLINE: &str = "\
**This is a cold start. It has never seen a build.** It was learned from commits of six open-source projects and from whether each
later needed a fix, which stands here for *the build failed*. A history of builds that may be used for it was not at hand.

* What it is for: to put the riskier of two builds first, from the day a mesh is installed until the mesh has learned a version of its own
  builds. The first such version that passes its gates takes its place by itself.
* Its number is **not the probability that a build fails**. It is that of the stand-in label. It ranks changes; how well that order is one of
  your builds is not known before some have ended. Do not read the number until
  [recalibration](../../docs/models.md#recalibration) has been proven on your builds and is served, or your own version has taken over.
* **Not for go/no-go decisions**: let no build be skipped, held back or waved through because of it.
* It scores nothing until somebody registers it: `auspex model register models/ci-run --alias champion`.
";

const LIMITS: &str = "
## Limits

* That a commit needs a fix is found out months later, by blame from fixing changes; that a build fails is known in minutes, and is often due to
  tests, dependencies, infrastructure. Large changes of much-changed files are more likely to do either; how much of the order carries over to
  your builds is not known. `auspex model reliability` tells it, once some have ended.
* The failure rates of the last 7 and 30 days are here the share of the project's commits that needed a fix, as if that were known 20 minutes
  later, as it is of builds. Of commits it is not: so the figures of *all rows together* flatter, for they tell projects apart by it. Within a
  project next to nothing hangs on it: compare `full` with `full, first of its name`.
* A name that was built twice has rates of 0, 0.5 or 1. Such values are hardly among what was learned from.
* The hour is that of the change. Here it is UTC, of people all over the world; a mesh tells it by its configured zone.
* Six large projects with code review (C++, Python, Java, Go), 2014 to 2018. Changes that only create files, merges, and changes of 100 files or more are
  not among them.
* Features of authors describe familiarity with the code. They are no measure of a person.
";

fn described(figures: &Figures) -> String {
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    format!("{} | {}", shown(figures.roc_auc), shown(figures.pr_auc))
}

fn columns() -> String {
    let mut out = String::from(
        "\n## What it reads\n\nThe feature service `ci-run` as the mesh serves it, 49 columns in its order. A column that is not learned from is missing in every row \
         of the training, so that no tree asks for it, and what a build has in it changes nothing.\n\n| column | here |\n|---|---|\n",
    );
    for (name, origin) in SERVED {
        let here = match origin {
            Origin::Table(column) => format!("`{column}`"),
            Origin::Lines => "`la` + `ld`".to_owned(),
            Origin::Hour => "hour of the commit, UTC".to_owned(),
            Origin::Weekday => "day of the commit".to_owned(),
            Origin::Failed(days) => {
                format!("share of the project's commits of the last {days:.0} days that needed a fix")
            }
            Origin::Nothing(why) => format!("not learned from: {why}"),
        };
        out.push_str(&format!("| `{name}` | {here} |\n"));
    }
    out
}

fn learned_from(report: &Report) -> String {
    let table = &report.table;
    format!(
        "\n## Data\n\n{DATA}: six open-source projects, each commit taken as a build asked for at its date, the project as the build's\n\
         name. {} commits to learn from (the oldest 80 % of each project, {:.3} of them needed a fix), {} to test on (the newest 20 %). The\n\
         outcome of a commit counts in the history of later ones {:.0} minutes after it, as if that were how long it took to build. Of half of\n\
         the rows that are learned from some columns are blanked, for a mesh does not know everything of every build.\n\n\
         Made again by `auspex train --recipe ci-run --data FOLDER --out models/ci-run`; the same tables give the same bytes. The best of two\n\
         candidates (`{}`, seed {}) by a back-test within the older rows, which also calibrated it; the test rows were used for the figures of\n\
         this card and for nothing else.\n\n",
        table.train_rows,
        table.train_rate,
        table.test_rows,
        TOOK / 60.0,
        report.champion,
        report.seed
    )
}

fn figures(report: &Report, worth: &Worth) -> String {
    let mut out = String::new();
    out.push_str("## Figures of the stand-in label\n\nOf commits that later needed a fix, on the newest 20 % of each project. Nothing is claimed of builds.\n\n");
    out.push_str(HEAD);
    for (name, figures) in &report.groups {
        out.push_str(&line(name, figures));
    }
    if let Some(mean) = &report.mean_of_groups {
        out.push_str(&line("**mean of six**", mean));
    }
    out.push_str(&line("all rows together", &report.test));
    out.push_str("\n*Brier of the rate* is that of saying the rate of these very rows, which nobody knows beforehand. *ECE*: ten equal-width bins.\n");
    out.push_str("\n### In a project that it has not seen\n\nWhich is what yours is. Each project by trees of the other five, with the calibration above.\n\n");
    out.push_str(HEAD);
    for (name, figures) in &worth.unseen.0 {
        out.push_str(&line(name, figures));
    }
    out.push_str(&line("**mean of six**", &worth.unseen.1));
    out.push_str("\n### With less known\n\n*first of its name*: no earlier build of that name has ended.\n\n| known | what it is | mean ROC-AUC | mean PR-AUC | Brier (all rows) | ECE (all rows) |\n|---|---|---|---|---|---|\n");
    for ((name, mean, all), (_, meaning)) in worth.known.iter().zip(KNOWN.iter().cycle()) {
        out.push_str(&format!(
            "| `{name}` | {meaning} | {} | {:.4} | {:.4} |\n",
            described(mean),
            all.brier,
            all.ece
        ));
    }
    out
}

fn rest(report: &Report) -> String {
    let mut out = String::new();
    out.push_str("\n## What moves the score\n\nMean absolute contribution on test rows, in log-odds before calibration.\n\n| feature | moves |\n|---|---|\n");
    for (name, moved) in report.importance.iter().filter(|(_, moved)| *moved > 0.0) {
        out.push_str(&format!("| `{name}` | {moved:.3} |\n"));
    }
    out.push_str(&format!(
        "\nContributions say what moved the score, not what causes failures.\n\n## File\n\n`model.onnx`, {} bytes, sha256 `{}`. What is served differs from the trees by at most \
         {:.1e} in p, over {} rows, split thresholds and missing values among them. Ranges hold the share of comparable commits in a project that was not learned from, at 80 %.\n",
        report.artifact.size, report.artifact.sha256, report.artifact.parity, report.artifact.parity_rows
    ));
    out
}

/// The card.
pub(super) fn card(report: &Report, worth: &Worth, licence: &str) -> String {
    let mut out = format!("# {}: a cold start for builds\n\n{HEADLINE}", report.model);
    let mean = report.mean_of_groups.clone().unwrap_or_default();
    out.push_str(&format!(
        "\nOn the stand-in label, mean of six projects: ROC-AUC / PR-AUC {} (a coin: 0.5 / {:.3}), Brier {:.3} ({:.3} by knowing the rate), ECE {:.3}; in a project \
         it has not seen {}. Of builds there is no figure.\n",
        described(&mean).replace(" | ", " / "),
        mean.rate,
        mean.brier,
        mean.brier_base,
        mean.ece,
        described(&worth.unseen.1).replace(" | ", " / ")
    ));
    for part in [
        learned_from(report),
        figures(report, worth),
        columns(),
        rest(report),
        LIMITS.to_owned(),
    ] {
        out.push_str(&part);
    }
    out.push_str(&format!(
        "\n## Licence of the data\n\nThe data are not part of the product; the model is derived from them.\n\n```\n{}\n```\n",
        licence.trim()
    ));
    out
}
