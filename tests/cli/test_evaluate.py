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
    head, *rows = said.out.splitlines()
    assert said.err == "" and head.split()[:3] == ["result", "style", "photorealism"]
    assert {len(row) for row in rows} == {len(head)}, "columns are not aligned"
    masks = photos["content_mask"], photos["style_mask"]
    expected = fastphoto.evaluate(photos["content"], photos["style"], {path: path for path in results}, *masks)
    for row, (path, evaluation) in zip(rows, expected.items(), strict=True):
        name, *numbers = row.split()
        scores, m = evaluation.scores, evaluation.measures
        values = [scores.style, scores.photorealism, m.gram, m.colour, m.contrast, m.affine, m.edge, m.ssim]
        assert name == path and [float(number) for number in numbers] == pytest.approx(values, abs=6e-4)


def test_json_relative_to_a_reference(pair, results, capsys):
    one, other = results
    assert run_here("evaluate", *pair, one, other, "--reference", one, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == [one, other] and said[one]["scores"] == pytest.approx({"style": 1, "photorealism": 1})
    assert said[other]["scores"]["style"] != pytest.approx(1)


def test_a_result_of_another_aspect(pair, tmp_path, capsys):
    Image.new("RGB", (30, 60)).save(tmp_path / "tall.png")
    assert run_here("evaluate", *pair, tmp_path / "tall.png") == 2
    captured = capsys.readouterr()
    assert "do not fit the content's" in error_line(captured.err) and captured.out == ""


def test_a_missing_result(pair, capsys):
    assert run_here("evaluate", *pair, "absent.png") == 2
    captured = capsys.readouterr()
    assert "absent.png: no such file" in error_line(captured.err) and captured.out == ""
