"""A random forest whose trees vote in log-odds: each leaf is worth the log-odds of its failure rate, pulled to the base rate by a
few rows, and the forest is their mean. So it adds up like boosted trees do, and is explained and summed like them."""

import numpy as np

from . import trees
from .contract import Fit

PULL = 4.0


def random_forest(part):
    from sklearn.ensemble import RandomForestClassifier
    forest = RandomForestClassifier(n_jobs=part.threads, random_state=part.seed, **part.settings)
    weights = part.w / part.w.mean()
    forest.fit(part.x, part.y, sample_weight=weights)
    base = float(np.average(part.y, weights=weights))
    count = len(forest.estimators_)
    failed = list(forest.classes_).index(1.0)
    columns_missing = np.isnan(part.x).any(axis=0)
    ensemble, values = trees.Ensemble(), []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        share = tree.value[:, 0, failed] / tree.value[:, 0, :].sum(axis=1)
        mass = tree.weighted_n_node_samples
        rate = (share * mass + PULL * base) / (mass + PULL)
        # As the file holds them, so that both sides add the same numbers.
        value = np.float32(np.log(rate / (1.0 - rate)) / count).astype(np.float64)
        values.append(value)
        ensemble.start()

        def walk(node):
            left, right = tree.children_left[node], tree.children_right[node]
            cover = max(float(mass[node]), 1e-3)
            if left < 0:
                ensemble.leaf(value[node], cover)
                return
            feature = int(tree.feature[node])
            missing = bool(tree.missing_go_to_left[node]) if columns_missing[feature] else mass[left] >= mass[right]
            row = ensemble.branch(feature, trees.at_most(float(tree.threshold[node])), missing, cover)
            row["yes"] = ensemble.next
            walk(left)
            row["no"] = ensemble.next
            walk(right)

        walk(0)

    def raw(x):
        leaves = forest.apply(x)
        return sum(value[leaves[:, place]] for place, value in enumerate(values))

    missing = [int(c) for c in np.flatnonzero(columns_missing)]
    return Fit(ensemble.model(part.x.shape[1], 0.0), raw, ensemble.thresholds(), missing, ("scikit-learn", "numpy", "onnx"))
