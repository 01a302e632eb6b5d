"""Comparisons: what methods are run on and told, how results are measured, and the folder that is written of them."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from markup import Markup
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.errors import FastPhotoError, FastPhotoWarning, FileError, InputError
from fastphoto.evaluation.scores import evaluate
from fastphoto.methods.registry import METHODS, apply_method
from fastphoto.photos.read import read_photo
from fastphoto.pipeline import Progress
from fastphoto.regions.pair import prepare_pair
from fastphoto.reports import comparison as comparison_module
from fastphoto.reports.comparison import (
    COLUMNS,
    Comparison,
    check_folder,
    compare,
    compare_methods,
    find_methods,
    measured_row,
)
from fastphoto.reports.study import make_study

CONTENT, STYLE = day(), dusk()
METHOD_NAMES = ["monge-kantorovich-regions", "reinhard", "quick"]


def pair_of(size: int = 64):
    both = read_photo(CONTENT.array, "content"), read_photo(STYLE.array, "style")
    return prepare_pair(*both, CONTENT.mask, STYLE.mask, size)


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """Two transfers of colour, and Deep Photo Style Transfer in a few steps."""
    quick = replace(METHODS["dpst"], settings={"steps": 1, "start": "content"}, title='Quick & "rough" <3')
    return compare_methods(pair_of(), find_methods(METHOD_NAMES[:2]) | {"quick": quick})


@pytest.fixture
def folder(compared, tmp_path) -> Path:
    """What `write` left."""
    assert compared.write(tmp_path / "of" / "lake") == tmp_path / "of" / "lake" / "index.html"
    return tmp_path / "of" / "lake"


def quick_compare(methods=("reinhard",), **options) -> Comparison:
    return compare(CONTENT.array, STYLE.array, CONTENT.mask, STYLE.mask, methods=list(methods), **options)


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def described(folder: Path) -> dict:
    return json.loads((folder / "comparison.json").read_text(encoding="utf-8"), parse_constant=no_constant)


# What is run


@pytest.mark.parametrize("size, small", [(350, (48, 64)), (32, (24, 32))])
def test_methods_see_the_photos_at_one_size(size, small):
    found = quick_compare(["pitie-regions", "reinhard"], size=size)
    assert list(found.results) == ["pitie-regions", "reinhard"]
    assert found.pair.content.shape[1:] == small and max(found.pair.style.shape) == min(size, 56)
    for name, result in found.results.items():
        assert result.method is METHODS[name]
        assert torch.equal(result.pixels, apply_method(name, pair_of(size)))
        assert result.seconds > 0


def test_all_methods_are_run_unless_some_are_named(monkeypatch):
    assert find_methods() == dict(METHODS) and list(find_methods()) == list(METHODS)
    few = {name: METHODS[name] for name in ("reinhard", "monge-kantorovich")}
    monkeypatch.setattr(comparison_module, "METHODS", few)
    assert list(compare(CONTENT.array, STYLE.array).results) == list(few)


def test_methods_keep_the_order_they_are_named_in_and_run_once():
    assert list(find_methods(["reinhard", "dpst", "reinhard"])) == ["reinhard", "dpst"]


@pytest.mark.parametrize(
    "names, words", [(["reinhard", "fast"], "method 'fast': unknown"), ([], "methods: none given")]
)
def test_unknown_methods_and_none_are_refused_before_any_work(names, words):
    begun = []
    with pytest.raises(InputError, match=f"^{words}; give some of {', '.join(METHODS)}$"):
        quick_compare(names, report=lambda *said: begun.append(said))
    assert not begun


def test_progress_is_reported_in_order():
    seen = []
    quick_compare(["reinhard", "fastphoto", "pitie"], size=32, report=lambda *said: seen.append(said))
    names = [name for name, _ in seen]
    assert names == ["reinhard", *["fastphoto"] * (len(seen) - 2), "pitie"]
    assert [seen[at][1] for at in (0, 1, -1)] == [None, None, None]
    steps = [progress for _, progress in seen[2:-1]]
    assert all(isinstance(progress, Progress) for progress in steps)
    assert [progress.step for progress in steps] == list(range(1, 71)) and steps[0].total == 70


@pytest.mark.parametrize("report", [None, lambda name, progress: True])
def test_what_a_report_returns_stops_nothing(report):
    quick = {"quick": replace(METHODS["fastphoto"], settings={"steps": (2, 2, 4)})}
    found = compare_methods(pair_of(), quick, report).results["quick"].pixels
    assert torch.equal(found, apply_method(quick["quick"], pair_of()))


@pytest.mark.parametrize("option", [{"encoder": "vgg20"}, {"device": "tpu"}, {"seed": -1}, {"weights": "missing"}])
def test_options_of_transfer_reach_it(option):
    with pytest.raises(FastPhotoError):
        quick_compare(["fastphoto"], **option)


def test_matched_frame_is_brought_to_the_style_and_used():
    """Two frames that are alike change nothing; one that was taken at another size is resized, and changes little."""
    frame = Image.fromarray(STYLE.array)
    frames = frame, frame.resize((96, 112), Image.Resampling.NEAREST), None
    results = [quick_compare(["time-of-day"], matched_frame=f).results["time-of-day"].pixels for f in frames]
    same, resized, without = (float((pixels - CONTENT.pixels).abs().mean()) for pixels in results)
    assert same < 1e-4 and resized < 0.5 * without and without > 0.05


def test_matched_frame_of_another_aspect_is_refused():
    words = "^matched frame: 64x48 pixels do not fit the style's 48x56; give two frames of one camera$"
    with pytest.raises(InputError, match=words):
        quick_compare(["time-of-day"], matched_frame=CONTENT.array)


# What is measured


def test_results_are_measured_as_evaluate_does(compared):
    pixels = {name: result.pixels for name, result in compared.results.items()}
    wanted = evaluate(CONTENT.array, STYLE.array, pixels, CONTENT.mask, STYLE.mask)
    assert {name: result.evaluation for name, result in compared.results.items()} == wanted
    unlike = evaluate(CONTENT.array, STYLE.array, pixels)
    assert unlike["reinhard"].measures.colour != wanted["reinhard"].measures.colour, "regions matter"


def test_without_masks_results_are_measured_as_a_whole():
    found = compare(CONTENT.array, STYLE.array, methods=["reinhard"]).results["reinhard"]
    assert found.evaluation == evaluate(CONTENT.array, STYLE.array, {"a": found.pixels})["a"]


@pytest.mark.parametrize("names", [("house", "sky", "land"), ("sky", "land", "house")])
def test_regions_that_the_style_lacks_leave_the_others_measured(names):
    house = torch.zeros(48, 64)
    house[30:40, 20:40] = 1
    sky, land = CONTENT.regions * (1 - house)
    mine = {name: {"house": house, "sky": sky, "land": land}[name] for name in names}
    theirs = dict(zip(("sky", "land"), STYLE.regions, strict=True))
    with pytest.warns(FastPhotoWarning):
        found = compare(CONTENT.array, STYLE.array, mine, theirs, methods=["reinhard-regions"], orphans="global")
        pixels = found.results["reinhard-regions"].pixels
        wanted = evaluate(CONTENT.array, STYLE.array, {"a": pixels}, mine, theirs)["a"]
    assert found.results["reinhard-regions"].evaluation == wanted
    assert found.pair.names == names


# What is written


def test_files_are_those_promised(folder):
    images = ["content.png", "style.png", *(f"{name}.png" for name in METHOD_NAMES)]
    assert {p.name for p in folder.iterdir()} == {"index.html", "contact-sheet.jpg", "comparison.json", *images}


def test_pictures_hold_content_style_and_results_to_8_bits(folder, compared):
    assert np.array_equal(np.asarray(Image.open(folder / "content.png")), CONTENT.array)
    assert np.array_equal(np.asarray(Image.open(folder / "style.png")), STYLE.array)
    for name, result in compared.results.items():
        written = Image.open(folder / f"{name}.png")
        wanted = np.rint(255 * result.pixels.double().permute(1, 2, 0).numpy())
        assert written.mode == "RGB" and written.format == "PNG" and np.array_equal(np.asarray(written), wanted)


def test_description_is_json_and_says_what_was_done(folder, compared):
    found = described(folder)
    assert (found["content"], found["style"], found["size"]) == ("content.png", "style.png", [48, 64])
    assert list(found["methods"]) == METHOD_NAMES
    for name, result in compared.results.items():
        said = found["methods"][name]
        assert said["file"] == f"{name}.png" and said["title"] == result.method.title
        assert said["seconds"] == pytest.approx(result.seconds, abs=6e-4)
        assert said["scores"] == asdict(result.evaluation.scores)
        assert said["measures"] == asdict(result.evaluation.measures)
    settings = found["methods"]["quick"]["settings"]
    assert settings["preset"] == "paper" and settings["steps"] == [1] and settings["epsilon"] == 1e-7
    assert settings["maximum_change"] == "inf" and settings["smooth_colour"] == 0.01
    assert found["methods"]["reinhard"]["settings"] == METHODS["reinhard"].described()


def test_written_pictures_measure_what_is_said_of_them(folder):
    """But for their rounding to 8 bits."""
    said = described(folder)["methods"]
    pictures = {name: folder / said[name]["file"] for name in said}
    found = evaluate(folder / "content.png", folder / "style.png", pictures, CONTENT.mask, STYLE.mask)
    for name in said:
        assert asdict(found[name].scores) == pytest.approx(said[name]["scores"], rel=0.03)
        assert asdict(found[name].measures) == pytest.approx(said[name]["measures"], rel=0.03)


def test_study_accepts_the_folder(folder, compared):
    page = make_study([folder], folder.parent / "study")
    key = json.loads((page.parent / "key.json").read_text())
    assert sorted(entry["method"] for entry in key["images"].values()) == sorted(METHOD_NAMES)
    assert {entry["pair"] for entry in key["images"].values()} == {"lake"}
    assert key["methods"] == {name: result.method.title for name, result in compared.results.items()}


def test_page_holds_every_picture_and_title_and_loads_nothing(folder, compared):
    html = (folder / "index.html").read_text(encoding="utf-8")
    markup = Markup(html)
    markup.check()
    titles = ["Content", "Style", *(result.method.title for result in compared.results.values())]
    assert compared.titles() == titles
    assert [e.words for e in markup.all("strong")] == titles, "captions of the pictures"
    names = [e.words for e in markup.all("option")]
    assert names == 2 * titles
    assert [e.words for e in markup.all("option") if "selected" in e.attributes] == ["Content", titles[2]]
    assert [e.words for e in markup.all("summary")] == titles[2:]
    held = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), float)
        for data in re.findall(r'"data:image/(?:jpeg|png);base64,([^"]+)"', html)
    ]
    wanted = [np.asarray(Image.open(folder / f"{name}.png"), float) for name in ["content", "style", *METHOD_NAMES]]
    assert len(held) == len(wanted), "each once"
    for found, picture in zip(held, wanted, strict=True):
        assert found.shape == picture.shape and np.abs(found - picture).mean() < 5


def test_page_says_scores_measures_and_settings(folder, compared):
    markup = Markup((folder / "index.html").read_text(encoding="utf-8"))
    assert [e.words for e in markup.all("th", scope="col")] == [column.name for column in COLUMNS]
    cells = [e.words.removesuffix(" (best)") for e in markup.all("td")]
    per_row = len(COLUMNS) - 1
    notes = [e.words for e in markup.all("span") if "figcaption" in e.inside]
    for number, result in enumerate(compared.results.values()):
        scores, measures = result.evaluation.scores, result.evaluation.measures
        row = [scores.style, scores.photorealism, max(scores.style, scores.photorealism)]
        row += [measures.gram, measures.colour, measures.contrast, measures.affine, measures.edge, measures.ssim]
        assert measured_row(result) == [result.method.title, *row, result.seconds]
        shown = cells[number * per_row : (number + 1) * per_row]
        places = [2, 2, 2, 3, 2, 3, 2, 3, 3, 1]
        assert shown == [f"{v:.{n}f}" for v, n in zip([*row, result.seconds], places, strict=True)]
        assert notes[number] == f"style {scores.style:.2f}, photorealism {scores.photorealism:.2f}"
    told = {
        name.words: value.words for name, value in zip(markup.all("dt"), markup.all("dd"), strict=True)
    }  # the last method's, where they have a name in common
    assert told["source"] == METHODS["dpst"].source and told["steps"] == "1" and told["smooth_radius"] == "15"
    assert told["style_layers"] == "relu1_1, relu2_1, relu3_1, relu4_1, relu5_1"


def test_contact_sheet_shows_all_in_rows(folder, compared):
    assert [[title for title, _ in row] for row in compared.rows()] == [compared.titles()[:4], compared.titles()[4:]]
    assert [len(row) for row in compared.rows(columns=2)] == [2, 2, 1]
    sheet = Image.open(folder / "contact-sheet.jpg")
    assert sheet.format == "JPEG" and sheet.width > 3 * 480 + 308 and sheet.height > 2 * 360
    shown = np.asarray(sheet.convert("RGB").crop((8, 8, 488, 368)).resize((64, 48), Image.Resampling.BOX), float)
    assert np.abs(shown - CONTENT.array).mean() < 6


# Folders


@pytest.mark.parametrize("name", ["content.png", "style.png", "contact-sheet.jpg", "quick.png"])
def test_folder_that_holds_an_input_under_a_name_of_a_result_is_refused_untouched(compared, tmp_path, name):
    (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "link.png").symlink_to(tmp_path / name)
    for inputs in ([tmp_path / name], [STYLE.array, str(tmp_path / "link.png")]):
        for refused in (lambda i: compared.write(tmp_path, i), lambda i: check_folder(tmp_path, METHOD_NAMES, i)):
            with pytest.raises(InputError, match=re.escape(f"{name}: is also an input; write the result to another")):
                refused(inputs)
    assert {p.name for p in tmp_path.iterdir()} == {name, "link.png"}
    assert (tmp_path / name).read_bytes() == b"precious"


def test_inputs_under_other_names_do_not_matter(compared, tmp_path):
    inputs = [tmp_path / "photo.png", tmp_path / "pitie.png"]
    for path in inputs:
        path.write_bytes(b"precious")
    compared.write(tmp_path, inputs)
    assert all(path.read_bytes() == b"precious" for path in inputs)


def test_comparison_replaces_the_one_before(folder, compared):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (folder / "reinhard.png").write_bytes(b"old")
    compared.write(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_folder_is_made_and_a_file_is_none(compared, tmp_path):
    assert check_folder(tmp_path / "a" / "b", ["reinhard"], []) == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir() and not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file: cannot be made"):
        compared.write(tmp_path / "file")
