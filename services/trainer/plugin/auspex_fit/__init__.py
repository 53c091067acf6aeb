"""Fits the candidates that need a library, for `auspex train`. The contract is in README.md beside this package."""

CONTRACT = 1
