"""The tool that scores methods: results and table of small pairs, what it keeps, and what it refuses in one line."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from locations import ROOT
from PIL import Image

import fastphoto
from fastphoto.encoders.encoder import EMBEDDED
from fastphoto.methods import METHODS, apply_method
from fastphoto.photos.read import read_photo
from fastphoto.regions.pair import PhotoPair, prepare_pair

TOOL = ROOT / "tools" / "score_methods.py"
SIZE = 32
METHOD = "monge-kantorovich"  # takes milliseconds


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_methods", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "score_methods", module)  # worker processes import it under this name
    monkeypatch.syspath_prepend(TOOL.parent)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what the tool sets is undone after the test
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run the tool with arguments."""

    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["score_methods.py", *map(str, arguments)])
        tool.main()

    return run


def write_result(file: Path, height: int, width: int) -> None:
    """Write a grey result as the tool does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), "grey").save(file)
    file.with_suffix(".json").write_text(json.dumps({"seconds": 1.5}))


def write_results(folder: Path, pairs: Path, method: str = METHOD) -> None:
    """Write a result for every pair, at the size that SIZE makes."""
    for pair in pairs.iterdir():
        write_result(folder / method / f"{pair.name}.png", 24, 32)


def prepared(folder: Path) -> PhotoPair:
    photos = [read_photo(folder / f"{role}.png") for role in ("content", "style")]
    return prepare_pair(*photos, folder / "content_mask.png", folder / "style_mask.png", SIZE)


def test_run_writes_the_results_of_methods_and_how_long_they_took(call, pairs, tmp_path):
    out = tmp_path / "out"
    call("run", "--pairs", pairs, "-o", out, "--only", f"{METHOD},reinhard-regions", "--size", SIZE)
    for name in (METHOD, "reinhard-regions"):
        for pair in ("2", "10"):
            result = torch.from_numpy(np.asarray(Image.open(out / name / f"{pair}.png")).copy()).permute(2, 0, 1)
            expected = apply_method(name, prepared(pairs / pair)).mul(255).round()
            torch.testing.assert_close(result.float(), expected, atol=1, rtol=0)  # sums in another process may round
            assert json.loads((out / name / f"{pair}.json").read_text())["seconds"] >= 0


def test_table_scores_results_as_evaluate_does_against_the_published_ones(call, pairs, tmp_path, capsys):
    out = tmp_path / "out"
    for pair in ("2", "10"):
        result = apply_method("reinhard", prepared(pairs / pair)).mul(255).round().byte().permute(1, 2, 0).numpy()
        write_result(out / "reinhard" / f"{pair}.png", 24, 32)
        Image.fromarray(result).save(out / "reinhard" / f"{pair}.png")
    call("table", out, "--pairs", pairs, "--size", SIZE, "--json", tmp_path / "all.json")
    rows = json.loads((tmp_path / "all.json").read_text())
    assert list(rows) == ["reinhard"]
    assert list(rows["reinhard"]) == ["2", "10"], "pairs are not in the order of their numbers"
    scores = {"stains": [], "look": [], "photorealism": [], "style": []}
    invented = []
    for pair, row in rows["reinhard"].items():
        photos = [pairs / pair / f"{name}.png" for name in ("content", "style", "content_mask", "style_mask")]
        expected = fastphoto.evaluate(
            *photos[:2],
            {"result": out / "reinhard" / f"{pair}.png"},
            *photos[2:],
            reference=pairs / pair / "published.png",
            size=SIZE,
        )["result"]
        assert row["scores"] == pytest.approx(asdict(expected.scores), rel=1e-6)
        assert row["measures"] == pytest.approx(asdict(expected.measures), rel=1e-6)
        for name, values in scores.items():
            values.append(row["scores"][name])
        invented.append(row["measures"]["invented"])
    worse = np.maximum(scores["photorealism"], scores["style"])
    stains, look, photorealism, style = (np.median(values) for values in scores.values())
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == (
        f"| Reinhard (`reinhard`) | {stains:.2f} | {look:.2f} | {np.median(invented):.2f} | {photorealism:.2f} | "
        f"{style:.2f} | {worse.mean():.2f} | {(worse < 1).sum()} of 2 | 1.5 |"
    )


def test_judges_measure_the_layers_that_those_before_them_lack(call, pairs, tmp_path, capsys):
    """The embedded encoder has all layers, so a judge after it changes nothing."""
    write_results(tmp_path, pairs)
    lines = []
    for judges in ([], ["--judge", "embedded"], ["--judge", "embedded", "--judge", f"vgg19-16x={EMBEDDED}"]):
        call("table", tmp_path, "--pairs", pairs, "--size", SIZE, *judges)
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1] == lines[2]


def test_complete_results_are_kept_and_others_made_again(call, pairs, tmp_path):
    write_results(tmp_path, pairs)
    complete, stopped = (tmp_path / METHOD / f"{pair}.png" for pair in ("2", "10"))
    stopped.with_suffix(".json").unlink()
    call("run", "--pairs", pairs, "-o", tmp_path, "--only", METHOD, "--size", SIZE)
    assert np.ptp(np.asarray(Image.open(complete))) == 0, "a complete result was made again"
    assert np.ptp(np.asarray(Image.open(stopped))) > 0, "a result without its record was taken for complete"
    assert stopped.with_suffix(".json").exists()


def test_candidates_are_all_methods_and_all_variants(tool):
    known = tool.candidates()
    assert set(METHODS) < set(known)
    assert "style-statistic/moments" in known and "regions/none" in known


# What is refused


def refused(call: Callable[..., None], capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the line that the tool ends with."""
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    assert stopped.value.code == 2
    output = capsys.readouterr()
    assert output.out == "", "printed a table before the error"
    lines = output.err.splitlines()
    assert "Traceback" not in output.err
    assert lines[-1].startswith("score_methods: ")
    return lines[-1]


