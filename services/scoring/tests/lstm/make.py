"""Makes the sequence model of these tests: an LSTM of four cells over six steps of three values. Needs numpy, onnx, onnxruntime.

Contributions in golden.json are integrated gradients at 400 points, computed here.
"""

import hashlib
import json
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

STEPS, VALUES, CELLS = 6, 3, 4
here = Path(__file__).parent
random = numpy.random.default_rng(7)


def weights(*shape):
    return random.normal(scale=0.6, size=shape).astype(numpy.float32)


names = [f"{name}[t-{STEPS - 1 - step}]" for step in range(STEPS) for name in ("cpu", "errors", "latency")]
schema = hashlib.sha256("".join(f"{name}:float32\n" for name in names).encode()).hexdigest()
initial = [
    numpy_helper.from_array(weights(1, 4 * CELLS, VALUES), "w"),  # gates in ONNX's order: i, o, f, c
    numpy_helper.from_array(weights(1, 4 * CELLS, CELLS), "r"),
    numpy_helper.from_array(weights(1, 8 * CELLS), "b"),
    numpy_helper.from_array(weights(CELLS, 1), "head"),
    numpy_helper.from_array(numpy.array([-0.8], numpy.float32), "head_b"),
    numpy_helper.from_array(numpy.array([-1, CELLS], numpy.int64), "flat"),
]
nodes = [
    helper.make_node("Transpose", ["features"], ["steps"], perm=[1, 0, 2]),
    helper.make_node("LSTM", ["steps", "w", "r", "b"], ["", "last", ""], hidden_size=CELLS),
    helper.make_node("Reshape", ["last", "flat"], ["hidden"]),
    helper.make_node("Gemm", ["hidden", "head", "head_b"], ["log_odds"]),
    helper.make_node("Sigmoid", ["log_odds"], ["p_fail"]),
]
graph = helper.make_graph(
    nodes, "sequence",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, STEPS, VALUES])],
    [helper.make_tensor_value_info("p_fail", TensorProto.FLOAT, [None, 1])], initial)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
for key, value in {"feature_service": "windows@1", "feature_schema_sha256": schema, "model_name": "window-risk",
                   "model_version": "1"}.items():
    entry = model.metadata_props.add()
    entry.key, entry.value = f"auspex.{key}", value
onnx.checker.check_model(model)
onnx.save(model, here / "model.onnx")
session = onnxruntime.InferenceSession(str(here / "model.onnx"))


def p(rows):
    return session.run(None, {"features": rows.astype(numpy.float32).reshape(-1, STEPS, VALUES)})[0][:, 0].astype(float)


def logit(rows):
    q = p(rows)
    return numpy.log(q / (1 - q))


def gradients(row, points=400, step=0.02):
    total = numpy.zeros(row.size)
    for t in (numpy.arange(points) + 0.5) / points:
        at = numpy.repeat((row * t)[None], 2 * row.size, 0)
        for i in range(row.size):
            at[2 * i, i] += step
            at[2 * i + 1, i] -= step
        z = logit(at)
        total += (z[0::2] - z[1::2]) / (2 * step)
    return total / points * row


rows = random.normal(size=(16, STEPS * VALUES)).astype(numpy.float32)
golden = []
for number, row in enumerate(rows):
    entry = {"kind": "plausible", "features": row.tolist(), "raw": float(logit(row[None])[0]), "p_fail": float(p(row[None])[0])}
    if number < 4:
        entry["contributions"] = gradients(row.astype(float)).tolist()
        entry["contribution_base"] = float(logit(numpy.zeros((1, row.size)))[0])
    golden.append(entry)
(here / "golden.json").write_text(json.dumps({"rows": golden}))


def digest(name):
    return hashlib.sha256((here / name).read_bytes()).hexdigest()


manifest = {
    "name": "window-risk", "version": "1", "feature_service": "windows@1", "feature_schema_sha256": schema,
    "features": [{"name": name, "dtype": "float32"} for name in names],
    "input": {"name": "features", "dtype": "float32", "shape": [None, STEPS, VALUES]},
    "output": {"name": "p_fail", "dtype": "float32", "shape": [None, 1]},
    "artifact": {"file": "model.onnx", "sha256": digest("model.onnx"), "format": "onnx"},
    "golden": {"file": "golden.json", "sha256": digest("golden.json"), "rows": len(golden), "tolerance": 1e-6},
    "calibration": {"method": "none"}, "base_rate": 0.3, "bands": [0.3, 0.7],
    "interval": {"level": 0.8, "patterns": {"all": {"present": [], "bins": [{"upto": 1.0, "low": 0.0, "high": 1.0}]}}},
}
(here / "manifest.json").write_text(json.dumps(manifest, indent=1))
