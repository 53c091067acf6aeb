"""Rows with known answers. They are drawn, not taken from the data, and hold the cases that break scorers:
missing values in every pattern, rows exactly at split thresholds and one float above, zeros, and values far outside.
"""

import numpy as np

from . import contract, data

SCALE = {  # rough upper ends for a log-uniform draw
    "subsystems": 6, "directories": 30, "files": 60, "lines_added": 5000, "lines_deleted": 3000, "lines_before": 40000,
    "developers": 200, "age_days": 1500, "unique_changes": 4000, "author_experience": 15000, "author_recent_experience": 2000,
    "author_subsystem_experience": 3000}
INTEGER = {"subsystems", "directories", "files", "lines_added", "lines_deleted", "lines_before", "developers", "unique_changes",
           "author_experience", "author_subsystem_experience"}
AT_LEAST_ONE = {"subsystems", "directories", "files", "developers", "author_experience", "author_recent_experience",
                "author_subsystem_experience"}


def plausible(rng, n):
    x = np.zeros((n, len(contract.NAMES)))
    for j, name in enumerate(contract.NAMES):
        if name == "is_fix":
            x[:, j] = rng.random(n) < 0.3
        elif name == "entropy":
            x[:, j] = rng.random(n) * np.log2(np.maximum(x[:, contract.NAMES.index("files")], 1))
        else:
            v = np.expm1(rng.random(n) * np.log1p(SCALE[name]))
            v = np.round(v) if name in INTEGER else v
            x[:, j] = np.maximum(v, 1) if name in AT_LEAST_ONE else v
    return x.astype(np.float32)


def rows(attrs, seed):
    """(kind, row) pairs; the first 16 are those that get attributions."""
    rng = np.random.default_rng(seed)
    base = plausible(rng, 72)
    out = [("plausible", r) for r in base[:6]]
    for pattern in list(contract.PATTERNS)[1:]:
        out.append((pattern, data.mask(base[6:7], pattern)[0]))
        out.append((pattern, data.mask(base[7:8], pattern)[0]))
    splits = [(f, v) for f, v, m in zip(attrs["nodes_featureids"], attrs["nodes_values"], attrs["nodes_modes"])
              if m == "BRANCH_LEQ" and abs(v) < 1e30]
    by_feature = {f: sorted({v for g, v in splits if g == f}) for f in range(len(contract.NAMES))}
    for k in range(24):  # every feature of the row sits on a threshold, or one float above it
        at, above = base[10 + k].copy(), None
        for f, values in by_feature.items():
            if values:
                at[f] = np.float32(values[rng.integers(len(values))])
        above = np.nextafter(at, np.float32(np.inf)).astype(np.float32)
        out.append(("at thresholds", at))
        out.append(("one float above thresholds", above))
    for k in range(12):
        r = base[40 + k].copy()
        r[rng.random(len(r)) < 0.4] = np.nan
        out.append(("random missing", r))
    out.append(("all zero", np.zeros(len(contract.NAMES), np.float32)))
    out.append(("negative zero", np.full(len(contract.NAMES), -0.0, np.float32)))
    out.append(("far outside", np.full(len(contract.NAMES), 1e9, np.float32)))
    out.append(("negative", np.full(len(contract.NAMES), -1.0, np.float32)))
    out += [("plausible", r) for r in base[52:]]
    return out
