"""The folder that a comparison writes: its pictures, description and page, and files that are in the way."""

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
from markup import Element, Markup
from PIL import Image
from rendered_photos import day, dusk

import fastphoto
from fastphoto.encoders.encoder import EMBEDDED
from fastphoto.errors import FileError, InputError
from fastphoto.evaluation.scores import evaluate
from fastphoto.methods.registry import METHODS, RunOptions
from fastphoto.photos.read import read_photo
from fastphoto.regions.pair import prepare_pair
from fastphoto.reports.comparison import Comparison, compare_methods, find_methods
from fastphoto.reports.results import RESULT_COLUMNS, result_row
from fastphoto.reports.study import make_study
from fastphoto.runtime.device import choose_device

CONTENT, STYLE = day(), dusk()
NAMES = ["monge-kantorovich-regions", "reinhard", "quick"]
PICTURES = ["content.png", "style.png", *(f"{name}.png" for name in NAMES)]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Two transfers of colour, and Deep Photo Style Transfer in one step."""
    content, style = read_photo(CONTENT.array, "content"), read_photo(STYLE.array, "style")
    pair = prepare_pair(content, style, CONTENT.mask_picture, STYLE.mask_picture, 64)
    quick = replace(METHODS["dpst"], settings={"steps": 1, "start": "content"}, title='Quick & "rough" <3')
    return compare_methods(pair, find_methods(NAMES[:2]) | {"quick": quick})


@pytest.fixture(scope="module")
def folder(comparison, tmp_path_factory) -> Path:
    """The folder of the written comparison, which tests only read."""
    return comparison.write(tmp_path_factory.mktemp("comparisons") / "lake").parent


def description_of(folder: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "comparison.json").read_text(encoding="utf-8"), parse_constant=refuse)


def read_page(folder: Path) -> Markup:
    return Markup((folder / "index.html").read_text(encoding="utf-8"))


def words(elements: list[Element]) -> list[str]:
    return [element.words for element in elements]


# ---- pictures ----------------------------------------------------------------------------------------------


def test_write_returns_the_page(comparison, tmp_path):
    assert comparison.write(tmp_path / "of" / "lake") == tmp_path / "of" / "lake" / "index.html"


def test_folder_holds_the_promised_files(folder):
    assert {path.name for path in folder.iterdir()} == {
        "index.html",
        "contact-sheet.jpg",
        "comparison.json",
        *PICTURES,
    }


@pytest.mark.parametrize("name, photo", [("content", CONTENT), ("style", STYLE)], ids=["content", "style"])
def test_content_and_style_are_written_as_they_are(folder, name, photo):
    assert np.array_equal(np.asarray(Image.open(folder / f"{name}.png")), photo.array)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_written_in_8_bits(folder, comparison, name):
    picture = Image.open(folder / f"{name}.png")
    exact = 255 * comparison.results[name].pixels.double().permute(1, 2, 0).numpy()
    assert picture.mode == "RGB" and picture.format == "PNG"
    # Levels up to 255 in float32 are off by 2^-17, which may round a half to the other side.
    assert np.abs(np.asarray(picture) - exact).max() <= 0.5 + 2**-16


def test_contact_sheet_shows_all_pictures_in_rows(folder, comparison):
    assert [[title for title, _ in row] for row in comparison.rows()] == [
        comparison.titles()[:4],
        comparison.titles()[4:],
    ]
    assert [len(row) for row in comparison.rows(columns=2)] == [2, 2, 1]
    sheet = Image.open(folder / "contact-sheet.jpg")
    assert sheet.format == "JPEG" and sheet.width > 3 * 480 + 308 and sheet.height > 2 * 360
    first = np.asarray(sheet.convert("RGB").crop((8, 8, 488, 368)).resize((64, 48), Image.Resampling.BOX), float)
    assert np.abs(first - CONTENT.array).mean() < 6, "the first picture is not the content"


# ---- description -------------------------------------------------------------------------------------------


def test_description_names_photos_size_regions_versions_and_methods(folder, comparison):
    description = description_of(folder)
    assert (description["content"], description["style"]) == ("content.png", "style.png")
    assert description["size"] == {"width": 64, "height": 48}
    assert description["regions"] == list(comparison.pair.names) and description["matched_frame"] is False
    assert description["versions"] == {"fastphoto": fastphoto.__version__, "torch": torch.__version__}
    assert list(description["methods"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_description_has_title_time_scores_and_measures(folder, comparison, name):
    described, result = description_of(folder)["methods"][name], comparison.results[name]
    assert (described["file"], described["title"]) == (f"{name}.png", result.method.title)
    assert described["seconds"] == pytest.approx(result.seconds, abs=6e-4)
    assert described["scores"] == asdict(result.evaluation.scores)
    assert described["measures"] == asdict(result.evaluation.measures)


def test_description_has_all_settings_with_infinity_as_text(folder):
    methods = description_of(folder)["methods"]
    settings = methods["quick"]["settings"]
    assert settings["preset"] == "paper" and settings["steps"] == [1] and settings["epsilon"] == 1e-7
    assert settings["maximum_change"] == "inf" and settings["smooth_colour"] == 0.01
    assert methods["reinhard"]["settings"] == METHODS["reinhard"].as_dict()


def test_description_has_the_options_of_optimisations(comparison, tmp_path):
    """The device is the one that "auto" chose; transfers of colour take none of the options."""
    options = RunOptions(encoder="vgg19-16x", weights=EMBEDDED, seed=3)
    methods = {"quick": comparison.results["quick"].method} | find_methods(["reinhard"])
    compare_methods(comparison.pair, methods, options=options).write(tmp_path)
    described = description_of(tmp_path)["methods"]
    settings = described["quick"]["settings"]
    names = ("encoder", "device", "seed", "weights")
    assert [settings[name] for name in names] == ["vgg19-16x", str(choose_device("auto")), 3, EMBEDDED.name]
    assert not set(names) & set(described["reinhard"]["settings"])
    shown = read_page(tmp_path)
    assert ("encoder", "vgg19-16x") in zip(words(shown.all("dt")), words(shown.all("dd")), strict=True)


def test_written_pictures_have_the_described_measures(folder):
    """But for the rounding of the pictures to 8 bits, which may move structure across the limit of what is invented."""
    methods = description_of(folder)["methods"]
    pictures = {name: folder / methods[name]["file"] for name in methods}
    evaluations = evaluate(
        folder / "content.png", folder / "style.png", pictures, CONTENT.mask_picture, STYLE.mask_picture
    )
    for name, evaluation in evaluations.items():
        assert asdict(evaluation.scores) == pytest.approx(methods[name]["scores"], rel=0.03)
        assert asdict(evaluation.measures) == pytest.approx(methods[name]["measures"], rel=0.03, abs=0.005)


def test_study_accepts_the_folder(folder, comparison, tmp_path):
    page = make_study([folder], tmp_path / "study")
    key = json.loads((page.parent / "key.json").read_text())
    assert sorted(image["method"] for image in key["images"].values()) == sorted(NAMES)
    assert {image["pair"] for image in key["images"].values()} == {"lake"}
    for image in key["images"].values():
        assert image["scores"] == asdict(comparison.results[image["method"]].evaluation.scores)
    assert key["methods"] == {name: result.method.title for name, result in comparison.results.items()}


# ---- page --------------------------------------------------------------------------------------------------


def test_page_is_balanced_accessible_and_loads_nothing(folder):
    read_page(folder).check()


def test_page_says_what_a_score_of_one_is_at_the_size_of_the_photos(folder, comparison):
    median = "the median of the results that Deep Photo Style Transfer published"
    said = words(read_page(folder).all("p"))[0]
    assert "They were measured at 56 to 64 pixels, so compare them with one another alone. " in said
    assert f"Only at 350 pixels is 1.00 {median}." in said
    large = replace(comparison.pair, content=torch.rand(3, 350, 400), style=torch.rand(3, 500, 350))
    introduction = Comparison(large, comparison.results)._page().html().split("</p>")[0]
    assert f"lower is better, and 1.00 is {median}." in introduction and "measured at" not in introduction


def test_page_shows_content_style_and_every_method(folder, comparison):
    page = read_page(folder)
    titles = ["Content", "Style", *(result.method.title for result in comparison.results.values())]
    assert comparison.titles() == titles
    assert words(page.all("strong")) == titles, "other captions in the gallery"
    assert words(page.all("option")) == 2 * titles, "other names in the lists of the viewer"
    assert words([e for e in page.all("option") if "selected" in e.attributes]) == ["Content", titles[2]]
    assert words(page.all("summary")) == titles[2:], "other lists of settings"


def test_page_stores_every_picture_once(folder):
    html = (folder / "index.html").read_text(encoding="utf-8")
    encoded = re.findall(r'"data:image/(?:jpeg|png);base64,([^"]+)"', html)
    assert len(encoded) == len(PICTURES)
    for data, name in zip(encoded, PICTURES, strict=True):
        stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), float)
        written = np.asarray(Image.open(folder / name), float)
        assert stored.shape == written.shape and np.abs(stored - written).mean() < 5, (
            f"the page stores another picture than {name}"
        )


def test_table_begins_with_the_fewest_stains(folder, comparison):
    by_stains = sorted(comparison.results.values(), key=lambda result: result.evaluation.scores.stains)
    assert by_stains != list(comparison.results.values()), "the methods ran in this order"
    assert words(read_page(folder).all("th", scope="row")) == [result.method.title for result in by_stains]


@pytest.mark.parametrize("number, name", list(enumerate(NAMES)), ids=NAMES)
def test_page_says_scores_and_measures(folder, comparison, number, name):
    page, result = read_page(folder), comparison.results[name]
    assert words(page.all("th", scope="col")) == [column.name for column in RESULT_COLUMNS]
    scores, measures = result.evaluation.scores, result.evaluation.measures
    values = [scores.stains, scores.look, scores.photorealism, scores.style, result.seconds]
    values += [measures.stains, measures.look, measures.invented, measures.affine, measures.edge, measures.ssim]
    values += [measures.contrast, measures.gram]
    assert result_row(result) == [result.method.title, *values]
    place = words(page.all("th", scope="row")).index(result.method.title)
    row = words(page.all("td"))[place * len(values) : (place + 1) * len(values)]
    digits = [2, 2, 2, 2, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    shown = [cell.removesuffix(" (best)") for cell in row]
    assert shown == [f"{value:.{places}f}" for value, places in zip(values, digits, strict=True)]
    notes = words([e for e in page.all("span") if "figcaption" in e.inside])
    assert notes[number] == f"stains {scores.stains:.2f}, look {scores.look:.2f}"


def test_page_says_settings(folder):
    page = read_page(folder)
    names_and_values = zip(words(page.all("dt")), words(page.all("dd")), strict=True)
    settings = dict(names_and_values)  # of the last method, where several have the same name
    assert settings["source"] == METHODS["dpst"].source
    assert settings["steps"] == "1" and settings["smooth_radius"] == "15"
    assert settings["style_layers"] == "relu1_1, relu2_1, relu3_1, relu4_1, relu5_1"


# ---- files that are in the way -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["content.png", "style.png", "contact-sheet.jpg", "quick.png", "comparison.json"])
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "by a link"])
def test_input_with_the_name_of_an_output_is_refused_and_stays(comparison, tmp_path, name, linked):
    (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "link.png").symlink_to(tmp_path / name)
    inputs = [STYLE.array, str(tmp_path / "link.png")] if linked else [tmp_path / name]
    message = re.escape(f"{name}: is also an input; write the result to another")
    with pytest.raises(InputError, match=message):
        comparison.write(tmp_path, inputs)
    assert {path.name for path in tmp_path.iterdir()} == {name, "link.png"}
    assert (tmp_path / name).read_bytes() == b"precious"


def test_inputs_with_other_names_stay(comparison, tmp_path):
    inputs = [tmp_path / "photo.png", tmp_path / "pitie.png"]
    for path in inputs:
        path.write_bytes(b"precious")
    comparison.write(tmp_path, inputs)
    assert [path.read_bytes() for path in inputs] == [b"precious", b"precious"]


def test_files_of_an_earlier_comparison_are_replaced(folder, comparison, tmp_path):
    (tmp_path / "reinhard.png").write_bytes(b"old")
    comparison.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_failed_write_leaves_an_earlier_comparison_as_it_was(folder, comparison, tmp_path, monkeypatch):
    comparison.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    changed = Comparison(comparison.pair, dict(list(comparison.results.items())[:1]))
    monkeypatch.setattr(changed._page().__class__, "html", lambda page: "\ud800")  # no UTF-8, found as it is written
    with pytest.raises(FileError, match="index.html"):
        changed.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_file_in_place_of_the_folder_is_refused(comparison, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file: cannot be made"):
        comparison.write(tmp_path / "file")
