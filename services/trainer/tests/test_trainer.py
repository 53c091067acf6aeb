"""Fast checks of the parts whose mistakes would not show in the figures.

    cd services/trainer && python3 -m unittest
"""

import itertools
import math
import unittest

import numpy as np

from trainer import contract, data, graph, intervals, metrics, model, treeshap



def ensemble(nodes):
    """One tree from (feature, value, missing_true, yes, no, cover) or (leaf, cover)."""
    keys = ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values", "nodes_truenodeids",
            "nodes_falsenodeids", "nodes_missing_value_tracks_true", "nodes_hitrates", "target_treeids", "target_nodeids", "target_weights")
    a = {k: [] for k in keys}
    for i, n in enumerate(nodes):
        split = len(n) == 6
        f, v, m, yes, no, cover = n if split else (0, 0.0, 0, 0, 0, n[1])
        for k, x in zip(keys[:9], (0, i, f, "BRANCH_LEQ" if split else "LEAF", v, yes, no, m, cover)):
            a[k].append(x)
        if not split:
            for k, x in zip(keys[9:], (0, i, n[0])):
                a[k].append(x)
    return treeshap.Ensemble(a)


def expectation(e, x, known, n=0):
    """The tree's mean with only `known` features fixed, over the covers."""
    if (0, n) in e.leaf:
        return e.leaf[0, n]
    i = e.index[0, n]
    yes, no = e._children(0, n)
    if e.a["nodes_featureids"][i] in known:
        return expectation(e, x, known, yes if e._goes_true(i, x) else no)
    return sum(expectation(e, x, known, c) * e._cover(0, c) for c in (yes, no)) / e._cover(0, n)


class TreeShap(unittest.TestCase):
    def test_equals_the_definition(self):
        e = ensemble([(0, 0.5, 1, 1, 4, 100), (1, 2.0, 0, 2, 3, 60), (1.0, 45), (-2.0, 15),
                      (2, 1.0, 1, 5, 8, 40), (0, 3.0, 0, 6, 7, 30), (0.5, 10), (4.0, 20), (-1.0, 10)])
        for x in itertools.product([0.0, 0.5, 1.0, 5.0, math.nan], repeat=3):
            x, n = np.array(x, np.float32), 3
            phi = e.contributions(x)
            for j in range(n):
                rest = [f for f in range(n) if f != j]
                value = 0.0
                for size in range(n):
                    for s in itertools.combinations(rest, size):
                        weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
                        value += weight * (expectation(e, x, {*s, j}) - expectation(e, x, set(s)))
                self.assertAlmostEqual(phi[j], value, places=12)
            self.assertAlmostEqual(phi.sum(), e.raw(x), places=12)


class Thresholds(unittest.TestCase):
    def test_rounding_down_never_moves_a_float32(self):
        rng = np.random.default_rng(1)
        for v in np.concatenate([rng.normal(0, 1e3, 500), np.float32(rng.normal(0, 1, 200)).astype(float), [0.0, 1e-35, -1e-35, 1e300]]):
            t = graph.floor32(float(v))
            self.assertEqual(t, float(np.float32(t)))
            near = np.float32(v) if abs(v) < 1e38 else np.finfo(np.float32).max
            with np.errstate(over="ignore"):
                around = np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))
            for x in around:
                if np.isfinite(x):
                    self.assertEqual(float(x) <= v, float(x) <= t, (x, v, t))


class Figures(unittest.TestCase):
    def test_roc_auc_is_the_share_of_ordered_pairs(self):
        rng = np.random.default_rng(2)
        y, s = (rng.random(80) < 0.3).astype(float), np.round(rng.random(80), 1)
        pairs = [(a > b) + 0.5 * (a == b) for a in s[y > 0] for b in s[y == 0]]
        self.assertAlmostEqual(metrics.roc_auc(y, s), np.mean(pairs), places=12)

    def test_pr_auc(self):
        self.assertAlmostEqual(metrics.pr_auc(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])), (1 + 2 / 3) / 2)
        self.assertAlmostEqual(metrics.pr_auc(np.array([1.0, 0, 1, 0]), np.zeros(4)), 0.5)

    def test_ece(self):
        self.assertAlmostEqual(metrics.ece(np.array([1.0, 0, 0, 0]), np.full(4, 0.25)), 0.0)
        self.assertAlmostEqual(metrics.ece(np.array([1.0, 1, 0, 0]), np.array([0.95, 0.95, 0.15, 0.15])), 0.1)

    def test_recall_at_effort_reads_cheap_risk_first(self):
        y, p, lines = np.array([1.0, 1, 0]), np.array([0.5, 0.6, 0.5]), np.array([10.0, 80, 10])
        self.assertAlmostEqual(metrics.recall_at_effort(y, p, lines), 0.5)

    def test_platt_finds_the_curve(self):
        z = np.random.default_rng(3).normal(size=200_000)
        p = metrics.sigmoid(0.7 * z - 1.1)
        a, b = model.platt(z, p, np.ones_like(z))  # soft labels: no noise
        self.assertAlmostEqual(a, 0.7, places=5)
        self.assertAlmostEqual(b, -1.1, places=5)


class Contract(unittest.TestCase):
    def test_the_schema_hash_is_pinned(self):
        self.assertEqual(contract.schema_sha256(), "c018d992d785c03ed11dba19ec298a9dccfd0135f656bc9fc757ae1720ac5e02")

    def test_masks(self):
        x = np.ones((2, len(contract.NAMES)), np.float32)
        for pattern in contract.PATTERNS:
            seen = {n for n, v in zip(contract.NAMES, data.mask(x, pattern)[0]) if not np.isnan(v)}
            self.assertEqual(seen, set(contract.PATTERNS[pattern]))

    def test_ranges_hold_their_p(self):
        entry = dict(bins=[dict(upto=0.2, low=0.05, high=0.3), dict(upto=1.0, low=0.1, high=0.6)])
        low, high = intervals.look_up(entry, np.array([0.01, 0.2, 0.21, 0.9]))
        self.assertTrue(np.allclose(low, [0.01, 0.05, 0.1, 0.1]) and np.allclose(high, [0.3, 0.3, 0.6, 0.9]))


if __name__ == "__main__":
    unittest.main()
