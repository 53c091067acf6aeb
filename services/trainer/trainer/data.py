"""Reads the six projects and cuts them by time; nothing here ever shuffles across time."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import contract

PROJECTS = ["qt", "openstack", "jdt", "platform", "gerrit", "go"]


@dataclass
class Rows:
    x: np.ndarray  # float32 [n, 14], contract order
    y: np.ndarray  # float64 [n], 1 = the change failed
    t: np.ndarray  # epoch seconds

    def cut(self, a, b):
        return Rows(self.x[a:b], self.y[a:b], self.t[a:b])

    def __len__(self):
        return len(self.y)


@dataclass
class Project:
    name: str
    fit: Rows  # first 80 % of train: learns the trees while choices are made
    hold: Rows  # last 20 % of train: choices, calibration, intervals
    train: Rows  # both
    test: Rows  # last 20 % of all: reported, never looked at before


def load(folder):
    out = []
    for name in PROJECTS:
        with open(Path(folder) / f"{name}.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        x = np.array([[float(r[c.column]) for c in contract.FEATURES] for r in rows], dtype=np.float32)
        y = np.array([float(r["bug"]) > 0 for r in rows], dtype=np.float64)
        t = np.array([float(r["date"]) for r in rows])
        if not (np.diff(t) >= 0).all():
            raise SystemExit(f"{name}: rows are not in time order")
        if not np.isfinite(x).all():
            raise SystemExit(f"{name}: a value is missing or not finite")
        every = Rows(x, y, t)
        n, k = len(every), int(len(every) * 0.8)
        h = int(k * 0.8)
        out.append(Project(name, every.cut(0, h), every.cut(h, k), every.cut(0, k), every.cut(k, n)))
    return out


def mask(x, pattern):
    z = x.copy()
    z[:, contract.absent_columns(pattern)] = np.nan
    return z
