"""LightGBM's side of `auspex bench score`: 200 trees of 31 leaves, explained row by row.

First line out: the trees, rows, and LightGBM's contributions. Then, for each line in: the median of a round, in microseconds.
"""

import json
import sys
import time

import lightgbm
import numpy

random = numpy.random.default_rng(20)
data = random.normal(size=(8000, 32)).astype(numpy.float32)
score = data[:, 0] + data[:, 1] * data[:, 2] - numpy.abs(data[:, 3]) + random.normal(size=8000)
settings = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "verbosity": -1, "num_threads": 1, "seed": 20,
            "min_data_in_leaf": 20, "deterministic": True}
booster = lightgbm.train(settings, lightgbm.Dataset(data, (score > 0).astype(int)), num_boost_round=200)
rows = data[:64].astype(numpy.float64)


def flat(node, into):
    at = len(into)
    into.append(None)
    if "leaf_value" in node:
        into[at] = {"value": node["leaf_value"], "cover": node.get("leaf_count", 1)}
        return at
    yes = flat(node["left_child"], into)
    no = flat(node["right_child"], into)
    into[at] = {"feature": node["split_feature"], "threshold": node["threshold"], "yes": yes, "no": no,
                "missing": bool(node["default_left"]), "cover": node["internal_count"]}
    return at


trees = []
for tree in booster.dump_model()["tree_info"]:
    nodes = []
    flat(tree["tree_structure"], nodes)
    trees.append(nodes)
known = booster.predict(rows, pred_contrib=True, num_threads=1)
print(json.dumps({"version": lightgbm.__version__, "trees": trees, "rows": rows.tolist(), "contributions": known.tolist()}))
sys.stdout.flush()

for _ in sys.stdin:
    times = []
    for row in range(100):
        one = rows[row % len(rows):row % len(rows) + 1]
        began = time.perf_counter()
        booster.predict(one, pred_contrib=True, num_threads=1)
        times.append(time.perf_counter() - began)
    times.sort()
    print(times[len(times) // 2] * 1e6)
    sys.stdout.flush()
