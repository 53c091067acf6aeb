//! Nothing of its own: see `mesh.rs`, which `tests/kubernetes/run` runs.
