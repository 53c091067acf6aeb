"""The model card. Prose is fixed, every figure is filled in from the run."""

from . import contract, intervals

PUBLISHED = {"LApredict": 0.7246, "DeepJIT": 0.7065, "CC2Vec": 0.7055}


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(r) + " |" for r in rows])


def ci(pair):
    return f"{pair[0]:.3f}–{pair[1]:.3f}"


def by_project(test):
    rows = [[n, f"{m['rows']:,}", f"{m['rate']:.3f}", f"{m['mean_p']:.3f}", f"{m['roc_auc']:.4f} ({ci(m['roc_auc_ci'])})", f"{m['pr_auc']:.3f}",
             f"{m['brier']:.4f}", f"{m['brier_rate']:.4f}", f"{m['brier_shifted']:.4f}", f"{m['ece']:.3f}", f"{m['ece_shifted']:.3f}", f"{m['recall20']:.3f}"]
            for n, m in test["projects"].items()]
    m, p = test["mean"], test["pooled"]
    rows.append(["**mean of six**", "", f"{m['rate']:.3f}", f"{m['mean_p']:.3f}", f"**{m['roc_auc']:.4f}** ({ci(test['mean_roc_auc_ci'])})", f"{m['pr_auc']:.3f}",
                 f"{m['brier']:.4f}", f"{m['brier_rate']:.4f}", f"{m['brier_shifted']:.4f}", f"{m['ece']:.3f}", f"{m['ece_shifted']:.3f}", f"{m['recall20']:.3f}"])
    rows.append(["all rows pooled", f"{p['rows']:,}", f"{p['rate']:.3f}", f"{p['mean_p']:.3f}", f"{p['roc_auc']:.4f}", f"{p['pr_auc']:.3f}",
                 f"{p['brier']:.4f}", f"{p['brier_rate']:.4f}", "", f"**{p['ece']:.3f}**", "", ""])
    return table(["project", "rows", "failure rate", "mean p", "ROC-AUC (95 %)", "PR-AUC", "Brier", "Brier of the rate", "Brier, own rate known", "ECE", "ECE, own rate known",
                  "recall at 20 % effort"], rows)


def by_pattern(test, width, cover):
    rows = []
    for q, m in test.items():
        rows.append([f"`{q}`", contract.PATTERN_TEXT[q], f"{m['mean']['roc_auc']:.4f} ({ci(m['mean_roc_auc_ci'])})", f"{m['mean']['pr_auc']:.3f}",
                     f"{m['pooled']['brier']:.4f}", f"{m['pooled']['ece']:.3f}", f"{m['mean']['ece']:.3f}"]
                    + ([f"{width[q]:.2f}", f"{cover[q][0]:.0%} of {cover[q][1]}"] if width else []))
    return table(["pattern", "what it is", "mean ROC-AUC (95 %)", "mean PR-AUC", "Brier (pooled)", "ECE (pooled)", "ECE (mean of projects)"]
                 + (["mean width of the range", "cells covered"] if width else []), rows)


