"""The shipped graph, written node by node: tree ensemble -> a z + b -> sigmoid.

No converter is used, so what is in the file is what is here. Everything is made exact before it is written:
* Inputs are float32. `x <= t` with a float64 t gives the same answer for every float32 x as `x <= t'` with t' the largest
  float32 not above t; t' is what is written.
* Leaf values are rounded to float32 in the booster itself, so that its own attributions belong to the very same model.
* `nodes_hitrates` carries the number of training rows that passed each node, leaves included. They are the weights of
  path-dependent TreeSHAP: attributions can be computed from the file alone.
"""

import hashlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from . import contract

OPSET, ML_OPSET, IR = 17, 3, 8


def snap_leaves(booster):
    for t, tree in enumerate(booster.dump_model()["tree_info"]):
        for leaf in leaves(tree["tree_structure"]):
            booster.set_leaf_output(t, leaf.get("leaf_index", 0), float(np.float32(leaf["leaf_value"])))


def leaves(node):
    if "leaf_value" in node:
        yield node
        return
    yield from leaves(node["left_child"])
    yield from leaves(node["right_child"])


def floor32(v):
    f = np.float32(min(max(v, -float(np.finfo(np.float32).max)), float(np.finfo(np.float32).max)))
    return float(f) if float(f) <= v else float(np.nextafter(f, np.float32(-np.inf)))


def attributes(booster):
    """The ensemble as ONNX attributes, nodes in depth-first order."""
    a = {k: [] for k in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values", "nodes_truenodeids",
                         "nodes_falsenodeids", "nodes_missing_value_tracks_true", "nodes_hitrates",
                         "target_treeids", "target_nodeids", "target_ids", "target_weights")}

    def put(t, ids, feature, mode, value, missing, cover):
        for k, v in zip(("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values",
                         "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true", "nodes_hitrates"),
                        (t, ids, feature, mode, value, 0, 0, missing, float(cover))):
            a[k].append(v)

    def walk(t, node, at):
        row = len(a["nodes_nodeids"])
        if "leaf_value" in node:
            put(t, at, 0, "LEAF", 0.0, 0, node.get("leaf_count", 1))
            for k, v in zip(("target_treeids", "target_nodeids", "target_ids", "target_weights"), (t, at, 0, node["leaf_value"])):
                a[k].append(v)
            return at + 1
        if node["decision_type"] != "<=":
            raise SystemExit(f"tree {t}: decision {node['decision_type']} is not supported")
        if node["missing_type"] != "NaN":
            raise SystemExit(f"tree {t}: missing values are not told apart on {node['split_feature']}")
        put(t, at, node["split_feature"], "BRANCH_LEQ", floor32(node["threshold"]), int(node["default_left"]),
            node["internal_count"])
        right = walk(t, node["left_child"], at + 1)
        a["nodes_truenodeids"][row], a["nodes_falsenodeids"][row] = at + 1, right
        return walk(t, node["right_child"], right)

    for t, tree in enumerate(booster.dump_model()["tree_info"]):
        walk(t, tree["tree_structure"], 0)
    return a


def build(attrs, ab):
    trees = helper.make_node("TreeEnsembleRegressor", ["features"], ["raw"], name="trees", domain="ai.onnx.ml",
                             n_targets=1, aggregate_function="SUM", post_transform="NONE", base_values=[0.0], **attrs)
    nodes = [
        trees,
        helper.make_node("Mul", ["raw", "calibration_a"], ["scaled"], name="scale"),
        helper.make_node("Add", ["scaled", "calibration_b"], ["log_odds"], name="shift"),
        helper.make_node("Sigmoid", ["log_odds"], ["p_fail"], name="probability"),
    ]
    graph = helper.make_graph(
        nodes, contract.NAME,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(contract.NAMES)])],
        [helper.make_tensor_value_info("p_fail", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor("calibration_a", TensorProto.FLOAT, [1], [ab[0]]),
         helper.make_tensor("calibration_b", TensorProto.FLOAT, [1], [ab[1]])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
                              ir_version=IR, producer_name="auspex-trainer", producer_version=contract.VERSION)
    helper.set_model_props(model, {
        "auspex.feature_service": contract.FEATURE_SERVICE,
        "auspex.feature_schema_sha256": contract.schema_sha256(),
        "auspex.model_name": contract.NAME,
        "auspex.model_version": contract.VERSION,
        "auspex.features": ",".join(contract.NAMES),
    })
    onnx.checker.check_model(model, full_check=True)
    return model


def session(path):
    o = ort.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
