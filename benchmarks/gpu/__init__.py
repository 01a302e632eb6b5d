"""Checks and measurements on a GPU; `run.py` runs them all, `page.py` writes the tables of docs/gpu.md."""
