"""The benchmark of moving pictures, run on a tiny clip."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from locations import ROOT
from PIL import Image
from rendered_photos import day, dusk

pytest.importorskip("av", reason="moving pictures need PyAV, fastphoto[video]")
pytest.importorskip("cv2", reason="moving pictures need OpenCV, fastphoto[video]")


def test_it_makes_clips_and_measures_them(tmp_path):
    for name, photo in (("one.png", day(96, 144)), ("two.png", dusk(96, 144))):
        Image.fromarray(photo.array).save(tmp_path / name)
    options = ["--photo", tmp_path / "one.png", "--other-photo", tmp_path / "two.png", "--style", tmp_path / "two.png"]
    options += ["--seconds", "0.4", "--size", "64", "96"]
    command = [sys.executable, "benchmarks/video.py", "-o", tmp_path / "clips", *options]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["pan.mp4", "cut.mp4", "ten-bit.mp4"]
    assert all(re.search(r"10 frames, [12] shots, .* flicker \d\.\d+, coarse \d+\.\d+", line) for line in lines)
    assert "2 shots" in lines[1]
