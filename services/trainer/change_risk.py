#!/usr/bin/env python3
"""Trains the `change-risk` model that ships with the product, and writes everything that goes with it.

    python3 services/trainer/change_risk.py --data DIR --out models/change-risk

DIR holds the six tables of the public data set and its licence. The same inputs give the same bytes.
Every gate below stops the run rather than write a model that is not what it says.
"""

import argparse
import json
import platform
import shutil
import time
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxruntime

from trainer import card, contract, data, golden, graph, intervals, metrics, model, treeshap

TOLERANCE = 1e-6
SIZE_LIMIT = 700_000


def gate(ok, what):
    if not ok:
        raise SystemExit(f"gate failed: {what}")


def day(t):
    return time.strftime("%Y-%m-%d", time.gmtime(t))


def evaluate(projects, predict, rounds, seed):
    """Metrics on the test rows, per missingness pattern and per project."""
    out = {}
    for pattern in contract.PATTERNS:
        per, pairs = {}, []
        for p in projects:
            q = predict(p, data.mask(p.test.x, pattern))
            pairs.append((p.test.y, q))
            lines = p.test.x[:, contract.NAMES.index("lines_added")] + p.test.x[:, contract.NAMES.index("lines_deleted")]
            own = p.hold.y.mean()
            shifted = metrics.sigmoid(metrics.logit(q) + metrics.logit(own) - metrics.logit(predict(p, data.mask(p.hold.x, pattern)).mean()))
            per[p.name] = dict(
                rows=len(p.test), rate=p.test.y.mean(), mean_p=q.mean(), roc_auc=metrics.roc_auc(p.test.y, q),
                pr_auc=metrics.pr_auc(p.test.y, q), brier=metrics.brier(p.test.y, q),
                brier_rate=p.test.y.mean() * (1 - p.test.y.mean()), ece=metrics.ece(p.test.y, q),
                ece_shifted=metrics.ece(p.test.y, shifted), brier_shifted=metrics.brier(p.test.y, shifted),
                recall20=metrics.recall_at_effort(p.test.y, q, lines))
        each, mean = metrics.bootstrap_auc(pairs, rounds, seed)
        for p, ci in zip(projects, each):
            per[p.name]["roc_auc_ci"] = ci
        y, q = np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
        pooled = dict(rows=len(y), rate=y.mean(), mean_p=q.mean(), roc_auc=metrics.roc_auc(y, q), pr_auc=metrics.pr_auc(y, q),
                      brier=metrics.brier(y, q), brier_rate=y.mean() * (1 - y.mean()), ece=metrics.ece(y, q),
                      log_loss=metrics.log_loss(y, q))
        keys = ("roc_auc", "pr_auc", "brier", "brier_rate", "ece", "ece_shifted", "brier_shifted", "recall20", "rate", "mean_p")
        cut = np.digitize(q, contract.BANDS)
        bands = [dict(share=float((cut == b).mean()), rate=float(y[cut == b].mean()) if (cut == b).any() else None) for b in range(3)]
        out[pattern] = dict(bands=bands, projects=per, pooled=pooled, mean={k: float(np.mean([v[k] for v in per.values()])) for k in keys},
                            mean_roc_auc_ci=mean)
    return out


def check_graph(path, booster, ab, attrs, projects, gold):
    """The file against the booster: on real rows, on blanked rows, on golden rows; and its attributions."""
    s = graph.session(path)
    worst = 0.0
    blocks = [r for _, r in gold]
    sets = [np.vstack(blocks)] + [data.mask(p.test.x, q) for p in projects for q in contract.PATTERNS]
    for x in sets:
        got = s.run(["p_fail"], {"features": x})[0]
        gate(got.shape == (len(x), 1) and got.dtype == np.float32, f"output is {got.dtype} {got.shape}")
        worst = max(worst, float(np.abs(got[:, 0] - model.probability(booster, ab, x)).max()))
    gate(worst <= TOLERANCE, f"the graph differs from the booster by {worst:.2e}")
    single = max(abs(float(s.run(None, {"features": r[None]})[0][0, 0]) - float(model.probability(booster, ab, r[None])[0])) for r in blocks)
    gate(single <= TOLERANCE, f"single rows differ by {single:.2e}")
    ensemble = treeshap.Ensemble(attrs)
    exact = max(abs(ensemble.raw(r) - float(model.raw(booster, r[None])[0])) for r in blocks)
    gate(exact <= 1e-12, f"the attributes do not add up to the booster: {exact:.2e}")
    return ensemble, dict(rows=sum(len(x) for x in sets), p_max_abs_diff=worst, single_max_abs_diff=single)


