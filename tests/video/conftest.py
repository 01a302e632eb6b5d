"""Moving pictures need PyAV and OpenCV; without them these tests are skipped."""

from __future__ import annotations

import pytest

pytest.importorskip("av", reason="moving pictures need PyAV, fastphoto[video]")
pytest.importorskip("cv2", reason="moving pictures need OpenCV, fastphoto[video]")


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Tiny frames: more threads would wait for one another."""
