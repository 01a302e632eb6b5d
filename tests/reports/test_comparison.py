"""Comparing methods: what they are run on, what is reported meanwhile, and how results are measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from compared_measures import assert_same_evaluation
from demo_scenes import DESERT, MOUNTAINS
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.errors import FastPhotoError, FastPhotoWarning, InputError
from fastphoto.evaluation.scores import evaluate
from fastphoto.methods.registry import METHODS, apply_method
from fastphoto.optimisation import memory
from fastphoto.optimisation.presets import PRESETS
from fastphoto.optimisation.progress import Progress
from fastphoto.photos.read import read_photo
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.reports import comparison as comparison_module
from fastphoto.reports.comparison import Comparison, compare, compare_methods, find_methods

CONTENT, STYLE = day(), dusk()


def pair_of(size: int = 64) -> PhotoPair:
    content, style = read_photo(CONTENT.array, "content"), read_photo(STYLE.array, "style")
    return prepare_pair(content, style, CONTENT.mask_picture, STYLE.mask_picture, size)


def quick_compare(methods=("reinhard",), **options) -> Comparison:
    return compare(
        CONTENT.array, STYLE.array, CONTENT.mask_picture, STYLE.mask_picture, methods=list(methods), **options
    )


# ---- which methods -----------------------------------------------------------------------------------------


def test_all_methods_are_found_unless_some_are_named():
    assert list(find_methods().items()) == list(METHODS.items())


def test_all_methods_run_unless_some_are_named(monkeypatch):
    few = {name: METHODS[name] for name in ("reinhard", "monge-kantorovich")}
    monkeypatch.setattr(comparison_module, "METHODS", few)
    assert list(compare(CONTENT.array, STYLE.array).results) == list(few)


def test_methods_keep_the_order_of_their_names_and_run_once():
    assert list(find_methods(["reinhard", "dpst", "reinhard"])) == ["reinhard", "dpst"]


@pytest.mark.parametrize(
    "names, words",
    [
        pytest.param(["reinhard", "fast"], "method 'fast': unknown", id="unknown"),
        pytest.param([], "methods: none given", id="none"),
    ],
)
def test_unknown_methods_and_none_are_refused_before_any_runs(names, words):
    begun = []
    with pytest.raises(InputError, match=f"^{words}; give some of {', '.join(METHODS)}$"):
        quick_compare(names, report=lambda *job: begun.append(job))
    assert not begun, "a method ran before the names were checked"


# ---- what methods get --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, content_size, style_side",
    [pytest.param(350, (48, 64), 56, id="photos are smaller"), pytest.param(32, (24, 32), 32, id="photos are shrunk")],
)
def test_all_methods_get_the_same_prepared_pair(size, content_size, style_side):
    comparison = quick_compare(["pitie-regions", "reinhard"], size=size)
    assert list(comparison.results) == ["pitie-regions", "reinhard"]
    assert comparison.pair.content.shape[1:] == content_size and max(comparison.pair.style.shape) == style_side
    for name, result in comparison.results.items():
        assert result.method is METHODS[name]
        same = apply_method(name, pair_of(size))
        # Pitié's quantiles amplify sums that are wrong by one last digit to 1e-3.
        torch.testing.assert_close(result.pixels, same, atol=5e-3, rtol=0, msg=f"{name} got other photos or masks")
        assert result.seconds > 0


@pytest.mark.parametrize(
    "option", [{"encoder": "vgg20"}, {"device": "tpu"}, {"seed": -1}, {"weights": "missing"}], ids=str
)
def test_options_reach_the_transfer(option):
    with pytest.raises(FastPhotoError):
        quick_compare(["fastphoto"], **option)


def test_what_a_later_method_cannot_run_with_is_refused_before_the_first_one_runs(monkeypatch):
    begun = []
    methods = find_methods(["reinhard"]) | {"deep": replace(METHODS["dpst"], settings={"content_layers": ("relu9_1",)})}
    with pytest.raises(InputError, match="relu9_1"):
        compare_methods(pair_of(), methods, report=lambda *job: begun.append(job))
    monkeypatch.setattr(memory, "available_bytes", lambda device="cpu": 1000)
    with pytest.raises(InputError, match="of memory on cpu"):
        quick_compare(["reinhard", "fastphoto"], device="cpu", report=lambda *job: begun.append(job))
    assert not begun
    assert list(quick_compare(["reinhard"], device="cpu").results) == ["reinhard"], "memory that is not needed"


def test_matched_frame_that_equals_the_style_leaves_the_content():
    """Two equal frames show no change of light that could be transferred."""
    frame = Image.fromarray(STYLE.array)
    pixels = quick_compare(["time-of-day"], matched_frame=frame).results["time-of-day"].pixels
    assert float((pixels - CONTENT.pixels).abs().mean()) < 1e-4


def test_matched_frame_is_resized_to_the_style():
    """The enlarged style as its own frame changes the content little; without a frame it changes a lot."""
    frame = Image.fromarray(STYLE.array).resize((96, 112), Image.Resampling.NEAREST)
    results = [quick_compare(["time-of-day"], matched_frame=f).results["time-of-day"].pixels for f in (frame, None)]
    resized, without = (float((pixels - CONTENT.pixels).abs().mean()) for pixels in results)
    assert resized < 0.5 * without and without > 0.05


def test_matched_frame_of_another_aspect_is_refused():
    words = "^matched frame: 64x48 pixels do not fit the style's 48x56; give two frames of one camera$"
    with pytest.raises(InputError, match=words):
        quick_compare(["time-of-day"], matched_frame=CONTENT.array)


# ---- reports -----------------------------------------------------------------------------------------------


def test_methods_and_their_progress_are_reported_in_order():
    reports = []
    quick_compare(["reinhard", "fastphoto", "pitie"], size=32, report=lambda *job: reports.append(job))
    names = [name for name, _ in reports]
    assert names == ["reinhard", *["fastphoto"] * (len(reports) - 2), "pitie"]
    first, begun, *steps, last = [progress for _, progress in reports]
    assert (first, begun, last) == (None, None, None), "a method did not begin with None"
    assert all(isinstance(progress, Progress) for progress in steps)
    steps = [progress for progress in steps if progress.is_step]
    total = sum(PRESETS["fast"].steps)
    assert [progress.step for progress in steps] == list(range(1, total + 1)) and steps[0].total == total


@pytest.mark.parametrize("report", [None, lambda name, progress: True], ids=["no report", "a report returning True"])
def test_report_cannot_stop_a_method(report):
    quick = {"quick": replace(METHODS["fastphoto"], settings={"steps": 8})}
    result = compare_methods(pair_of(), quick, report=report).results["quick"]
    # Eight steps amplify sums that are wrong by one last digit to 1e-3.
    torch.testing.assert_close(result.pixels, apply_method(quick["quick"], pair_of()), atol=5e-3, rtol=0)


# ---- measures ----------------------------------------------------------------------------------------------


def test_results_are_measured_by_region_as_evaluate_does():
    comparison = quick_compare(["monge-kantorovich-regions", "reinhard"])
    pixels = {name: result.pixels for name, result in comparison.results.items()}
    by_region = evaluate(CONTENT.array, STYLE.array, pixels, CONTENT.mask_picture, STYLE.mask_picture)
    for name, result in comparison.results.items():
        assert_same_evaluation(result.evaluation, by_region[name])
    assert list(by_region) == list(comparison.results)
    as_a_whole = evaluate(CONTENT.array, STYLE.array, pixels)
    whole, parts = (evaluations["reinhard"].measures.look for evaluations in (as_a_whole, by_region))
    assert whole != pytest.approx(parts), "masks change nothing"


def test_results_are_measured_as_a_whole_without_masks():
    result = compare(CONTENT.array, STYLE.array, methods=["reinhard"]).results["reinhard"]
    assert_same_evaluation(result.evaluation, evaluate(CONTENT.array, STYLE.array, {"a": result.pixels})["a"])


def test_without_masks_methods_get_the_regions_that_a_transfer_finds():
    compared = compare(MOUNTAINS, DESERT, methods=["reinhard-regions"])
    assert compared.pair.names == ("sky", "mountains")


@pytest.mark.parametrize("names", [("house", "sky", "land"), ("sky", "land", "house")], ids=["first", "last"])
def test_region_that_the_style_lacks_is_not_measured(names):
    house = torch.zeros(48, 64)
    house[30:40, 20:40] = 1
    sky, land = CONTENT.masks * (1 - house)
    content_masks = {name: {"house": house, "sky": sky, "land": land}[name] for name in names}
    style_masks = dict(zip(("sky", "land"), STYLE.masks, strict=True))
    photos, masks = (CONTENT.array, STYLE.array), (content_masks, style_masks)
    with pytest.warns(FastPhotoWarning):
        comparison = compare(*photos, *masks, methods=["reinhard-regions"], orphans="global")
        result = comparison.results["reinhard-regions"]
        expected = evaluate(*photos, {"a": result.pixels}, *masks)["a"]
    assert_same_evaluation(result.evaluation, expected)
    assert comparison.pair.names == names