@pytest.mark.parametrize("command", [["run", "-o", "out"], ["table", "out"]], ids=["run", "table"])
@pytest.mark.parametrize(
    ("folder", "message"),
    [("missing", "no such folder"), ("empty", "no pairs; give a folder of N/content.png")],
    ids=["missing folder", "no pairs"],
)
def test_a_folder_without_pairs_is_refused(call, tmp_path, capsys, command, folder, message):
    (tmp_path / "empty").mkdir()
    line = refused(call, capsys, *command, "--pairs", tmp_path / folder)
    assert f"--pairs {tmp_path / folder}: {message}" in line


def test_unknown_methods_are_refused_with_those_known(call, pairs, tmp_path, capsys):
    line = refused(call, capsys, "run", "--pairs", pairs, "-o", tmp_path, "--only", "reinhart,pitie")
    assert "--only: reinhart unknown; give some of fastphoto, dpst" in line


@pytest.mark.parametrize(
    "command",
    [["run", "--only", METHOD, "-o"], ["table"]],
    ids=["run", "table"],
)
@pytest.mark.parametrize("other", ["2", "10"])
def test_results_of_different_sizes_in_one_folder_are_refused(call, pairs, tmp_path, capsys, command, other):
    write_results(tmp_path, pairs)
    write_result(tmp_path / METHOD / f"{other}.png", 30, 40)
    line = refused(call, capsys, *command, tmp_path, "--pairs", pairs, "--size", SIZE)
    assert f"{METHOD}/{other}.png: 40x30 pixels, but --size 32 makes 32x24; give the --size" in line


def test_results_of_another_size_by_another_method_are_refused_before_any_work(call, pairs, tmp_path, capsys):
    write_result(tmp_path / "pitie" / "2.png", 30, 40)
    line = refused(call, capsys, "run", "--pairs", pairs, "-o", tmp_path, "--only", METHOD, "--size", SIZE)
    assert "pitie/2.png: 40x30 pixels, but --size 32 makes 32x24" in line
    assert not (tmp_path / METHOD).exists()


