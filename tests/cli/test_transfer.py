"""`fastphoto transfer`: what is written and printed, and what is checked before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import error_line, run_here, run_process
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.encoders import download
from fastphoto.errors import FileError


def test_each_region_takes_on_the_look_of_its_counterpart(pair, tmp_path):
    out = tmp_path / "result.png"
    done = run_process("transfer", *pair, "-o", out, "--size", "64")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("fastphoto: ") for line in lines) and lines[-1].startswith(f"fastphoto: wrote {out}")
    assert len(lines) >= 2, "no stage was shown"
    result = torch.from_numpy(np.asarray(Image.open(out)) / np.float32(255)).permute(2, 0, 1)
    assert result.shape == day().pixels.shape
    to_style = (day().mean_colours(result) - dusk().mean_colours()).norm(dim=1)
    before = (day().mean_colours() - dusk().mean_colours()).norm(dim=1)
    assert (to_style < 0.5 * before).all(), (to_style, before)


def test_quiet(photos, tmp_path):
    out = tmp_path / "r.jpg"
    done = run_process("transfer", photos["content"], photos["style"], "-o", out, "--size", "64", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Image.open(out).size == (64, 48)


def test_settings_come_after_options(photos, tmp_path, capsys):
    Image.fromarray(np.full((56, 48, 3), (0, 255, 255), np.uint8)).save(photos["style_mask"])  # no land
    masks = ["--content-mask", photos["content_mask"], "--style-mask", photos["style_mask"]]
    words = ["transfer", photos["content"], photos["style"], *masks, "--orphans", "error", "--set", "steps=1"]
    assert run_here(*words, "-o", tmp_path / "r.png") == 2
    assert "no region for green" in error_line(capsys.readouterr().err)
    assert run_here(*words, "-o", tmp_path / "r.png", "--set", "orphans=drop", "--quiet") == 0
    assert (tmp_path / "r.png").exists()


def test_strength(photos, tmp_path):
    """None is the start image, and one the default; a setting comes after it, as after all options."""
    words = ["transfer", photos["content"], photos["style"], "--quiet", "--size", "64"]
    results = {}
    for name, options in {
        "default": [],
        "one": ["--strength", "1"],
        "none": ["--strength", "0"],
        "start": ["--set", "steps=0"],
        "half": ["--strength=0.5"],
        "setting": ["--strength", "0.5", "--set", "strength=0"],
    }.items():
        assert run_here(*words, *options, "-o", tmp_path / f"{name}.png") == 0
        results[name] = np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int)
    assert np.array_equal(results["one"], results["default"])
    assert np.array_equal(results["none"], results["start"]) and np.array_equal(results["setting"], results["start"])
    away = np.abs(2 * results["half"] - results["none"] - results["one"])
    assert np.mean(away <= 2) > 0.99, "not half-way, where nothing is clamped"
    assert not np.array_equal(results["none"], results["one"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strength", "-0.5"], "strength: must be 0 or more, got -0.5"),
        (["--strength", "inf"], "strength: must be finite, got inf"),
        (["--strength", "nan"], "strength: "),
        (["--preset", "paper", "--strength", "0.5"], 'strength: must be 1 with the start "noise"'),
    ],
    ids=["negative", "infinite", "not a number", "from noise"],
)
def test_a_strength_that_cannot_be_used(options, message, photos, tmp_path, capsys):
    words = ["transfer", photos["content"], photos["style"], "-o", tmp_path / "r.png"]
    assert run_here(*words, *options) == 2
    option = error_line(capsys.readouterr().err)
    assert message in option and not (tmp_path / "r.png").exists()
    assert run_here(*words, *options[:-2], "--set", f"strength={options[-1]}") == 2
    assert error_line(capsys.readouterr().err) == option, "the setting has another error"


@pytest.mark.parametrize("text", ["full", "", "1,2"])
def test_a_strength_that_is_no_number(text, photos, tmp_path, capsys):
    assert run_here("transfer", photos["content"], photos["style"], "-o", tmp_path / "r.png", f"--strength={text}") == 2
    assert f"--strength: invalid float value: '{text}'" in error_line(capsys.readouterr().err)


def test_an_unknown_setting(photos, tmp_path, capsys):
    words = ["transfer", photos["content"], photos["style"], "-o", tmp_path / "r.jpg"]
    assert run_here(*words, "--set", "no_such_setting=1") == 2
    assert "no_such_setting" in error_line(capsys.readouterr().err) and not (tmp_path / "r.jpg").exists()


def test_a_missing_photo(photos, tmp_path, capsys):
    assert run_here("transfer", "absent.png", photos["style"], "-o", tmp_path / "r.png") == 2
    captured = capsys.readouterr()
    assert captured.err == "fastphoto: error: absent.png: no such file\n" and captured.out == ""


def test_the_output_is_checked_before_anything_is_read(tmp_path, capsys):
    assert run_here("transfer", "absent.png", "absent.png", "-o", tmp_path / "no" / "result.png") == 2
    assert "does not exist" in error_line(capsys.readouterr().err)


def test_the_output_may_not_be_an_input(photos, capsys):
    before = Path(photos["content"]).read_bytes()
    assert run_here("transfer", photos["content"], photos["style"], "-o", photos["content"]) == 2
    assert "also an input" in error_line(capsys.readouterr().err)
    assert Path(photos["content"]).read_bytes() == before


@pytest.fixture
def downloads(monkeypatch, tmp_path) -> list[str]:
    """Let every download fail after its start; return the names of files that were asked for."""
    asked = []

    def fetch(known, target, progress):
        asked.append(known.name)
        progress(known.name, 10, 20)
        raise FileError("no network")

    monkeypatch.setattr(download, "_fetch", fetch)
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "cache"))
    return asked


@pytest.mark.parametrize(
    "wrong",
    [["--content-mask", "none.png"], ["--device", "tpu"], ["--set", "steps=-1"]],
    ids=["mask", "device", "setting"],
)
def test_nothing_is_downloaded_for_a_call_that_is_refused(wrong, photos, tmp_path, downloads):
    words = ["transfer", photos["content"], photos["style"], "-o", tmp_path / "r.png", "--encoder", "vgg19"]
    assert run_here(*words, *wrong) == 2 and not downloads


def test_a_download_is_announced(photos, tmp_path, downloads, capsys):
    words = ["transfer", photos["content"], photos["style"], "-o", tmp_path / "r.png", "--encoder", "vgg19"]
    assert run_here(*words) == 2 and downloads == ["vgg19-d01eb7cb.pth"]
    said = capsys.readouterr().err
    assert "downloading vgg19-d01eb7cb.pth" in said and said.endswith("error: no network\n")
