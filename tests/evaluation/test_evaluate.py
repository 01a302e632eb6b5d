"""evaluate(): photos, masks and results of every kind, measured and scored."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from compared_measures import assert_same_measures
from PIL import Image
from rendered_photos import Rendered, day, dusk
from torch import Tensor

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.evaluation.measures import measure
from fastphoto.evaluation.scores import evaluate, published, score_measures
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import resize
from fastphoto.regions.palette import PALETTE


def region_map(photo: Rendered) -> Tensor:
    return torch.from_numpy(photo.region_map)


def transferred(content: Rendered, style: Rendered) -> Tensor:
    """Move each region's mean colour half of the way to the style's."""
    shift = (style.mean_colours() - content.mean_colours())[region_map(content)].permute(2, 0, 1)
    return ((content.pixels + shift / 2).clamp(0, 1) * 255).round() / 255


def test_results_are_measured_and_scored_by_name(embedded):
    content, style = day(), dusk()
    results = {"ours": transferred(content, style), "none": content.pixels}
    evaluations = evaluate(content.pixels, style.pixels, results, content.mask_picture, style.mask_picture)
    assert list(evaluations) == ["ours", "none"]
    for name, image in results.items():
        expected = measure(content.pixels, style.pixels, image, region_map(content), region_map(style), [embedded])
        assert_same_measures(evaluations[name].measures, expected)
        assert evaluations[name].scores == score_measures(evaluations[name].measures, published("embedded"))
    assert evaluations["ours"].scores.style < 0.8 * evaluations["none"].scores.style
    assert evaluations["ours"].scores.look < 0.8 * evaluations["none"].scores.look
    assert evaluations["ours"].scores.photorealism > evaluations["none"].scores.photorealism


def test_scores_are_ratios_to_a_reference_result():
    content, style = day(), dusk()
    result = transferred(content, style)
    blurred = torch.nn.functional.avg_pool2d(content.pixels, 5, stride=1, padding=2, count_include_pad=False)
    evaluations = evaluate(
        content.pixels,
        style.pixels,
        {"same": result, "worse": blurred},
        content.mask_picture,
        style.mask_picture,
        reference=result,
    )
    # The reference and "same" are measured one after the other: Gram matrices differ by the rounding of float32.
    same, worse = (asdict(evaluations[name].scores) for name in ("same", "worse"))
    assert same == pytest.approx(dict.fromkeys(same, 1), rel=1e-6)
    expected = score_measures(evaluations["worse"].measures, evaluations["same"].measures)
    assert worse == pytest.approx(asdict(expected), rel=1e-6)
    assert min(worse.values()) > 1.1


# ---- photos --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tensor", "path", "image", "array", "photo"])
def test_sources_of_every_kind_are_the_same_photo(tmp_path, kind):
    content, style = day(), dusk()
    for name, array in (("content", content.array), ("mask", content.mask_picture)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    source = {
        "tensor": content.pixels,
        "path": tmp_path / "content.png",
        "image": Image.open(tmp_path / "content.png"),
        "array": content.array,
        "photo": read_photo(content.array),
    }[kind]
    expected = evaluate(content.pixels, style.pixels, {"r": content.pixels}, content.mask_picture, style.mask_picture)[
        "r"
    ]
    got = evaluate(source, read_photo(style.array), {"r": source}, tmp_path / "mask.png", style.mask_picture)["r"]
    assert_same_measures(got.measures, expected.measures)


def test_photos_are_shrunk_to_the_size(embedded):
    content, style = day(96, 128), dusk(112, 96)
    got = evaluate(content.pixels, style.pixels, {"r": content.pixels}, size=64)["r"].measures
    small, small_style = resize(content.pixels, (48, 64)), resize(style.pixels, (64, 55))
    whole = (torch.zeros(x.shape[1:], dtype=torch.int64) for x in (small, small_style))
    expected = measure(small, small_style, small, *whole, [embedded])
    # Both were shrunk in float32, whose rounding of 1e-7 is at most 1e-4 in CIELAB.
    assert asdict(got) == pytest.approx(asdict(expected), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "ssim"), [((96, 128), 0.97), ((37, 49), 0.85)], ids=["larger result", "smaller result"]
)
def test_results_of_other_sizes_are_resized(size, ssim):
    content = day(48, 64).pixels
    other = torch.nn.functional.interpolate(content[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    got = evaluate(content, dusk().pixels, {"same": content, "other": other})
    assert got["other"].measures.ssim > ssim
    assert got["other"].measures.look == pytest.approx(got["same"].measures.look, rel=0.05)


# ---- regions -------------------------------------------------------------------------------------------------


def test_a_region_that_the_style_lacks_is_skipped(embedded):
    content, style = day(), dusk()
    mask = content.mask_picture.copy()
    mask[30:, 40:] = PALETTE["red"]
    regions = region_map(content).clone()
    regions[30:, 40:] = -1
    with pytest.warns(FastPhotoWarning, match="no region for red"):
        got = evaluate(content.pixels, style.pixels, {"r": content.pixels}, mask, style.mask_picture)["r"].measures
    assert_same_measures(
        got, measure(content.pixels, style.pixels, content.pixels, regions, region_map(style), [embedded])
    )


def test_what_alpha_hides_has_no_style(embedded):
    content, style = day(), dusk()
    alpha = torch.ones(1, 48, 64)
    alpha[:, :20, :30] = 0
    source = torch.cat([content.pixels, alpha])
    got = evaluate(source, style.pixels, {"r": content.pixels}, content.mask_picture, style.mask_picture)["r"].measures
    regions = torch.where(alpha[0] == 1, region_map(content), -1)
    assert_same_measures(
        got, measure(content.pixels, style.pixels, content.pixels, regions, region_map(style), [embedded])
    )


# ---- what cannot be evaluated --------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(64, 48), (48, 66)], ids=["turned", "3 % wider"])
def test_a_result_of_another_aspect_is_refused(height, width):
    content, style, other = day(48, 64).pixels, dusk().pixels, day(height, width).pixels
    with pytest.raises(InputError, match=f"result mine: {width}x{height} pixels do not fit the content's 64x48"):
        evaluate(content, style, {"mine": other})
    with pytest.raises(InputError, match=f"reference: {width}x{height} pixels do not fit the content's 64x48"):
        evaluate(content, style, {}, reference=other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"results": day().pixels}, "results: got Tensor", id="results without names"),
        pytest.param({"size": 15}, "size: ", id="size 15"),
        pytest.param({"size": 100.0}, "size: ", id="fractional size"),
        pytest.param({"size": True}, "size: ", id="size True"),
        pytest.param({"encoder": "vgg19"}, "encoder 'vgg19'", id="encoder without published medians"),
        pytest.param({"content_mask": day().mask_picture}, "style mask: missing", id="one mask"),
        pytest.param({"reference": day().pixels}, "reference: its", id="the content as reference"),
        pytest.param(
            {
                "content_mask": day().mask_picture,
                "style_mask": np.where(dusk().region_map[..., None] > 0, PALETTE["red"], PALETTE["yellow"]).astype(
                    np.uint8
                ),
            },
            "share no region",
            id="no shared region",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_named(change, message):
    arguments = {"content": day().pixels, "style": dusk().pixels, "results": {"r": day().pixels}}
    with pytest.raises(InputError, match=message):
        evaluate(**arguments | change)
