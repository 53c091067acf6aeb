"""Figures of merit, each in a few lines of numpy so that the definition is visible."""

import numpy as np


def logit(p):
    return np.log(p) - np.log1p(-p)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def roc_auc(y, s):
    """Rank statistic, ties count half."""
    _, inverse, count = np.unique(s, return_inverse=True, return_counts=True)
    end = np.cumsum(count)
    rank = ((end - count + 1 + end) / 2.0)[inverse]
    pos = y.sum()
    return float((rank[y > 0].sum() - pos * (pos + 1) / 2) / (pos * (len(y) - pos)))


def pr_auc(y, s):
    """Average precision; tied scores are one step."""
    order = np.argsort(-s, kind="stable")
    s, y = s[order], y[order]
    last = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)
    hits = np.cumsum(y)[last]
    return float(np.sum(np.diff(np.append(0.0, hits)) * hits / (last + 1)) / y.sum())


def brier(y, p):
    return float(np.mean((p - y) ** 2))


def log_loss(y, p):
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


def ece(y, p, bins=10):
    """Expected calibration error over equal-width bins."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(y[which == b].sum() - p[which == b].sum()) for b in range(bins)) / len(y))


def recall_at_effort(y, p, lines, share=0.2):
    """Share of the failures found by reading `share` of all changed lines, in order of p per changed line."""
    order = np.argsort(-p / (lines + 1), kind="stable")
    spent = np.cumsum(lines[order])
    return float(y[order][spent <= share * spent[-1]].sum() / y.sum())


def bootstrap_auc(per_project, rounds, seed):
    """95 % intervals: rows resampled within each project. Returns one per project, and that of the mean."""
    rng = np.random.default_rng(seed)
    draws = np.empty((rounds, len(per_project)))
    for j, (y, p) in enumerate(per_project):
        for i in range(rounds):
            k = rng.integers(0, len(y), len(y))
            draws[i, j] = roc_auc(y[k], p[k])
    each = [tuple(np.quantile(draws[:, j], [0.025, 0.975])) for j in range(len(per_project))]
    return each, tuple(np.quantile(draws.mean(axis=1), [0.025, 0.975]))
