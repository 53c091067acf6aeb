"""Vectors for the oracle tests of one series and of the peer that the bench shows beside the judge.

    python3 -m venv series && . series/bin/activate
    pip install gbstats==0.8.0 scipy
    python series.py > series.json

An environment of their own, since gbstats wants an older numpy than savvi. gbstats (GrowthBook) gives the p-value of its sequential
test. One series is done the long way round: dense covariance matrices instead of running sums and of filters, the mean projected
out by them, Student's distribution by scipy.
"""

import json

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import SampleMeanStatistic
from scipy import stats

rng = np.random.default_rng(21)


def ar(n, f):
    """Covariance of a stationary AR(1) with innovations of variance 1."""
    k = np.arange(n)
    return f ** np.abs(k[:, None] - k[None, :]) / (1 - f * f)


QUICK = [((0.0,), (0.8, 0.9, 0.96, 0.985, 0.996), (0.5, 2.0, 8.0)),
         ((0.0, 0.3, 0.5, 0.7, 0.9), (0.985, 0.996), (10.0, 40.0))]


def left_out(n, q):
    """What is left of each point after `q` times its predecessor, as a matrix."""
    rows = np.eye(n) - q * np.eye(n, k=-1)
    rows[0, 0] = np.sqrt(1 - q * q)
    return rows


def without_mean(y, z, cov):
    """log |cov|, z'Pz, and the inner product in which the constant z is projected out."""
    inv, (_, logdet) = np.linalg.inv(cov), np.linalg.slogdet(cov)
    zz = z @ inv @ z

    def product(a, b):
        return a @ inv @ b - (a @ inv @ z) * (z @ inv @ b) / zz

    return logdet, zz, product


def begun(n, at, f, jump):
    """A shift of 1 that begins at a point: at once, or as an autoregression whose mean moves."""
    k = np.arange(n - at)
    return np.r_[np.zeros(at), np.ones(n - at) if jump else 1 - f ** (k + 1.0)]


def past():
    rows = []
    for before, after, f, by, level in [(40, 14, 0.0, 1.5, 3.0), (50, 23, 0.6, 2.0, -1.0), (60, 30, 0.8, 0.0, 0.0)]:
        n = before + after
        y = np.linalg.cholesky(ar(n, f)) @ rng.standard_normal(n) + level
        y[before + 4:] += by
        one = np.ones(n)
        nulls, terms = [], []

        def ratio(yy, xx, xy, weight, variance):
            for c, share in [(0.3, 0.3), (1.5, 0.35), (8.0, 0.35)]:
                g = c * variance
                q = 1 + g * xx
                rest = yy - g * xy * xy / q
                t = (g * xy / q) / np.sqrt(rest * g / ((n - 1) * q))
                log = weight + np.log(share) + np.log(2) - 0.5 * np.log(q) - 0.5 * (n - 1) * np.log(rest)
                terms.append((log + stats.t.logcdf(t, n - 1), log + stats.t.logcdf(-t, n - 1)))

        starts = [(0, 0.6)] + [(8 * j, 0.4 * 16 / ((j + 15) * (j + 16))) for j in range(1, 9) if after - 8 * j >= 8]
        for g in [min(-0.3 + 0.025 * k, 0.98) for k in range(53)]:
            logdet, zz, product = without_mean(y, one, ar(n, g))
            nulls.append(-0.5 * logdet - 0.5 * np.log(zz) - 0.5 * (n - 1) * np.log(product(y, y)))
        for g in [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94]:
            logdet, zz, product = without_mean(y, one, ar(n, g))
            for at, share in starts:
                x = begun(n, before + at, g, at == 0)
                weight = np.log(0.5 * share / 12) - 0.5 * logdet - 0.5 * np.log(zz)
                ratio(product(y, y), product(x, x), product(x, y), weight, 1 / (1 - g * g))

        def slow(size):
            out = []
            for q, s, w in [(q, s, w) for qs, ss, ws in QUICK for q in qs for s in ss for w in ws]:
                k, rows = np.arange(size), left_out(size, q)
                cov = s ** np.abs(k[:, None] - k[None, :]) + w * np.eye(size)
                logdet, zz, product = without_mean(rows @ y[:size], rows @ np.ones(size), cov)
                norm = 0.5 * np.log(1 - q * q) - 0.5 * logdet - 0.5 * np.log(zz)
                r = rows @ y[:size]
                out.append((norm - 0.5 * (size - 1) * np.log(product(r, r)), q, w, rows, product, norm))
            return out

        told = np.array([each[0] for each in slow(before)])
        price = told.max() + np.log(np.mean(np.exp(told - told.max()))) - told.max()
        all_of = slow(n)
        _, q, w, rows_of, product, norm = all_of[int(np.argmax(told))]
        for at, share in starts:
            x = begun(n, before + at, 0, True)
            r = rows_of @ x
            if at > 0:
                r[before + at] = 1 - q
            weight = np.log(0.5 * share) + price + norm
            ratio(product(rows_of @ y, rows_of @ y), product(r, r), product(r, rows_of @ y), weight, w / (1 - q * q))
        up, down = [np.logaddexp.reduce([term[side] for term in terms]) for side in (0, 1)]
        rows.append({"d": [float(v) for v in y], "before": before, "log_null": float(max(nulls)),
                     "log_slow": float(max(each[0] for each in all_of)), "log_up": float(up), "log_down": float(down)})
    return rows


def peer():
    rows = []
    for n, m, by, alpha in [(12, 15, 0.5, 0.05), (60, 60, 2.4, 0.01), (240, 240, 1.3, 0.01)]:
        a, b = rng.standard_normal(m) * 3 + 100, rng.standard_normal(n) * 3 + 100 + by
        track = [SampleMeanStatistic(n=len(x), sum=float(x.sum()), sum_squares=float((x * x).sum())) for x in (a, b)]
        config = SequentialConfig(alpha=alpha, difference_type="absolute", sequential_tuning_parameter=5000)
        result = SequentialTwoSidedTTest(*track, config).compute_result()
        rows.append({"candidate": b.tolist(), "baseline": a.tolist(), "alpha": alpha, "p": float(result.p_value)})
    return rows


if __name__ == "__main__":
    print(json.dumps({"past": past(), "peer": peer()}, indent=1))
