"""The trees and their calibration.

Three decisions matter, each weighed on the last fifth of train (`select`):
* Each project's own failure rate enters as an offset while the trees are learned and is not in the model. Otherwise the
  trees spend splits on telling the projects apart, which ranks worse within each and means nothing in a new repository.
* Older rows count less, and large projects do not drown small ones (weight by the square root of their size).
* Copies of the rows with groups of features blanked are learned too, so that a change of which little is known
  gets the probability that is right for what is known, instead of that of an arbitrary default branch.
"""

from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np

from . import contract, data, metrics

DAY = 86400.0


@dataclass(frozen=True)
class Settings:
    seed: int = 20
    threads: int = 2
    trees: int = 200
    leaves: int = 31
    rate: float = 0.05
    min_rows: int = 100
    half_life_days: float | None = 365.0
    project_power: float = 0.5
    offset: bool = True
    augment: bool = True
    monotone: bool = True  # more lines added never lowers the risk


COPIES = {"no_author": 0.25, "no_history": 0.2, "pull_request": 0.2, "paths": 0.25, "none": 0.1}
RANDOM_COPY = 0.15
RANDOM_GROUPS = [["subsystems", "directories"], ["files"], ["entropy"], ["lines_added", "lines_deleted"], ["lines_before"],
                 ["is_fix"], ["developers"], ["age_days"], ["unique_changes"],
                 ["author_experience", "author_recent_experience", "author_subsystem_experience"]]

CANDIDATES = {
    "plain pooled trees": dict(offset=False, half_life_days=None, project_power=0.0, monotone=False, augment=False),
    "+ blanked copies": dict(offset=False, half_life_days=None, project_power=0.0, monotone=False),
    "+ project offset": dict(half_life_days=None, project_power=0.0, monotone=False),
    "+ project weights": dict(half_life_days=None, monotone=False),
    "+ recency, half-life 365 d": dict(monotone=False),
    "+ monotone in lines_added": dict(),
    "half the leaves": dict(leaves=15),
}


def assemble(parts, s):
    """Stacks the projects, with weights, offsets and blanked copies."""
    xs, ys, ws, os = [], [], [], []
    for r in parts:
        w = np.full(len(r), float(len(r)) ** -s.project_power)
        if s.half_life_days:
            w *= 0.5 ** ((r.t.max() - r.t) / (DAY * s.half_life_days))
        rate = r.y.mean()
        xs.append(r.x), ys.append(r.y), ws.append(w)
        os.append(np.full(len(r), metrics.logit(rate) if s.offset else 0.0))
    x, y, w, o = np.vstack(xs), np.concatenate(ys), np.concatenate(ws), np.concatenate(os)
    w /= w.mean()
    if not s.augment:
        return x, y, w, o
    stack = [(x, 1.0)] + [(data.mask(x, p), share) for p, share in COPIES.items()]
    rng = np.random.default_rng(s.seed)
    z = x.copy()
    for group in RANDOM_GROUPS:
        gone = rng.random(len(z)) < 0.3
        z[np.ix_(gone, [contract.NAMES.index(n) for n in group])] = np.nan
    stack.append((z, RANDOM_COPY))
    n = len(stack)
    return np.vstack([a for a, _ in stack]), np.tile(y, n), np.concatenate([w * c for _, c in stack]), np.tile(o, n)


def train(parts, s):
    x, y, w, o = assemble(parts, s)
    params = dict(
        objective="binary", learning_rate=s.rate, num_leaves=s.leaves, min_data_in_leaf=s.min_rows, feature_fraction=0.7,
        bagging_fraction=0.8, bagging_freq=1, lambda_l2=5.0, seed=s.seed, deterministic=True, force_row_wise=True,
        num_threads=s.threads, verbose=-1)
    if s.monotone:
        params["monotone_constraints"] = [int(n == "lines_added") for n in contract.NAMES]
    set_ = lgb.Dataset(x, y, weight=w, init_score=o if s.offset else None, feature_name=list(contract.NAMES))
    return lgb.train(params, set_, s.trees)


def raw(booster, x):
    """Log-odds before calibration, in float64, on one thread: the order of summation is then fixed."""
    return booster.predict(x, raw_score=True, num_threads=1)


def platt(z, y, w):
    """Weighted maximum likelihood of sigmoid(a z + b), by Newton steps."""
    a, b = 1.0, 0.0
    design = np.column_stack([z, np.ones_like(z)])
    for _ in range(100):
        p = metrics.sigmoid(a * z + b)
        gradient = design.T @ (w * (p - y))
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        a, b = a - step[0], b - step[1]
        if np.abs(step).max() < 1e-12:
            break
    return float(np.float32(a)), float(np.float32(b))


def calibrate(booster, parts):
    """Fits Platt on rows the booster has not seen: as they are, and blanked, with the shares of training."""
    zs, ys, ws = [], [], []
    for r in parts:
        for pattern, share in {"full": 1.0, **COPIES}.items():
            zs.append(raw(booster, data.mask(r.x, pattern)))
            ys.append(r.y), ws.append(np.full(len(r), share))
    return platt(np.concatenate(zs), np.concatenate(ys), np.concatenate(ws))


def probability(booster, ab, x):
    return metrics.sigmoid(ab[0] * raw(booster, x) + ab[1])


def leave_one_out(projects, s):
    """For each project, a model and a calibration that never saw it: what a new repository meets."""
    out = {}
    for p in projects:
        others = [q for q in projects if q is not p]
        booster = train([q.fit for q in others], s)
        out[p.name] = (booster, calibrate(booster, [q.hold for q in others]))
    return out


def select(projects, base):
    """The candidates on the last fifth of train: ranking in known projects, in an unknown one, and with paths only."""
    table = []
    for name, change in CANDIDATES.items():
        s = replace(base, **change)
        known = train([p.fit for p in projects], s)
        unknown = {p.name: train([q.fit for q in projects if q is not p], s) for p in projects}
        auc = lambda pick, pattern: float(np.mean(
            [metrics.roc_auc(p.hold.y, raw(pick(p), data.mask(p.hold.x, pattern))) for p in projects]))
        table.append(dict(name=name, known=auc(lambda p: known, "full"), unknown=auc(lambda p: unknown[p.name], "full"),
                          paths=auc(lambda p: known, "paths")))
    return table
