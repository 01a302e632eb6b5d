"""Files stay whole when their writers are killed, and when two write the same one, kinds 100 and 102."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from locations import ROOT
from PIL import Image

from fastphoto.photos.write import write_image


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_killed_writer_leaves_the_old_file_or_the_new(tmp_path):
    """Kill thirty writers; `make fuzz` kills three hundred."""
    words = [sys.executable, ROOT / "tests" / "stress" / "kill_writers.py", tmp_path, "30"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("30 writers killed"), done.stderr
    left = int(re.search(r"(\d+) of them", done.stdout)[1])
    assert left > 0, "none was killed while it wrote"


def test_two_writers_of_one_file_leave_one_of_theirs(tmp_path):
    pictures = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue")]

    def write_often(picture: Image.Image) -> None:
        for _ in range(20):
            write_image(tmp_path / "r.png", picture, "PNG", {})

    threads = [threading.Thread(target=write_often, args=[picture]) for picture in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = np.asarray(Image.open(tmp_path / "r.png"))
    assert any((written == np.asarray(picture)).all() for picture in pictures), "neither of the two"
    assert [path.name for path in tmp_path.iterdir()] == ["r.png"], "a temporary file is left"
