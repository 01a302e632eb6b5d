"""Measurements on a CPU; `run.py` runs them all."""
