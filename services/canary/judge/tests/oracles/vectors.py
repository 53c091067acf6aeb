"""Vectors for the judge's oracle tests, computed with packages and methods that share no code with it.

    python3 -m venv oracles && . oracles/bin/activate
    pip install "numpy>=2" scipy matplotlib savvi==0.3.1 ville==0.1.0
    python vectors.py > vectors.json

    pip install "pybind11>=2.12" scikit-build "setuptools<80" wheel multiprocess      # and Boost's headers, cmake, ninja
    pip install --no-build-isolation --no-deps confseq==0.0.11

savvi and ville give the closed form for one split, confseq the radius around a distribution function at all times. The rest is done the long way round: the mixture over relative risks by
plain products, the level shift by dense covariance matrices and numerical integration over scale and shift, the slow
component by a dense covariance matrix instead of a filter, the distribution functions by scipy.
"""

import json

import numpy as np
from confseq.quantiles import empirical_process_lil_bound
from scipy import integrate, stats
from savvi.multinomial import Multinomial
from ville import BernoulliTest

rng = np.random.default_rng(20)


def split():
    rows = []
    for c, b, w, k in [(30, 400, 0.05, 100.0), (3, 90, 0.05, 20.0), (12, 12, 0.25, 100.0), (0, 7, 0.5, 4.0)]:
        test = Multinomial(0.05, np.array([w, 1 - w]), k)
        test.update(np.array([c, b]))
        again = BernoulliTest(w, prior=(k * w, k * (1 - w)))
        logs = again._process(np.r_[np.ones(c), np.zeros(b)])
        assert abs(np.log(test.odds) - logs[-1]) < 1e-8
        rows.append({"c": c, "b": b, "w": w, "k": k, "log": float(logs[-1])})
    return rows


HARM = [0.05, 0.09, 0.12, 0.12, 0.11, 0.09, 0.09, 0.09, 0.08, 0.07, 0.04, 0.03, 0.01, 0.01]


def ratio():
    rows = []
    for base, risk in [(0.01, 1.0), (0.01, 2.0), (0.002, 8.0)]:
        intervals = []
        for s in range(20):
            n, m = int(20 + 12 * s), int(1000 - 12 * s)
            intervals.append([int(rng.binomial(n, base * risk)), n, int(rng.binomial(m, base)), m])
        total = 0.0
        for j, weight in enumerate(HARM):
            r = np.exp(0.2 * (j + 1))
            product = 1.0
            for c, n, b, m in intervals:
                w = n / (n + m)
                theta = r * w / (1 - w + r * w)
                product *= (theta / w) ** c * ((1 - theta) / (1 - w)) ** b
            total += weight * product
        rows.append({"intervals": intervals, "log_worse": float(np.log(total))})
    return rows


def ar(n, f):
    """Covariance of a stationary AR(1) with innovations of variance 1."""
    k = np.arange(n)
    return f ** np.abs(k[:, None] - k[None, :]) / (1 - f * f)


def log_scale_free(y, mean_per_sigma, cov):
    """log of the integral of N(y; sigma * mean, sigma^2 cov) over d sigma / sigma, without its constant."""
    inv, (_, logdet) = np.linalg.inv(cov), np.linalg.slogdet(cov)
    n = len(y)
    top = np.log(np.sqrt(y @ inv @ y / n))

    def integrand(u):
        r = y * np.exp(-u) - mean_per_sigma
        return -n * u - 0.5 * r @ inv @ r

    peak = max(integrand(u) for u in np.linspace(top - 4, top + 4, 400))
    value, _ = integrate.quad(lambda u: np.exp(integrand(u) - peak), top - 8, top + 8, limit=400, epsabs=1e-13)
    return peak + np.log(value) - 0.5 * logdet


def shift():
    rows = []
    for n, f, by in [(9, 0.0, 1.4), (14, 0.5, 0.8), (12, 0.3, -1.0)]:
        e = rng.standard_normal(n)
        y = np.linalg.cholesky(ar(n, f)) @ e + by
        null = max(
            log_scale_free(y, np.zeros(n), ar(n, g))
            for g in [min(-0.3 + 0.025 * k, 0.98) for k in range(53)]
        )
        terms = []
        for g in [0.0, 0.3, 0.6, 0.85]:
            for c, weight in [(0.3, 0.3), (1.5, 0.3), (8.0, 0.3), (1000.0, 0.1)]:
                sd = np.sqrt(c / (1 - g * g))
                cov = ar(n, g)

                def at(d):
                    return log_scale_free(y, d * np.ones(n), cov) + stats.halfnorm.logpdf(d, scale=sd)

                grid = np.linspace(1e-6, min(6 * sd, 12.0), 240)
                logs = np.array([at(d) for d in grid])
                peak = logs.max()
                value = integrate.simpson(np.exp(logs - peak), x=grid)
                terms.append(np.log(0.25 * weight) + peak + np.log(value))
        top = max(terms)
        worse = top + np.log(sum(np.exp(t - top) for t in terms)) - null
        rows.append({"d": [float(x) for x in y], "log_up": float(worse)})
    return rows


def slow():
    rows = []
    for n in [6, 25]:
        y = rng.standard_normal(n) * 3
        best = -np.inf
        for f in [0.6, 0.75, 0.85, 0.9, 0.94, 0.97, 0.985]:
            for rho in [0.3, 0.7, 1.4, 3.0, 6.0, 12.0]:
                k = np.arange(n)
                cov = f ** np.abs(k[:, None] - k[None, :]) + rho * np.eye(n)
                _, logdet = np.linalg.slogdet(cov)
                best = max(best, -0.5 * logdet - 0.5 * n * np.log(y @ np.linalg.inv(cov) @ y))
        rows.append({"d": [float(x) for x in y], "log_null": float(best)})
    return rows


def cdf():
    student = [[t, n, float(stats.t.logcdf(t, n))] for t in [-6.0, -2.0, -0.3, 0.4, 1.9, 5.0] for n in [8, 30, 200]]
    normal = [[z, float(stats.norm.logcdf(z))] for z in [-30.0, -8.0, -2.5, -0.1, 0.7, 3.0]]
    return {"student": student, "normal": normal}


def radius():
    at = [(1_000, 1), (1_000, 100), (50, 1), (10_000, 10), (1_000_000, 1)]
    return [[t, alpha, m, float(empirical_process_lil_bound(t, alpha, m))] for t, m in at for alpha in [0.05, 0.01, 0.001]]


if __name__ == "__main__":
    out = {"split": split(), "ratio": ratio(), "shift": shift(), "slow": slow(), "cdf": cdf(), "radius": radius()}
    print(json.dumps(out, indent=1))
