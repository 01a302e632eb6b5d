"""A missing library is one line that says what to install."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fastphoto

pytest.importorskip("av", reason="moving pictures need PyAV, fastphoto[video]")
pytest.importorskip("cv2", reason="moving pictures need OpenCV, fastphoto[video]")


@pytest.mark.parametrize(("module", "name"), [("av", "PyAV"), ("cv2", "OpenCV")])
def test_a_missing_library(module, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(fastphoto.InputError, match=rf"need {name}: pip install fastphoto\[video\]"):
        fastphoto.transfer_video("clip.mp4", np.zeros((20, 20, 3), np.uint8), tmp_path / "out.mp4")


def test_images_need_no_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(fastphoto.FileError, match="no images"):
        fastphoto.transfer_video(tmp_path, np.zeros((20, 20, 3), np.uint8), tmp_path / "out")
