"""Folders that tests use: the repository, and photos and weights that are not part of it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
"""Photo pairs, published results and weights by others; tests that need them are skipped if the folder is missing."""