def test_a_published_result_of_another_aspect_is_refused(call, pairs, tmp_path, capsys):
    write_results(tmp_path, pairs)
    Image.new("RGB", (36, 48)).save(pairs / "2" / "published.png")
    line = refused(call, capsys, "table", tmp_path, "--pairs", pairs, "--size", SIZE)
    assert "published.png: 36x48 pixels do not fit the content's 32x24" in line


def test_results_that_cannot_be_written_are_refused_before_any_work(call, pairs, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    (tmp_path / "new" / METHOD / "10.png").mkdir(parents=True)
    words = ["run", "--pairs", pairs, "--only", METHOD, "--size", SIZE, "-o"]
    assert f"taken/{METHOD}: cannot be made" in refused(call, capsys, *words, tmp_path / "taken")
    assert "10.png: is a folder" in refused(call, capsys, *words, tmp_path / "new")
    assert not (tmp_path / "new" / METHOD / "2.png").exists(), "a method ran before"


@pytest.mark.parametrize("name", ["folder", "nowhere/all.json", f"{METHOD}/2.json"])
def test_a_file_of_scores_that_cannot_be_written_is_refused_before_any_work(call, pairs, tmp_path, capsys, name):
    write_results(tmp_path, pairs)
    (tmp_path / "folder").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.glob(f"{METHOD}/*")}
    words = ["table", tmp_path, "--pairs", pairs, "--size", SIZE, "--judge", "vgg19=absent", "--json", tmp_path / name]
    assert f"{tmp_path / name}: " in refused(call, capsys, *words), "the judge was read before"
    assert {path: path.read_bytes() for path in tmp_path.glob(f"{METHOD}/*")} == before


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ("vgg19={folder}/missing.safetensors", "missing.safetensors: "),
        ("vgg19={folder}/text.safetensors", "text.safetensors: "),
        ("vgg99={folder}/text.safetensors", "encoder 'vgg99': unknown"),
    ],
    ids=["missing file", "no weights", "unknown encoder"],
)
def test_judges_that_cannot_be_read_are_refused(call, pairs, tmp_path, capsys, judge, message):
    write_results(tmp_path, pairs)
    (tmp_path / "text.safetensors").write_text("no weights")
    line = refused(call, capsys, "table", tmp_path, "--pairs", pairs, "--judge", judge.format(folder=tmp_path))
    assert message in line


def test_a_folder_without_results_is_refused(call, pairs, tmp_path, capsys):
    line = refused(call, capsys, "table", tmp_path / "none", "--pairs", pairs)
    assert "none: no results of these pairs; make them with score_methods.py run" in line


@pytest.mark.parametrize("text", ["", "[]", '{"minutes": 1}'], ids=["empty", "list", "other key"])
def test_a_damaged_record_is_refused(call, pairs, tmp_path, capsys, text):
    write_results(tmp_path, pairs)
    (tmp_path / METHOD / "2.json").write_text(text)
    line = refused(call, capsys, "table", tmp_path, "--pairs", pairs, "--size", SIZE)
    assert "2.json: not a record of this tool; remove it" in line


def test_a_pair_without_a_photo_is_refused_by_a_worker_too(call, pairs, tmp_path, capsys):
    (pairs / "2" / "style.png").unlink()
    line = refused(call, capsys, "run", "--pairs", pairs, "-o", tmp_path, "--only", METHOD, "--size", SIZE)
    assert "style.png: no such file" in line


@pytest.mark.parametrize("option", [("--size", "15"), ("--size", "big"), ("--processes", "0")], ids=" ".join)
def test_numbers_out_of_range_are_refused(call, pairs, tmp_path, capsys, option):
    with pytest.raises(SystemExit) as stopped:
        call("run", "--pairs", pairs, "-o", tmp_path, *option)
    assert stopped.value.code == 2
    assert f"argument {option[0]}: must be a whole number of" in capsys.readouterr().err
