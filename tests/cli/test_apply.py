"""`fastphoto apply`, and the LUT that `fastphoto transfer --lut` writes for it."""

from __future__ import annotations

import re

import numpy as np
from command_line import error_line, run_here
from PIL import Image

SHORT = ["--size", "48", "--set", "steps=3", "--regions", "none"]


def test_a_look_goes_from_photo_to_photo(photos, tmp_path, capsys):
    result, lut, applied = (str(tmp_path / name) for name in ("result.png", "look.cube", "applied.png"))
    assert run_here("transfer", photos["content"], photos["style"], "-o", result, "--lut", lut, *SHORT) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    match = re.fullmatch(
        rf"fastphoto: wrote {lut}: ([\d.]+) delta E from the result on average, 95 % below ([\d.]+)", said
    )
    assert match and float(match[1]) < float(match[2])
    assert run_here("apply", lut, photos["content"], "-o", applied, "--quiet") == 0
    content, expected, got = (np.asarray(Image.open(path), int) for path in (photos["content"], result, applied))
    assert abs(got - expected).mean() < 0.4 * abs(expected - content).mean()
    assert run_here("apply", lut, photos["content"], "-o", applied, "--strength", "0", "--quiet") == 0
    assert np.array_equal(np.asarray(Image.open(applied), int), content)


def test_a_lut_that_cannot_be_written_is_refused_before_the_work(photos, tmp_path, capsys):
    words = ["transfer", photos["content"], photos["style"], "-o", str(tmp_path / "r.png"), *SHORT]
    for lut in (tmp_path / "no folder" / "a.cube", tmp_path, tmp_path / "content.png", tmp_path / "r.png"):
        assert run_here(*words, "--lut", lut) == 2
        assert str(lut) in error_line(capsys.readouterr().err)
    assert not (tmp_path / "r.png").exists()


def test_a_file_that_is_no_lut(photos, tmp_path, capsys):
    assert run_here("apply", photos["style"], photos["content"], "-o", str(tmp_path / "r.png")) == 2
    assert "style.png: no .cube file of a 3D LUT" in error_line(capsys.readouterr().err)