def write_golden(path, booster, ab, gold, ensemble):
    x = np.vstack([r for _, r in gold])
    raw, p = model.raw(booster, x), model.probability(booster, ab, x)
    contrib = booster.predict(x[:16], pred_contrib=True, num_threads=1)
    own = np.array([ensemble.contributions(r) for r in x[:16]])
    difference = float(np.abs(own - contrib).max())
    gate(difference <= TOLERANCE, f"attributions from the file differ from the booster's by {difference:.2e}")
    gate(np.abs(contrib.sum(axis=1) - raw[:16]).max() <= TOLERANCE, "attributions do not add up")
    out = []
    for i, (kind, r) in enumerate(gold):
        row = dict(kind=kind, features=[None if np.isnan(v) else float(v) for v in r], raw=float(raw[i]), p_fail=float(p[i]))
        if i < 16:
            row["contributions"] = [float(v) for v in contrib[i, :-1]]
            row["contribution_base"] = float(contrib[i, -1])
        out.append(row)
    head = dict(model=contract.NAME, model_version=contract.VERSION, feature_service=contract.FEATURE_SERVICE,
                features=contract.NAMES, tolerance=TOLERANCE,
                note="null is missing (NaN). raw and contributions are log-odds before calibration; contributions plus "
                     "contribution_base add up to raw.")
    body = ",\n".join("    " + json.dumps(r) for r in out)
    path.write_text(json.dumps(head, indent=2)[:-2] + ',\n  "rows": [\n' + body + "\n  ]\n}\n")
    return difference


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", required=True, type=Path, help="folder with the six tables")
    a.add_argument("--out", required=True, type=Path, help="folder to write")
    a.add_argument("--bootstrap", type=int, default=400)
    args = a.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    s = model.Settings()
    projects = data.load(args.data)
    table = model.select(projects, s)

    # Calibration and intervals come from rows no tree has seen; then the trees learn all of train with the same settings.
    early = model.train([p.fit for p in projects], s)
    ab = model.calibrate(early, [p.hold for p in projects])
    unseen = model.leave_one_out(projects, s)
    ranges = intervals.build(projects, unseen, lambda m, x: model.probability(*m, x))
    booster = model.train([p.train for p in projects], s)
    graph.snap_leaves(booster)
    attrs = graph.attributes(booster)

    path = args.out / "model.onnx"
    path.write_bytes(graph.build(attrs, ab).SerializeToString(deterministic=True))
    gate(path.stat().st_size <= SIZE_LIMIT, f"the model is {path.stat().st_size} bytes")
    gold = golden.rows(attrs, s.seed)
    ensemble, parity = check_graph(path, booster, ab, attrs, projects, gold)
    parity["contribution_max_abs_diff"] = write_golden(args.out / "golden.json", booster, ab, gold, ensemble)

    scorer = graph.session(path)
    served = lambda _, x: scorer.run(None, {"features": x})[0][:, 0].astype(np.float64)
    test = evaluate(projects, served, args.bootstrap, s.seed)
    test_unseen = evaluate(projects, lambda p, x: model.probability(*unseen[p.name], x), args.bootstrap, s.seed)
    gate(test["full"]["mean"]["roc_auc"] > card.PUBLISHED["LApredict"], "does not beat LApredict")

    hold = np.vstack([p.hold.x for p in projects])
    width = {q: intervals.mean_width(ranges[q], served(None, data.mask(hold, q))) for q in ranges}
    for q in ranges:
        for r in ranges:
            if set(contract.PATTERNS[q]) < set(contract.PATTERNS[r]):
                gate(width[q] > width[r], f"the range of `{q}` is not wider than that of `{r}`, which knows more")
    cover = {q: intervals.coverage(ranges[q], {p.name: (p.test.y, model.probability(*unseen[p.name], data.mask(p.test.x, q)))
                                               for p in projects}) for q in ranges}

    count = lambda pick: int(sum(len(pick(p)) for p in projects))
    rate = float(sum(p.train.y.sum() for p in projects) / count(lambda p: p.train))
    reference = float(np.mean(model.probability(early, ab, hold)))
    manifest = {
        "name": contract.NAME,
        "version": contract.VERSION,
        "summary": "Probability that a change fails, from the shape of the change and the history of its files and author.",
        "feature_service": contract.FEATURE_SERVICE,
        "feature_schema_sha256": contract.schema_sha256(),
        "features": [dict(name=f.name, dtype="float32", unit=f.unit, definition=f.definition, source=f.source, public_column=f.column)
                     for f in contract.FEATURES],
        "feature_notes": contract.NOTES,
        "input": {"name": "features", "dtype": "float32", "shape": [None, len(contract.NAMES)]},
        "output": {"name": "p_fail", "dtype": "float32", "shape": [None, 1], "meaning": "calibrated probability of failure; 1 is bad"},
        "artifact": {"file": path.name, "sha256": graph.sha256(path), "size": path.stat().st_size, "format": "onnx",
                     "opset": graph.OPSET, "opset_ml": graph.ML_OPSET, "ir_version": graph.IR},
        "golden": {"file": "golden.json", "sha256": graph.sha256(args.out / "golden.json"), "rows": len(gold), "tolerance": TOLERANCE},
        "trees": {"node": "trees", "op": "TreeEnsembleRegressor", "trees": len(ensemble.trees), "nodes": len(attrs["nodes_values"]),
                  "aggregate": "SUM", "mode": "BRANCH_LEQ", "base": 0.0, "expected_value": ensemble.base,
                  "covers": "nodes_hitrates: training rows per node, leaves included; the weights of path-dependent TreeSHAP"},
        "calibration": {"method": "platt", "a": ab[0], "b": ab[1], "formula": "p_fail = 1 / (1 + exp(-(a * raw + b)))",
                        "fitted_on": "last fifth of train, rows as they are and with groups blanked; trees of the first four fifths"},
        "base_rate": round(rate, 6),
        "base_rates": {p.name: round(float(p.train.y.mean()), 6) for p in projects},
        "prior_shift": {"reference_rate": round(reference, 6),
                        "formula": "logit(p') = logit(p_fail) + logit(own failure rate) - logit(own mean p_fail)",
                        "use": "for a repository with a known failure rate; its own mean p_fail is over the same changes, "
                               "and reference_rate stands in for it while too few were scored"},
        "bands": contract.BANDS,
        "interval": {"level": intervals.LEVEL,
                     "meaning": "range in which the failure rate of comparable changes lies, in a repository not trained on",
                     "use": "the entry whose `present` is the set of known features; else the one with the most features contained in "
                            "that set, of equals the lowest `order`; then the first bin with p <= upto; low = min(low, p), high = max(high, p)",
                     "patterns": ranges},
        "reference": {"note": "deciles of the training rows of the last fifth, the baseline for drift",
                      "features": {n: deciles(hold[:, i]) for i, n in enumerate(contract.NAMES)},
                      "p_fail": deciles(served(None, hold))},
        "label": "1 if a later change that fixes a tracked issue removes or alters lines this change wrote, and the issue was filed after "
                 "it (SZZ, without blank lines and comments); changes blamed by unusually many issues are left out",
        "training": {
            "data": "ZZR0/ISSTA21-JIT-DP at 5fbf45bb, MIT",
            "split": "per project in time order: first 80 % train, last 20 % test; of train the last fifth for choices and calibration",
            "rows": {"train": count(lambda p: p.train), "fit": count(lambda p: p.fit), "hold_out": count(lambda p: p.hold),
                     "test": count(lambda p: p.test)},
            "projects": {p.name: {"train_rows": len(p.train), "train_from": day(p.train.t[0]), "train_to": day(p.train.t[-1]),
                                  "test_rows": len(p.test), "test_from": day(p.test.t[0]), "test_to": day(p.test.t[-1])} for p in projects},
            "settings": {k: getattr(s, k) for k in s.__dataclass_fields__},
            "copies": {**model.COPIES, "random": model.RANDOM_COPY},
            "selection": table,
        },
        "seed": s.seed,
        "libraries": {"python": platform.python_version(), "lightgbm": lightgbm.__version__, "numpy": np.__version__,
                      "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        "parity": parity,
        "metrics": {"test": brief(test), "test_unseen_project": brief(test_unseen)},
        "license": "Apache-2.0", "data_license": "LICENSE-data",
    }
    (args.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.copyfile(args.data / "LICENSE", args.out / "LICENSE-data")
    (args.out / "LICENSE-data").chmod(0o644)
    (args.out / "CARD.md").write_text(card.render(manifest, test, test_unseen, width, cover, (args.data / "LICENSE").read_text()))
    full = test["full"]
    print(f"test: mean ROC-AUC {full['mean']['roc_auc']:.4f}, pooled ECE {full['pooled']['ece']:.4f}, a {ab[0]:.4f}, b {ab[1]:.4f}, "
          f"{path.stat().st_size} bytes, parity {parity['p_max_abs_diff']:.1e}, attributions {parity['contribution_max_abs_diff']:.1e}")


def deciles(v):
    return [round(float(q), 6) for q in np.quantile(v, np.arange(11) / 10)]


def brief(test):
    return {q: {"mean_roc_auc": round(m["mean"]["roc_auc"], 4), "mean_roc_auc_ci95": [round(v, 4) for v in m["mean_roc_auc_ci"]],
                "mean_pr_auc": round(m["mean"]["pr_auc"], 4), "brier": round(m["pooled"]["brier"], 4),
                "brier_of_base_rate": round(m["pooled"]["brier_rate"], 4), "ece": round(m["pooled"]["ece"], 4),
                "mean_project_ece": round(m["mean"]["ece"], 4)} for q, m in test.items()}


if __name__ == "__main__":
    main()
