"""LightGBM and XGBoost."""

import json

import numpy as np

from . import trees
from .contract import Fit


def lightgbm_forest(part):
    import lightgbm as lgb
    settings = dict(part.settings)
    rounds, bags = int(settings.pop("num_iterations")), int(settings.pop("bags", 1))
    params = dict(objective="binary", deterministic=True, force_row_wise=True, num_threads=part.threads, verbose=-1,
                  boost_from_average=True) | settings
    data = lgb.Dataset(part.x, part.y, weight=part.w, free_raw_data=False)
    # The mean of several that are drawn differently is steadier than any of them.
    boosters = [lgb.train(params | dict(seed=part.seed * bags + bag), data, rounds) for bag in range(bags)]
    ensemble, tells_missing = trees.Ensemble(), set()

    def walk(node):
        if "leaf_value" in node:
            ensemble.leaf(node["leaf_value"] / bags, max(node.get("leaf_count", 1), 1))
            return
        if node["decision_type"] != "<=":
            raise ValueError(f"decision {node['decision_type']} is not supported")
        if node["missing_type"] == "NaN":
            missing_yes = node["default_left"]
            tells_missing.add(node["split_feature"])
        else:  # never missing while learning: a missing value goes with the many
            size = lambda child: child.get("internal_count", child.get("leaf_count", 0))
            missing_yes = size(node["left_child"]) >= size(node["right_child"])
        row = ensemble.branch(node["split_feature"], trees.at_most(node["threshold"]), missing_yes, node["internal_count"])
        row["yes"] = ensemble.next
        walk(node["left_child"])
        row["no"] = ensemble.next
        walk(node["right_child"])

    for booster in boosters:
        for tree in booster.dump_model()["tree_info"]:
            ensemble.start()
            walk(tree["tree_structure"])
    missing = [c for c in range(part.x.shape[1]) if np.isnan(part.x[:, c]).any() and c in tells_missing]
    raw = lambda x: sum(booster.predict(x, raw_score=True, num_threads=1) for booster in boosters) / bags
    return Fit(ensemble.model(part.x.shape[1], 0.0), raw, ensemble.thresholds(), missing, ("lightgbm", "numpy", "onnx"))


def xgboost_forest(part):
    import xgboost as xgb
    settings = dict(part.settings)
    rounds = int(settings.pop("num_boost_round"))
    params = dict(objective="binary:logistic", tree_method="hist", nthread=part.threads, seed=part.seed, verbosity=0) | settings
    booster = xgb.train(params, xgb.DMatrix(part.x, part.y, weight=part.w), rounds)
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    ensemble = trees.Ensemble()
    for tree in learner["gradient_booster"]["model"]["trees"]:
        ensemble.start()
        left, right = tree["left_children"], tree["right_children"]
        condition, feature = tree["split_conditions"], tree["split_indices"]
        default, cover = tree["default_left"], tree["sum_hessian"]

        def walk(node):
            if left[node] < 0:
                ensemble.leaf(condition[node], max(cover[node], 1e-3))
                return
            row = ensemble.branch(feature[node], trees.below(condition[node]), bool(default[node]), max(cover[node], 1e-3))
            row["yes"] = ensemble.next
            walk(left[node])
            row["no"] = ensemble.next
            walk(right[node])

        walk(0)
    base = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
    margin = np.log(base / (1.0 - base))
    raw = lambda x: booster.predict(xgb.DMatrix(x), output_margin=True)
    columns = part.x.shape[1]
    return Fit(ensemble.model(columns, margin), raw, ensemble.thresholds(), list(range(columns)), ("xgboost-cpu", "numpy", "onnx"))
