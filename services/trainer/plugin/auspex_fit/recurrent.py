"""An LSTM over the last rows of each group: for metric windows, and for builds whose past matters. JAX fits it; the file is written
node by node with the ONNX operator, whose gates are in the order i, o, f, c.

A row's window is the rows of its group up to and including itself, the newest last; where there are fewer, the older ones are
missing. A missing value is the mean of its column.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .contract import Fit

FAR = 20.0  # standard deviations: what lies further out than anything ever seen counts as so far


def windows(groups, steps):
    """For each row the numbers of its window's rows; -1 where there is none."""
    out = np.full((len(groups), steps), -1, dtype=np.int64)
    last = {}
    for row, group in enumerate(groups):
        past = last.setdefault(int(group), [])
        past.append(row)
        del past[:-steps]
        out[row, steps - len(past):] = past
    return out


def bent(x):
    """Large numbers and small ones on one scale."""
    return np.sign(x) * np.log1p(np.abs(x))


def gather(x, index):
    """Rows by number; missing where there is none. [rows, steps, columns]"""
    padded = np.vstack([x, np.full((1, x.shape[1]), np.nan, dtype=x.dtype)])
    return padded[index]


def forward(p, z, np_):
    """Log-odds of windows [rows, steps, columns]; `np_` is numpy or jax.numpy."""
    units = p["r"].shape[1]
    h = c = np_.zeros((z.shape[0], units), dtype=z.dtype)
    gate = lambda v: 1.0 / (1.0 + np_.exp(-v))
    for step in range(z.shape[1]):
        a = z[:, step] @ p["w"].T + h @ p["r"].T + p["b"]
        i, o, f, g = (a[:, k * units:(k + 1) * units] for k in range(4))
        c = gate(f) * c + gate(i) * np_.tanh(g)
        h = gate(o) * np_.tanh(c)
    return (h @ p["out"] + z[:, -1] @ p["skip"])[:, 0] + p["base"]


