"""`fastphoto compare`: the page, the pictures and their description; what is refused leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import error_line, run_here
from markup import Markup
from PIL import Image
from rendered_photos import dusk

QUICK = ["reinhard", "pitie-regions"]


def compare(pair: list[str], folder: Path, *more: object) -> int:
    return run_here("compare", *pair, "-o", folder, "--methods", ",".join(QUICK), "--quiet", *more)


def test_it_writes_page_sheet_results_and_their_description(pair, tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    assert run_here("compare", *pair, "-o", folder, "--methods", " reinhard, pitie-regions", "--size", "40") == 0
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == "" and lines[:2] == ["fastphoto: running reinhard", "fastphoto: running pitie-regions"]
    assert lines[2].startswith(f"fastphoto: wrote {folder / 'index.html'} in ") and len(lines) == 3
    written = {"index.html", "contact-sheet.jpg", "comparison.json", "content.png", "style.png"}
    assert {file.name for file in folder.iterdir()} == written | {f"{name}.png" for name in QUICK}
    Markup((folder / "index.html").read_text(encoding="utf-8")).check()
    assert Image.open(folder / "pitie-regions.png").size == Image.open(folder / "content.png").size == (40, 30)
    described = json.loads((folder / "comparison.json").read_text())
    assert list(described["methods"]) == QUICK


def test_masks_change_the_methods_that_use_regions(pair, tmp_path):
    masked, bare = tmp_path / "masked", tmp_path / "bare"
    assert compare(pair, masked) == compare(pair[:2], bare) == 0
    results = {
        name: [np.asarray(Image.open(folder / f"{name}.png"), int) for folder in (masked, bare)] for name in QUICK
    }
    # Sums round, which may move a value to the next level.
    different = [name for name, (one, other) in results.items() if np.abs(one - other).max() > 1]
    assert different == ["pitie-regions"]


def test_a_matched_frame_changes_time_of_day(pair, tmp_path):
    frame = tmp_path / "frame.png"
    Image.fromarray(255 - dusk().array).save(frame)
    words = ["compare", *pair, "--methods", "time-of-day", "--quiet"]
    assert run_here(*words, "-o", tmp_path / "a") == 0
    assert run_here(*words, "-o", tmp_path / "b", "--matched-frame", frame) == 0
    results = [np.asarray(Image.open(tmp_path / folder / "time-of-day.png"), int) for folder in "ab"]
    assert np.abs(results[0] - results[1]).mean() > 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            ["--methods", "reinhard,monet"], "method 'monet': unknown; give some of fastphoto, dpst", id="method"
        ),
        pytest.param(["--methods", " , "], "methods: none given", id="no method"),
        pytest.param(["--size", "8"], "size: must be a whole number of 16 pixels or more", id="size"),
        pytest.param(["--content-mask", "absent.png"], "absent.png: no such file", id="mask"),
        pytest.param(
            ["--methods", "time-of-day", "--matched-frame", "absent.png"],
            "absent.png: no such file",
            id="matched frame",
        ),
        pytest.param(["--matched-frame", "absent.png"], "no chosen method uses one; add time-of-day", id="idle frame"),
        pytest.param(["--seed", "-1"], "seed: must be a whole number from 0", id="seed"),
        pytest.param(["--device", "tpu"], "device 'tpu'", id="device"),
    ],
)
def test_refused(pair, tmp_path, capsys, options, said):
    assert compare(pair, tmp_path / "new", *options) == 2
    assert said in error_line(capsys.readouterr().err)
    assert not (tmp_path / "new").exists(), "a folder is left"


def test_an_unknown_device_is_refused_before_any_method_runs(pair, tmp_path, capsys):
    words = ["compare", *pair[:2], "-o", tmp_path / "c", "--device", "tpu", "--methods", "reinhard"]
    assert run_here(*words) == 2
    assert "running" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["index.html", "comparison.json", "contact-sheet.jpg", "content.png", "style.png", "reinhard.png"]
)
def test_a_file_that_cannot_be_written_is_refused_before_any_method_runs(pair, tmp_path, capsys, name):
    (tmp_path / "c" / name).mkdir(parents=True)
    assert run_here("compare", *pair, "-o", tmp_path / "c", "--methods", "reinhard") == 2
    assert f"{name}: is a folder" in error_line(capsys.readouterr().err)
    assert [path.name for path in (tmp_path / "c").iterdir()] == [name], "something was written"


@pytest.mark.parametrize("weights", ["absent.pth", "text.pth"])
def test_weights_are_refused_before_any_method_runs(pair, tmp_path, capsys, weights):
    (tmp_path / "text.pth").write_text("no weights")
    words = ["compare", *pair, "-o", tmp_path / "new", "--encoder", "vgg19", "--weights", tmp_path / weights]
    assert run_here(*words, "--methods", "reinhard,fastphoto") == 2
    assert weights in error_line(capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


def test_no_weights_are_read_or_fetched_for_transfers_of_colour(pair, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "cache"))
    assert compare(pair, tmp_path / "c", "--encoder", "vgg19") == 0
    assert not (tmp_path / "cache").exists(), "a download was begun"


def test_the_folder_of_the_photos_is_refused_and_they_stay(pair, photos, tmp_path, capsys):
    before = {name: Path(path).read_bytes() for name, path in photos.items()}
    assert compare(pair, tmp_path) == 2
    assert "also an input" in error_line(capsys.readouterr().err)
    assert {name: Path(path).read_bytes() for name, path in photos.items()} == before
    assert not (tmp_path / "index.html").exists()


def test_a_file_where_the_folder_should_be(pair, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert compare(pair, tmp_path / "taken") == 2
    assert "cannot be made" in error_line(capsys.readouterr().err) and (tmp_path / "taken").read_text() == "mine"
