"""Path-dependent TreeSHAP from the attributes in the ONNX file: proves that the file alone is enough to explain a score.

Written for clarity, not speed; the scorer has its own. Lundberg et al., 2018, algorithm 2.
"""

import numpy as np


class Ensemble:
    def __init__(self, attrs):
        self.a = attrs
        self.index = {(t, n): i for i, (t, n) in enumerate(zip(attrs["nodes_treeids"], attrs["nodes_nodeids"]))}
        self.leaf = {(t, n): w for t, n, w in zip(attrs["target_treeids"], attrs["target_nodeids"], attrs["target_weights"])}
        self.trees = sorted(set(attrs["nodes_treeids"]))
        self.base = sum(self._mean(t, 0) for t in self.trees)

    def _children(self, t, n):
        i = self.index[t, n]
        return self.a["nodes_truenodeids"][i], self.a["nodes_falsenodeids"][i]

    def _cover(self, t, n):
        return self.a["nodes_hitrates"][self.index[t, n]]

    def _mean(self, t, n):
        if (t, n) in self.leaf:
            return self.leaf[t, n]
        return sum(self._mean(t, c) * self._cover(t, c) for c in self._children(t, n)) / self._cover(t, n)

    def _goes_true(self, i, x):
        v = x[self.a["nodes_featureids"][i]]
        return bool(self.a["nodes_missing_value_tracks_true"][i]) if np.isnan(v) else bool(v <= np.float32(self.a["nodes_values"][i]))

    def raw(self, x):
        total = 0.0
        for t in self.trees:
            n = 0
            while (t, n) not in self.leaf:
                n = self._children(t, n)[0 if self._goes_true(self.index[t, n], x) else 1]
            total += self.leaf[t, n]
        return total

    def contributions(self, x):
        """One value per feature, then the base: their sum is the raw log-odds."""
        phi = np.zeros(len(x) + 1)
        for t in self.trees:
            self._recurse(t, 0, x, phi, [], 1.0, 1.0, -1)
        phi[-1] = self.base
        return phi

    def _recurse(self, t, n, x, phi, path, zero, one, feature):
        path = extend(path, zero, one, feature)
        if (t, n) in self.leaf:
            for i in range(1, len(path)):
                phi[path[i][0]] += unwound_sum(path, i) * (path[i][2] - path[i][1]) * self.leaf[t, n]
            return
        i = self.index[t, n]
        yes, no = self._children(t, n)
        hot, cold = (yes, no) if self._goes_true(i, x) else (no, yes)
        f, in_zero, in_one = self.a["nodes_featureids"][i], 1.0, 1.0
        k = next((k for k in range(1, len(path)) if path[k][0] == f), None)
        if k is not None:
            in_zero, in_one = path[k][1], path[k][2]
            path = unwind(path, k)
        cover = self._cover(t, n)
        self._recurse(t, hot, x, phi, path, in_zero * self._cover(t, hot) / cover, in_one, f)
        self._recurse(t, cold, x, phi, path, in_zero * self._cover(t, cold) / cover, 0.0, f)


def extend(path, zero, one, feature):
    d = len(path)
    path = [list(e) for e in path] + [[feature, zero, one, 1.0 if d == 0 else 0.0]]
    for i in range(d - 1, -1, -1):
        path[i + 1][3] += one * path[i][3] * (i + 1) / (d + 1)
        path[i][3] = zero * path[i][3] * (d - i) / (d + 1)
    return path


def unwind(path, k):
    d = len(path) - 1
    _, zero, one, _ = path[k]
    out = [list(e) for e in path]
    nxt = out[d][3]
    for i in range(d - 1, -1, -1):
        if one != 0:
            held = out[i][3]
            out[i][3] = nxt * (d + 1) / ((i + 1) * one)
            nxt = held - out[i][3] * zero * (d - i) / (d + 1)
        else:
            out[i][3] = out[i][3] * (d + 1) / (zero * (d - i))
    for i in range(k, d):
        out[i][:3] = out[i + 1][:3]
    return out[:d]


def unwound_sum(path, k):
    d = len(path) - 1
    _, zero, one, _ = path[k]
    nxt, total = path[d][3], 0.0
    for i in range(d - 1, -1, -1):
        if one != 0:
            held = nxt * (d + 1) / ((i + 1) * one)
            total += held
            nxt = path[i][3] - held * zero * (d - i) / (d + 1)
        else:
            total += path[i][3] * (d + 1) / (zero * (d - i))
    return total
