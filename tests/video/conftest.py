"""Frames of these tests are tiny."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """More threads would wait for one another."""
