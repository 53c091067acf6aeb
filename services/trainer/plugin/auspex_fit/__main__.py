"""python3 -m auspex_fit JOBS.json: does the jobs one after the other; one that fails says why in its folder."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from . import CONTRACT, contract


def fitter(candidate):
    """The function that fits a candidate: imported late, so that only what is used need be installed."""
    if candidate == "lightgbm":
        from .gradient import lightgbm_forest
        return lightgbm_forest
    if candidate == "xgboost":
        from .gradient import xgboost_forest
        return xgboost_forest
    if candidate == "random_forest":
        from .bagging import random_forest
        return random_forest
    if candidate == "lstm":
        from .recurrent import lstm
        return lstm
    raise ValueError(f"candidate {candidate!r} is not known to this plug-in")


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: python3 -m auspex_fit JOBS.json")
    work = json.loads(Path(sys.argv[1]).read_text())
    if work.get("contract") != CONTRACT:
        raise SystemExit(f"contract {work.get('contract')} is asked for; this plug-in keeps contract {CONTRACT}")
    folder = Path(sys.argv[1]).parent
    columns = len(work["features"])
    x = np.fromfile(folder / work["x"], dtype="<f4").reshape(-1, columns)
    y = np.fromfile(folder / work["y"], dtype=np.uint8)
    groups = np.fromfile(folder / work["groups"], dtype="<u4")
    for job in work["jobs"]:
        out = folder / job["out"]
        out.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        try:
            rows = np.fromfile(folder / job["rows"], dtype="<u4")
            weights = np.fromfile(folder / job["weights"], dtype="<f8")
            part = contract.Part(x[rows], y[rows].astype(np.float64), weights, work, job, x, groups, rows)
            fit = fitter(job["candidate"])(part)
            contract.write(out, fit, part, time.monotonic() - started)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the run goes on and tells it
            (out / "error.json").write_text(json.dumps({"error": f"{type(fault).__name__}: {fault}"[:2000]}))
        print(json.dumps({"done": job["out"], "seconds": round(time.monotonic() - started, 3)}), flush=True)


main()