def render(m, test, unseen, width, cover, licence):
    full = test["full"]
    own = full["mean"]["roc_auc"]
    versus = table(["model", "mean ROC-AUC on the same split"],
                   [["**change-risk 1** (one model for all six)", f"**{own:.4f}** ({ci(full['mean_roc_auc_ci'])})"],
                    ["change-risk, project left out of training", f"{unseen['full']['mean']['roc_auc']:.4f} ({ci(unseen['full']['mean_roc_auc_ci'])})"]]
                   + [[f"{n} (published, one model per project)", f"{v:.4f}"] for n, v in PUBLISHED.items()])
    features = table(["#", "name", "unit", "definition", "in the public data"],
                     [[str(i), f"`{f.name}`", f.unit, f.definition, f"`{f.column}`"] for i, f in enumerate(contract.FEATURES)])
    selection = table(["candidate", "known projects", "unknown project", "paths only"],
                      [[r["name"], f"{r['known']:.4f}", f"{r['unknown']:.4f}", f"{r['paths']:.4f}"] for r in m["training"]["selection"]])
    ranges = table(["project", "train", "failure rate", "test", "failure rate"],
                   [[n, f"{d['train_rows']:,} rows, {d['train_from']} to {d['train_to']}", f"{m['base_rates'][n]:.3f}",
                     f"{d['test_rows']:,} rows, {d['test_from']} to {d['test_to']}", f"{full['projects'][n]['rate']:.3f}"]
                    for n, d in m["training"]["projects"].items()])
    names = [f"below {m['bands'][0]}", f"{m['bands'][0]} to {m['bands'][1]}", f"{m['bands'][1]} and above"]
    bands = table(["band of p", "share of changes", "failure rate"],
                  [[n, f"{b['share']:.1%}", "" if b["rate"] is None else f"{b['rate']:.3f}"] for n, b in zip(names, full["bands"])])
    worse = [n for n, v in unseen["full"]["projects"].items() if v["brier"] > v["brier_rate"]]
    rates = [v["rate"] for v in full["projects"].values()]
    paths = m["interval"]["patterns"]
    a, rows = m["artifact"], m["training"]["rows"]
    return f"""# change-risk, version {m['version']}

{m['summary']}

It ships as the default: it needs no outcomes of your own to be useful, and it is the baseline a model trained on your
own outcomes has to beat.

Every figure on this card is written by the program that trains the model.

## In short

{versus}

* Pooled over all test rows: ECE {full['pooled']['ece']:.3f}, Brier {full['pooled']['brier']:.4f} against {full['pooled']['brier_rate']:.4f} of the base rate.
* `p_fail` is calibrated over the six projects together. Their failure rates run from {min(rates):.3f} to {max(rates):.3f}; within one
  project the mean error of calibration is {full['mean']['ece']:.3f}. Once a repository's own failure rate is known, the shift described under
  *Calibration* brings that to {full['mean']['ece_shifted']:.3f}. Until then trust the order of changes more than the number, and show the range.

## Data

{m['training']['data']}: six open-source projects, {rows['train'] + rows['test']:,} changes. Split: {m['training']['split']}.
{rows['train']:,} rows train (of these {rows['hold_out']:,} held out for choices, calibration and ranges), {rows['test']:,} rows test.
The test rows were used for the figures of this card and for nothing else.

{ranges}

Label: {m['label']}.

## Features

One input `features`, float32 `[N, {len(m['features'])}]`, in this order; NaN is missing.

{features}

{chr(10).join('* ' + n for n in m['feature_notes'])}

These are the conventions of the program that extracted the public data, read from its source, and confirmed on the data where it can show
them (for instance `directories` above `files`, entropy above log2 of `files`, minima of 1 and 2). Three of them differ from the common
description of the same features: `files` counts base names, `lines_before` is a sum and not an average, and author experience counts file
changes and not commits.

## Model

LightGBM, {m['trees']['trees']} trees of at most {m['training']['settings']['leaves']} leaves, {a['size']:,} bytes, ONNX opset {a['opset']} / ai.onnx.ml {a['opset_ml']}; raw log-odds,
then Platt scaling, in the graph. Chosen on the last fifth of train (mean ROC-AUC):

{selection}

*project offset*: each project's own failure rate enters as an offset while learning and is left out of the model, so no split is spent on
telling projects apart. *blanked copies*: rows are also learned with groups of features missing. The shipped settings are all lines marked
with a plus together. Differences of a few thousandths, as between the last four plus lines, are within noise; recency weights are kept because
failure rates move over time, and the monotone line because an explanation that says *more lines, less risk* would be an artefact.

## Figures on the test rows

{by_project(full)}

ROC-AUC intervals: bootstrap within projects, 95 %. ECE: ten equal-width bins. *Brier of the rate*: of a forecast that says the failure rate of those very
rows, which nobody knows beforehand. *Own rate known*: after the shift below, with the failure rate of the project's last fifth of train. *Recall at 20 % effort*: share of the failures found in the first 20 % of changed lines, read in order of
p per changed line.

{bands}

Bands start at {m['bands'][0]} and {m['bands'][1]}. A p above {m['bands'][1]} is rare by nature: few single changes are more likely to fail than not.

### In a project the model has never seen

Each project scored by a model and a calibration made from the other five, on their first 80 % only. This is what a new repository should expect.
Where its failure rate is far from that of the others, the raw number has a higher Brier score than knowing that rate ({', '.join(worse) or 'none here'});
the order of the changes stays useful, and the shift repairs the number.

{by_project(unseen['full'])}

### With features missing

{by_pattern(test, width, cover)}

`none` knows nothing and says the base rate. *Width* and *cells covered* are about the ranges: the share of (unseen project, bin) cells of the test rows
whose failure rate lies in the {intervals.LEVEL:.0%} range. A share above {intervals.LEVEL:.0%} means the ranges are on the cautious side.

## Calibration

`{m['calibration']['formula']}` with a = {m['calibration']['a']:.6f}, b = {m['calibration']['b']:.6f}, fitted on {m['calibration']['fitted_on']}.
The trees were then trained on all of train.

Shift for a repository with outcomes of its own: `{m['prior_shift']['formula']}` ({m['prior_shift']['use']}).

## Ranges

For each set of known features, bins of p with the {intervals.LEVEL:.0%} range of the failure rate of comparable changes in a repository not trained on.
It adds, in log-odds and in quadrature, the spread between projects (`full`: standard deviation {paths['full']['tau']:.2f}) and, where features are
missing, the spread of the full score among changes that look alike without them. Ranges are wide because projects differ: that is the truth
about a default model, and the reason to record outcomes.

## Parity

The file against the booster on {m['parity']['rows']:,} rows, with every pattern of missing features, and rows at split thresholds: at most
{m['parity']['p_max_abs_diff']:.1e} in p. Attributions computed from the file alone (path-dependent TreeSHAP, `nodes_hitrates` as weights) against the
booster's: at most {m['parity']['contribution_max_abs_diff']:.1e}. Attributions are in log-odds before calibration.

## Limits

* "Fails" is "needed a fix later", found by blame from fixing changes. It misses failures nobody filed or linked, and blames lines that only stood nearby.
  It is not an outage and not a failed rollout.
* Six large, long-lived open-source projects with code review (C++, Python, Java, Go), 2014 to 2018. Small, young or one-author repositories, generated code
  and configuration lie outside.
* Changes that only create files are not in the data, so new code is judged only by what it touches beside itself. Changes of 100 files or more, and merges,
  are not in the data either.
* `is_fix` rests on issue references, so its meaning follows the habits of the project.
* Author features describe familiarity with the code in front of them. They are no measure of a person and must not be used as one.
* Later rows have had less time to be found faulty; the failure rate falls over time in some projects for that reason too.

## Licence of the data

The data are not part of the product; the model is derived from them. Their licence is kept in `LICENSE-data` and repeated here.

```
{licence.strip()}
```
"""