def fit_weights(z, y, w, settings, seed):
    import jax
    import jax.numpy as jnp
    rng = np.random.default_rng(seed)
    units, columns = int(settings["units"]), z.shape[2]
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    base = np.log((np.average(y, weights=w) + 1e-6) / (1 - np.average(y, weights=w) + 1e-6))
    p = dict(w=draw(4 * units, columns), r=draw(4 * units, units), b=np.zeros(4 * units, np.float32),
             out=np.zeros((units, 1), np.float32), skip=np.zeros((columns, 1), np.float32), base=np.float32(base))
    p["b"][2 * units:3 * units] = 1.0  # remember at first

    def loss(p, z, y, w):
        raw = forward(p, z, jnp)
        each = jnp.maximum(raw, 0) - raw * y + jnp.log1p(jnp.exp(-jnp.abs(raw)))
        weight = sum(jnp.sum(p[k] ** 2) for k in ("w", "r", "out", "skip"))
        return jnp.sum(w * each) / jnp.sum(w) + 1e-4 * weight

    @jax.jit
    def step(p, m, v, t, rate, z, y, w):
        g = jax.grad(loss)(p, z, y, w)
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        move = lambda a, b, c: a - rate * (b / (1 - 0.9 ** t)) / (jnp.sqrt(c / (1 - 0.999 ** t)) + 1e-8)
        return jax.tree.map(move, p, m, v), m, v

    m = v = jax.tree.map(np.zeros_like, p)
    size = int(min(256, len(y)))
    epochs, t = int(settings["epochs"]), 0
    turns = epochs * (len(y) // size)
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for start in range(0, len(y) - size + 1, size):
            k = order[start:start + size]
            t += 1
            rate = float(settings["rate"]) * 0.5 * (1 + np.cos(np.pi * t / turns))
            p, m, v = step(p, m, v, t, rate, z[k], y[k], w[k])
    return {k: np.asarray(a, dtype=np.float32) for k, a in p.items()}


def lstm(part):
    steps = int(part.settings["steps"])
    index = windows(part.groups, steps)[part.rows]
    with np.errstate(all="ignore"):
        values = bent(part.x.astype(np.float64))
        mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    mean, spread = np.nan_to_num(mean), np.nan_to_num(spread)
    scale = 1.0 / np.where(spread > 1e-6, spread, 1.0)

    def scaled(x):
        # In 64 bits, as in the file: a narrow column far from 0 would lose its digits in 32.
        z = np.clip((bent(x.astype(np.float64)) - mean) * scale, -FAR, FAR)
        return np.where(np.isnan(z), 0.0, z).astype(np.float32)

    z = scaled(gather(part.table, index))
    weights = (part.w / part.w.mean()).astype(np.float32)
    p = fit_weights(z, part.y.astype(np.float32), weights, part.settings, part.seed)
    exact = {k: a.astype(np.float64) for k, a in p.items()}
    columns = part.x.shape[1]

    def raw(x):
        flat = np.asarray(x, dtype=np.float32).reshape(len(x), steps, columns)
        return forward(exact, scaled(flat).astype(np.float64), np)

    rows = gather(part.table, index)[-96:].reshape(-1, steps * columns)
    rng = np.random.default_rng(part.seed)
    # Drawn column by column: a file holds no row of anybody's.
    drawn = np.stack([rng.permutation(rows[:, c]) for c in range(rows.shape[1])], axis=1).astype(np.float32)
    fit = Fit(model(p, mean, scale, steps), raw, libraries=("jax", "jaxlib", "numpy", "onnx"))
    fit.golden, fit.flat = drawn, gather(part.table, index).reshape(len(index), -1)
    return fit


def model(p, mean, scale, steps):
    units, columns = p["r"].shape[1], p["w"].shape[1]
    tensor = lambda name, a, dtype=np.float32: numpy_helper.from_array(np.ascontiguousarray(a, dtype=dtype), name)
    wide = lambda name, a: tensor(name, a, np.float64)
    constants = [
        wide("mean", mean), wide("scale", scale), wide("one", np.ones(1)), tensor("zero", np.zeros(1)),
        wide("lowest", np.full(1, -FAR)), wide("highest", np.full(1, FAR)),
        tensor("w", p["w"][None]), tensor("r", p["r"][None]), tensor("b", np.concatenate([p["b"], np.zeros_like(p["b"])])[None]),
        tensor("out", p["out"]), tensor("skip", p["skip"]), tensor("base", p["base"].reshape(1)),
        numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
        numpy_helper.from_array(np.array(steps - 1, dtype=np.int64), "newest"),
    ]
    node = helper.make_node
    nodes = [
        node("Cast", ["features"], ["wide"], to=TensorProto.DOUBLE), node("Abs", ["wide"], ["size"]),
        node("Add", ["size", "one"], ["size1"]), node("Log", ["size1"], ["log"]), node("Sign", ["wide"], ["sign"]),
        node("Mul", ["sign", "log"], ["bent"]), node("Sub", ["bent", "mean"], ["centred"]),
        node("Mul", ["centred", "scale"], ["stretched"]), node("Max", ["stretched", "lowest"], ["raised"]),
        node("Min", ["raised", "highest"], ["within"]), node("Cast", ["within"], ["scaled"], to=TensorProto.FLOAT),
        node("IsNaN", ["scaled"], ["gone"]),
        node("Where", ["gone", "zero", "scaled"], ["known"]), node("Transpose", ["known"], ["steps"], perm=[1, 0, 2]),
        node("LSTM", ["steps", "w", "r", "b"], ["", "h"], hidden_size=units, name="lstm"),
        node("Squeeze", ["h", "first"], ["state"]), node("MatMul", ["state", "out"], ["of_past"]),
        node("Gather", ["steps", "newest"], ["now"], axis=0), node("MatMul", ["now", "skip"], ["of_now"]),
        node("Add", ["of_past", "of_now"], ["both"]), node("Add", ["both", "base"], ["raw"]),
        node("Sigmoid", ["raw"], ["p_fail"], name="probability"),
    ]
    graph = helper.make_graph(
        nodes, "candidate", [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", steps, columns])],
        [helper.make_tensor_value_info("p_fail", TensorProto.FLOAT, ["N", 1])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8,
                             producer_name="auspex-fit")
