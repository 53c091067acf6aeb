"""Trees as an ONNX file, written node by node: no converter is used, so what is in the file is what is here.

Inputs are float32. `x <= t` with a float64 t gives the same answer for every float32 x as `x <= t'` with t' the largest float32
not above t; `x < t` the same as `x <= t'` with t' the largest float32 below t. t' is what is written.
"""

import numpy as np
from onnx import TensorProto, helper

BIGGEST = float(np.finfo(np.float32).max)


def at_most(t):
    """The largest float32 not above t."""
    f = np.float32(min(max(t, -BIGGEST), BIGGEST))
    return float(f) if float(f) <= t else float(np.nextafter(f, np.float32(-np.inf)))


def below(t):
    """The largest float32 below a float32 t."""
    return float(np.nextafter(np.float32(t), np.float32(-np.inf)))


class Ensemble:
    def __init__(self):
        self.nodes, self.leaves, self.tree = [], [], -1

    def start(self):
        """A new tree. Its first node is number 0."""
        self.tree += 1
        self.next = 0

    def branch(self, feature, threshold, missing_yes, cover):
        row = dict(tree=self.tree, id=self.next, feature=feature, mode="BRANCH_LEQ", value=threshold, yes=0, no=0,
                   missing=int(missing_yes), cover=cover)
        self.nodes.append(row)
        self.next += 1
        return row

    def leaf(self, value, cover):
        self.nodes.append(dict(tree=self.tree, id=self.next, feature=0, mode="LEAF", value=0.0, yes=0, no=0, missing=0, cover=cover))
        self.leaves.append((self.tree, self.next, float(np.float32(value))))
        self.next += 1

    def thresholds(self):
        found = {}
        for n in self.nodes:
            if n["mode"] != "LEAF" and abs(n["value"]) < 1e30:
                found.setdefault(n["feature"], set()).add(n["value"])
        return {c: np.array(sorted(v), dtype=np.float32) for c, v in found.items()}

    def model(self, columns, base):
        of = lambda key: [n[key] for n in self.nodes]
        trees = helper.make_node(
            "TreeEnsembleRegressor", ["features"], ["raw"], name="trees", domain="ai.onnx.ml", n_targets=1,
            aggregate_function="SUM", post_transform="NONE", base_values=[float(base)], nodes_treeids=of("tree"), nodes_nodeids=of("id"),
            nodes_featureids=of("feature"), nodes_modes=of("mode"), nodes_values=of("value"), nodes_truenodeids=of("yes"),
            nodes_falsenodeids=of("no"), nodes_missing_value_tracks_true=of("missing"), nodes_hitrates=[float(c) for c in of("cover")],
            target_treeids=[t for t, _, _ in self.leaves], target_nodeids=[i for _, i, _ in self.leaves],
            target_ids=[0] * len(self.leaves), target_weights=[v for _, _, v in self.leaves])
        nodes = [trees, helper.make_node("Sigmoid", ["raw"], ["p_fail"], name="probability")]
        return wrapped(nodes, columns)


def wrapped(nodes, columns, constants=()):
    graph = helper.make_graph(
        nodes, "candidate", [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", columns])],
        [helper.make_tensor_value_info("p_fail", TensorProto.FLOAT, ["N", 1])], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8,
                             producer_name="auspex-fit")
