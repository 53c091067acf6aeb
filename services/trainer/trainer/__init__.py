"""Trains the models that ship with the product. Each module is one step; `change_risk.py` beside this folder runs them."""
