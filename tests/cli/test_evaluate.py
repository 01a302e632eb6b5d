"""`fastphoto evaluate`: the table and the JSON are what `fastphoto.evaluate` returns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import error_line, run_here
from PIL import Image
from rendered_photos import day

import fastphoto


@pytest.fixture
def results(tmp_path) -> list[str]:
    """Return the paths of two results: darker and redder photos."""
    paths = [str(tmp_path / f"{name}.png") for name in ("darker", "redder")]
    for path, factors in zip(paths, ((0.6, 0.6, 0.6), (1.0, 0.8, 0.6)), strict=True):
        Image.fromarray((day().array * np.array(factors)).astype(np.uint8)).save(path)
    return paths


def test_a_table(pair, photos, results, capsys):
    assert run_here("evaluate", *pair, *results) == 0
    said = capsys.readouterr()
    groups, head, *rows = said.out.splitlines()
    assert "They were measured at 56 to 64 pixels, so compare them with one another alone" in said.err
    assert head.split()[:3] == ["result", "stains", "look"] and head.split()[-1] == "Gram"
    assert groups.split() == ["RATIOS", "MEASURES"]
    scores_end, measures_start = head.index("style") + len("style"), groups.index("MEASURES")
    assert head[measures_start:].split()[0] == "stains" and scores_end < measures_start, "groups are not above columns"
    assert {len(row) for row in rows} == {len(head)}, "columns are not aligned"
    masks = photos["content_mask"], photos["style_mask"]
    expected = fastphoto.evaluate(photos["content"], photos["style"], {path: path for path in results}, *masks)
    for row, (path, evaluation) in zip(rows, expected.items(), strict=True):
        name, *numbers = row.split()
        s, m = evaluation.scores, evaluation.measures
        values = [s.stains, s.look, s.photorealism, s.style]
        values += [m.stains, m.look, m.invented, m.affine, m.edge, m.ssim, m.contrast, m.gram]
        assert name == path and [float(number) for number in numbers] == pytest.approx(values, abs=6e-4)


def test_json_relative_to_a_reference(pair, results, capsys):
    one, other = results
    assert run_here("evaluate", *pair, one, other, "--reference", one, "--json") == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert captured.err == "", "ratios to a reference hold at every size"
    assert list(said) == [one, other] and list(said[one]["scores"]) == ["stains", "look", "photorealism", "style"]
    assert list(said[one]["scores"].values()) == pytest.approx([1, 1, 1, 1])
    assert all(score != pytest.approx(1) for score in said[other]["scores"].values())
    assert list(said[one]["measures"])[:3] == ["stains", "look", "invented"]


def test_at_the_size_of_the_published_results_nothing_is_said_of_sizes(tmp_path, capsys):
    for name, colours in (("content", (90, 60, 30)), ("style", (30, 60, 90))):
        noise = np.random.default_rng(0).normal(colours, 20, (240, 360, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    content, style = tmp_path / "content.png", tmp_path / "style.png"
    assert run_here("evaluate", content, style, content) == 0
    assert capsys.readouterr().err == ""
    assert run_here("evaluate", content, style, content, "--size", "100") == 0
    assert "measured at 100 pixels" in capsys.readouterr().err


def test_a_result_of_another_aspect(pair, tmp_path, capsys):
    Image.new("RGB", (30, 60)).save(tmp_path / "tall.png")
    assert run_here("evaluate", *pair, tmp_path / "tall.png") == 2
    captured = capsys.readouterr()
    assert "do not fit the content's" in error_line(captured.err) and captured.out == ""


def test_a_missing_result(pair, capsys):
    assert run_here("evaluate", *pair, "absent.png") == 2
    captured = capsys.readouterr()
    assert "absent.png: no such file" in error_line(captured.err) and captured.out == ""
