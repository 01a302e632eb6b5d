"""fastphoto compare, evaluate, survey, study and invert as a user meets them: what is written, printed and refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from markup import Markup
from PIL import Image
from rendered_photos import Rendered, day, dusk

import fastphoto
from fastphoto.cli import command as cli

QUICK = ["reinhard", "pitie-regions"]


@pytest.fixture
def files(tmp_path):
    """{role: path} of a content photo, a style photo and their masks."""
    pictures: dict[str, np.ndarray] = {}
    photo: Rendered
    for role, photo in (("content", day()), ("style", dusk())):
        pictures |= {f"{role}.png": photo.array, f"{role}_mask.png": photo.mask}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name)
    return {name.removesuffix(".png"): str(tmp_path / name) for name in pictures}


def pair(files) -> list[str]:
    masks = ["--content-mask", files["content_mask"], "--style-mask", files["style_mask"]]
    return [files["content"], files["style"], *masks]


def compared(files, folder: Path, *more: str) -> int:
    return cli.main(["compare", *pair(files), "-o", str(folder), "--methods", ",".join(QUICK), "--quiet", *more])


# ---- compare -----------------------------------------------------------------------------------------------


def test_compare_writes_page_sheet_results_and_their_description(files, tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    arguments = ["compare", *pair(files), "-o", str(folder), "--methods", " reinhard, pitie-regions", "--size", "40"]
    assert cli.main(arguments) == 0
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


def test_compare_knows_the_regions(files, tmp_path):
    masked, bare = tmp_path / "masked", tmp_path / "bare"
    assert compared(files, masked) == 0
    assert cli.main(["compare", *pair(files)[:2], "-o", str(bare), "--methods", ",".join(QUICK), "--quiet"]) == 0
    different = [name for name in QUICK if (masked / f"{name}.png").read_bytes() != (bare / f"{name}.png").read_bytes()]
    assert different == ["pitie-regions"]


def test_compare_takes_a_matched_frame(files, tmp_path, capsys):
    frame = tmp_path / "frame.png"
    Image.fromarray(255 - dusk().array).save(frame)
    arguments = ["compare", *pair(files), "--methods", "time-of-day", "--quiet"]
    assert cli.main([*arguments, "-o", str(tmp_path / "a")]) == 0
    assert cli.main([*arguments, "-o", str(tmp_path / "b"), "--matched-frame", str(frame)]) == 0
    made = [np.asarray(Image.open(tmp_path / folder / "time-of-day.png"), int) for folder in "ab"]
    assert np.abs(made[0] - made[1]).mean() > 2
    assert cli.main([*arguments, "-o", str(tmp_path / "c"), "--matched-frame", str(tmp_path / "absent.png")]) == 2
    assert "absent.png: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--methods", "reinhard,monet"], "method 'monet': unknown; give some of fastphoto, dpst"),
        (["--methods", " , "], "methods: none given"),
        (["--size", "8"], "size: must be a whole number of 16 pixels or more"),
        (["--content-mask", "absent.png"], "absent.png: no such file"),
    ],
)
def test_compare_refuses(files, tmp_path, capsys, change, said):
    assert compared(files, tmp_path / "new", *change) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastphoto: error: ") and said in error and error.count("\n") == 1
    assert not list((tmp_path / "new").glob("*"))


def test_compare_into_the_folder_of_its_photos_is_refused_and_they_stay(files, tmp_path, capsys):
    before = {name: Path(path).read_bytes() for name, path in files.items()}
    assert compared(files, tmp_path) == 2
    assert "also an input" in capsys.readouterr().err
    assert {name: Path(path).read_bytes() for name, path in files.items()} == before
    assert not (tmp_path / "index.html").exists()


def test_compare_where_a_file_is_in_the_way(files, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert compared(files, tmp_path / "taken") == 2
    assert "cannot be made" in capsys.readouterr().err and (tmp_path / "taken").read_text() == "mine"


# ---- evaluate ----------------------------------------------------------------------------------------------


def test_evaluate_prints_a_table_of_what_evaluate_returns(files, tmp_path, capsys):
    assert compared(files, tmp_path / "made") == 0
    results = [str(tmp_path / "made" / f"{name}.png") for name in QUICK]
    assert cli.main(["evaluate", *pair(files), *results]) == 0
    said = capsys.readouterr()
    head, *rows = said.out.splitlines()
    assert said.err == "" and head.split()[:3] == ["result", "style", "photorealism"] and len(rows) == 2
    masks = files["content_mask"], files["style_mask"]
    wanted = fastphoto.evaluate(files["content"], files["style"], {r: r for r in results}, *masks)
    for row, (path, evaluation) in zip(rows, wanted.items(), strict=True):
        name, *numbers = row.split()
        scores, m = evaluation.scores, evaluation.measures
        values = [scores.style, scores.photorealism, m.gram, m.colour, m.contrast, m.affine, m.edge, m.ssim]
        assert name == path and [float(n) for n in numbers] == pytest.approx(values, abs=6e-4)


def test_evaluate_against_a_reference_as_json(files, tmp_path, capsys):
    assert compared(files, tmp_path / "made") == 0
    one, other = (str(tmp_path / "made" / f"{name}.png") for name in QUICK)
    assert cli.main(["evaluate", *pair(files), one, other, "--reference", one, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [one, other]
    assert found[one]["scores"] == pytest.approx({"style": 1, "photorealism": 1})
    assert found[other]["scores"]["style"] < 1


def test_evaluate_refuses(files, tmp_path, capsys):
    tall = tmp_path / "tall.png"
    Image.new("RGB", (30, 60)).save(tall)
    for result, said in ((str(tall), "do not fit the content's"), ("absent.png", "absent.png: no such file")):
        assert cli.main(["evaluate", *pair(files), result]) == 2
        captured = capsys.readouterr()
        assert said in captured.err and captured.out == "" and captured.err.count("\n") == 1


# ---- survey, study, invert ---------------------------------------------------------------------------------


def test_survey_makes_the_figures_asked_for(tmp_path, capsys):
    folder = tmp_path / "survey"
    assert cli.main(["survey", "-o", str(folder), "--size", "32", "--figures", "confused-regions"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fastphoto: running confused-regions/given" and "wrote" in lines[-1]
    assert {file.name for file in folder.iterdir()} == {"index.html", "confused-regions.jpg"}


def test_survey_refuses_an_unknown_figure(tmp_path, capsys):
    assert cli.main(["survey", "-o", str(tmp_path / "new"), "--figures", "lamda"]) == 2
    assert "figure 'lamda': unknown" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_study_from_comparisons_to_charts(files, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert compared(files, tmp_path / "day") == 0
    study = tmp_path / "study"
    assert cli.main(["study", "make", str(tmp_path / "day"), "-o", str(study), "--title", "Which?"]) == 0
    assert f"wrote {study / 'study.html'}" in capsys.readouterr().err
    assert "Which?" in (study / "study.html").read_text(encoding="utf-8")
    key = json.loads((study / "key.json").read_text())
    assert set(key["methods"].values()) == {"Reinhard", "Pitié, by region"}
    rated = [
        {"image": image, "photorealism": 1 + len(entry["method"]) % 4, "faithfulness": 2}
        for image, entry in key["images"].items()
    ]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"study": key["study"], "participant": "p1", "answers": rated}))
    charts = tmp_path / "charts"
    assert cli.main(["study", "charts", str(study / "key.json"), str(answers), "-o", str(charts)]) == 0
    rows = list(csv.DictReader((charts / "scores.csv").open(encoding="utf-8")))
    assert {row["method"] for row in rows} == set(QUICK)
    page = Markup((charts / "scores.html").read_text(encoding="utf-8"))
    page.check()
    assert len(page.all("svg")) == 2


def test_study_refuses(files, tmp_path, capsys):
    assert cli.main(["study", "make", str(tmp_path), "-o", str(tmp_path / "study")]) == 2
    assert "comparison.json: no such file" in capsys.readouterr().err and not (tmp_path / "study").exists()
    assert cli.main(["study", "charts", files["content"], "a.json", "-o", str(tmp_path / "charts")]) == 2
    error = capsys.readouterr().err
    assert "not JSON" in error and error.count("\n") == 1 and not (tmp_path / "charts").exists()


def test_invert_writes_what_a_layer_keeps(files, tmp_path, capsys):
    out = tmp_path / "inverse.png"
    arguments = ["invert", files["content"], "-o", str(out), "--layer", "relu2_1", "--set", "steps=30"]
    assert cli.main(arguments) == 0
    assert f"wrote {out} in " in capsys.readouterr().err
    wanted = fastphoto.invert(files["content"], "relu2_1", steps=30)
    same = fastphoto.transfer(
        files["content"], files["style"], preset="inversion", content_layers="relu2_1", steps=30, size=350
    )
    made = np.asarray(Image.open(out))
    assert made.shape == (48, 64, 3) and (made == np.asarray(wanted)).all() and (made == np.asarray(same)).all()
    assert cli.main([*arguments[:4], "--layer", "relu9_9"]) == 2
    assert "layer 'relu9_9': not in this encoder" in capsys.readouterr().err
    assert cli.main(["invert", files["content"], "-o", files["content"]]) == 2
    assert "also an input" in capsys.readouterr().err
