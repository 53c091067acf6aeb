"""What comes in and what goes out; see README.md."""

import json
import platform
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np


@dataclass
class Part:
    """The rows of one job, oldest first."""
    x: np.ndarray  # float32 [rows, columns]; NaN is missing
    y: np.ndarray  # float64, 1 is a failure
    w: np.ndarray  # float64
    work: dict
    job: dict
    table: np.ndarray = None  # all rows there are, for those who look back
    groups: np.ndarray = None  # of all of them
    rows: np.ndarray = None  # numbers of the rows of the job among them

    @property
    def settings(self):
        return self.job["settings"]

    @property
    def seed(self):
        return int(self.job["seed"])

    @property
    def threads(self):
        return int(self.work.get("threads", 1))


@dataclass
class Fit:
    """What a fitter gives back."""
    model: object  # an onnx.ModelProto: features -> raw (log-odds) -> p_fail
    raw: object  # function of float32 rows, by the library itself: log-odds in float64
    thresholds: dict = field(default_factory=dict)  # column -> split thresholds, as float32
    nan_columns: list = field(default_factory=list)  # columns whose missing values the library treats as the file does
    libraries: tuple = ()
    golden: np.ndarray = None  # golden rows of its own
    flat: np.ndarray = None  # rows as the file reads them, when they are not those of the table


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def golden_rows(fit, part):
    """Rows drawn between the quantiles of the columns, rows at split thresholds and one float above, rows with missing values."""
    rng = np.random.default_rng(part.seed)
    with np.errstate(all="ignore"):
        low, high = np.nanquantile(part.x, 0.02, axis=0), np.nanquantile(part.x, 0.98, axis=0)
    low, high = np.nan_to_num(low), np.nan_to_num(high, nan=1.0)
    rows = (low + rng.random((96, part.x.shape[1])) * (high - low)).astype(np.float32)
    for k in range(24):
        for column, values in fit.thresholds.items():
            rows[k, column] = values[rng.integers(len(values))]
    rows[24:48] = np.nextafter(rows[:24], np.float32(np.inf))
    if fit.nan_columns:
        hide = rng.random((24, len(fit.nan_columns))) < 0.4
        block = rows[48:72]
        for place, column in enumerate(fit.nan_columns):
            block[hide[:, place], column] = np.nan
    return rows


def write(out, fit, part, seconds):
    (out / "model.onnx").write_bytes(fit.model.SerializeToString(deterministic=True))
    rows = golden_rows(fit, part) if fit.golden is None else fit.golden
    raw = np.asarray(fit.raw(rows), dtype=np.float64)
    listed = [dict(features=[None if np.isnan(v) else float(v) for v in r], raw=float(z), p_fail=float(sigmoid(z)))
              for r, z in zip(rows, raw)]
    (out / "golden.json").write_text(json.dumps({"rows": listed}))
    p = np.clip(sigmoid(np.asarray(fit.raw(part.x if fit.flat is None else fit.flat), dtype=np.float64)), 1e-12, 1 - 1e-12)
    loss = -np.average(part.y * np.log(p) + (1 - part.y) * np.log1p(-p), weights=part.w)
    (out / "metrics.json").write_text(json.dumps({"train_log_loss": float(loss), "seconds": seconds, "rows": len(part.y)}))
    versions = {name: metadata.version(name) for name in fit.libraries}
    versions["python"] = platform.python_version()
    (out / "manifest.json").write_text(json.dumps({
        "contract": 1, "candidate": part.job["candidate"], "settings": part.settings, "seed": part.seed, "versions": versions,
        "features": part.work["features"], "model": "model.onnx", "golden": "golden.json", "metrics": "metrics.json"}))
