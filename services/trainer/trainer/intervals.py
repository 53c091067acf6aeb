"""How far the failure rate of comparable changes may lie from the predicted one, as an 80 % range.

Two things are not known about a change. First, the repository: at the same score one project fails more often than another.
That spread is measured on projects the model never saw (leave one out), as the standard deviation tau, in log-odds, of
observed against predicted rate per project and bin, with the noise of counting taken out; the range is the prediction
interval for one more project. Second, the features that are missing: among the changes that look alike without them, the
score with everything known varies, and its 10 % and 90 % quantiles bound it. The two are independent and add in quadrature,
in log-odds.

tau of a pattern is never taken smaller than that of a pattern which knows more: a luckier spread among six projects is no
reason to be surer. For the same reason both ends of the range never fall as p rises.
"""

import numpy as np

from . import contract, data, metrics

LEVEL = 0.8
T_QUANTILE = 1.4759  # Student t, 5 degrees of freedom (six projects), 0.9
BINS = 10
MIN_BIN = 400
MIN_CELL = 30


def tau(cells):
    """Spread between projects: mean squared deviation less the variance of counting."""
    d = np.array([c["deviation"] for c in cells])
    return float(np.sqrt(max(np.mean(d ** 2 - np.array([c["noise"] for c in cells])), 0.0)))


def cells_of(hold, edges):
    """Observed against predicted, per project and bin, in log-odds."""
    out = []
    for name, (y, p) in hold.items():
        which = np.searchsorted(edges, p, side="left")
        for b in range(len(edges)):
            k = which == b
            n, fails = int(k.sum()), float(y[k].sum())
            if n < MIN_CELL:
                continue
            rate = (fails + 0.5) / (n + 1.0)
            out.append(dict(project=name, bin=b, rate=rate, n=n, deviation=metrics.logit(rate) - metrics.logit(p[k].mean()),
                            noise=1.0 / (fails + 0.5) + 1.0 / (n - fails + 0.5)))
    return out


def edges_of(p):
    """Upper bin edges at the deciles of p; a bin is (previous edge, edge] and never close to empty. The last edge is 1."""
    edges = np.append(np.unique(np.round(np.quantile(p, np.arange(1, BINS) / BINS), 4)), 1.0)
    kept, below = [], 0
    for e in edges[:-1]:
        upto = int((p <= e).sum())
        if upto - below >= MIN_BIN and len(p) - upto >= MIN_BIN:
            kept.append(e)
            below = upto
    return np.array(kept + [1.0])


def build(projects, models, predict):
    """Table per pattern. `models` maps a project to the model that never saw it; `predict(model, x)` gives p."""
    full = {p.name: predict(models[p.name], p.hold.x) for p in projects}
    all_full = np.concatenate([full[p.name] for p in projects])
    spreads, table = {}, {}
    for pattern in contract.PATTERNS:
        per = {p.name: (p.hold.y, predict(models[p.name], data.mask(p.hold.x, pattern))) for p in projects}
        p_all = np.concatenate([v[1] for v in per.values()])
        constant = all(np.ptp(p) == 0.0 for _, p in per.values())
        edges = np.array([1.0]) if constant else edges_of(p_all)
        spread = tau(cells_of(per, edges))
        spread = max([spread] + [v for q, v in spreads.items() if set(contract.PATTERNS[q]) >= set(contract.PATTERNS[pattern])])
        spreads[pattern] = spread
        half = T_QUANTILE * spread * np.sqrt(1.0 + 1.0 / len(projects))
        which = np.searchsorted(edges, p_all, side="left")
        bins = []
        for b, upto in enumerate(edges):
            k = which == b
            mine, known = p_all[k], metrics.logit(all_full[k])
            centre = metrics.logit(mine.mean())
            down, up = (0.0, 0.0) if pattern == "full" else (
                max(centre - np.quantile(known, 0.1), 0.0), max(np.quantile(known, 0.9) - centre, 0.0))
            low, high = metrics.sigmoid(centre - np.hypot(half, down)), metrics.sigmoid(centre + np.hypot(half, up))
            bins.append(dict(upto=round(float(upto), 4), low=round(float(min(low, mine.min())), 4),
                             high=round(float(max(high, mine.max())), 4), rows=int(k.sum())))
        for b in range(1, len(bins)):
            bins[b]["high"] = max(bins[b]["high"], bins[b - 1]["high"])
        for b in range(len(bins) - 1, 0, -1):
            bins[b - 1]["low"] = min(bins[b - 1]["low"], bins[b]["low"])
        table[pattern] = dict(order=len(table), present=contract.present(pattern), tau=round(spread, 4), bins=bins)
    return table


def look_up(entry, p):
    upto = np.array([b["upto"] for b in entry["bins"]])
    k = np.searchsorted(upto, p, side="left")
    low, high = np.array([b["low"] for b in entry["bins"]])[k], np.array([b["high"] for b in entry["bins"]])[k]
    return np.minimum(low, p), np.maximum(high, p)


def mean_width(entry, p):
    low, high = look_up(entry, p)
    return float(np.mean(high - low))


def coverage(entry, per):
    """Share of the (project, bin) cells whose observed rate lies in the range of its bin."""
    edges = np.array([b["upto"] for b in entry["bins"]])
    cells = cells_of(per, edges)
    inside = [entry["bins"][c["bin"]]["low"] <= c["rate"] <= entry["bins"][c["bin"]]["high"] for c in cells]
    return float(np.mean(inside)), len(cells)
