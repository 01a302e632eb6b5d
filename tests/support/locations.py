"""Where the tests find the repository, and the photos and weights that are not part of it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
"""Pairs of photos, published results and weights of others; tests that need them are skipped where it is absent."""
