"""Measures of results: what must and must not move them, and what cannot be measured."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from compared_measures import assert_same_measures
from rendered_photos import Rendered, day, dusk
from torch import Tensor

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.errors import InputError
from fastphoto.evaluation.measures import Measures, ReferencePair, measure

ZERO = pytest.approx(0, abs=1e-10)  # of L* up to 100 in float64, whose sums are split by where arrays lie in memory
NO_GRAM = pytest.approx(0, abs=1e-6)  # of float32 activations


def region_map(photo: Rendered) -> Tensor:
    return torch.from_numpy(photo.region_map)


def grey(levels: Tensor) -> Tensor:
    """(3, H, W) of given L* (H, W), by the inverse of CIELAB."""
    f = (levels.double() + 16) / 116
    linear = torch.where(levels > 8, f**3, levels.double() * 27 / 24389)
    coded = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055)
    return coded.expand(3, -1, -1)


def ripples(height: int, width: int, amplitude: float, seed: int = 0) -> Tensor:
    """L* (H, W) around 50."""
    return 50 + amplitude * torch.randn(height, width, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)


def blurred(pixels: Tensor, radius: int) -> Tensor:
    padded = torch.nn.functional.pad(pixels[None], (radius,) * 4, mode="reflect")
    return torch.nn.functional.avg_pool2d(padded, 2 * radius + 1, 1)[0]


def measure_whole(content: Tensor, style: Tensor, result: Tensor, encoder: Encoder) -> Measures:
    """Measure with the whole photo as one region."""
    content_regions, style_regions = (torch.zeros(x.shape[1:], dtype=torch.int64) for x in (content, style))
    return measure(content, style, result, content_regions, style_regions, [encoder])


# ---- what moves measures -------------------------------------------------------------------------------------


def test_a_photo_is_its_own_style_and_content(embedded):
    photo = day()
    got = measure(photo.pixels, photo.pixels, photo.pixels, region_map(photo), region_map(photo), [embedded])
    assert got.gram == NO_GRAM
    assert got.look == ZERO
    assert got.contrast == ZERO
    assert got.invented == 0
    assert 0 < got.stains <= math.sqrt(2)
    assert got.edge == pytest.approx(1, abs=1e-12)
    assert got.ssim == pytest.approx(1, abs=1e-12)
    assert 0 < got.affine <= 2.55


@pytest.mark.parametrize("shift", [3.0, -8.0], ids=["lighter", "darker"])
def test_looks_shifted_by_a_distance_are_that_far_apart(embedded, shift):
    levels = ripples(40, 40, 5)
    got = measure_whole(grey(levels), grey(levels), grey(levels + shift), embedded).look
    random = np.random.default_rng(0).normal(size=(3, 32))
    cosines = random[0] / np.linalg.norm(random, axis=0)
    assert got == pytest.approx(abs(shift) * math.sqrt((cosines**2).mean()), rel=1e-4)
    assert got == pytest.approx(abs(shift) / math.sqrt(3), rel=0.2), "far from the mean over all directions"


def test_look_falls_as_colours_move_to_the_styles(embedded):
    content, style = day(), dusk()
    shift = (style.mean_colours() - content.mean_colours())[region_map(content)].permute(2, 0, 1)
    looks = [
        measure(
            content.pixels,
            style.pixels,
            (content.pixels + share * shift).clamp(0, 1),
            region_map(content),
            region_map(style),
            [embedded],
        ).look
        for share in (0, 0.5, 1)
    ]
    assert looks[0] > 1.5 * looks[1] > 1.5 * 1.5 * looks[2] > 0


def test_look_does_not_depend_on_where_pixels_are(embedded):
    photo, order = day().pixels, torch.randperm(48 * 64, generator=torch.Generator().manual_seed(0))
    shuffled = photo.flatten(1)[:, order].reshape_as(photo)
    got = measure_whole(photo, photo, shuffled, embedded)
    assert got.look == ZERO
    assert got.contrast > 0.3
    assert got.gram > 0.05


def test_contrast_sees_blur_and_its_strength(embedded):
    photo = day(64, 64).pixels
    contrasts = [measure_whole(photo, photo, blurred(photo, radius), embedded).contrast for radius in (0, 1, 2, 4)]
    assert contrasts == sorted(contrasts)
    assert contrasts[0] == ZERO
    assert contrasts[1] > 0.1


def test_contrast_does_not_see_a_change_of_lightness(embedded):
    photo, lighter = (grey(ripples(40, 40, 5) + shift) for shift in (0, 20))
    assert measure_whole(photo, photo, lighter, embedded).contrast < 1e-4


def test_an_affine_map_of_all_colours_is_photorealistic_and_noise_is_not(embedded):
    photo = day().pixels
    matrix = torch.tensor([[0.6, 0.2, 0.0], [0.1, 0.5, 0.1], [0.0, -0.2, 0.7]])
    mapped = torch.einsum("ij,jhw->ihw", matrix, photo) + 0.1
    assert mapped.min() > 0 and mapped.max() < 1, "the example is clipped"
    # The epsilon leaves at most epsilon times the squared length of each channel's map.
    bound = 255 * math.sqrt(1e-4 * matrix.square().sum(1).mean())
    assert measure_whole(photo, photo, mapped, embedded).affine < bound
    noise = 0.05 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    assert measure_whole(photo, photo, (mapped + noise).clamp(0, 1), embedded).affine > 4 * bound


def test_edges_are_compared_whatever_their_overall_strength(embedded):
    levels = ripples(40, 40, 10)
    photo = grey(levels)
    assert measure_whole(photo, photo, grey(50 + (levels - 50) / 2), embedded).edge == pytest.approx(1, abs=1e-4)
    assert measure_whole(photo, photo, grey(ripples(40, 40, 10, seed=1)), embedded).edge < 0.3
    assert measure_whole(photo, photo, torch.full((3, 40, 40), 0.5), embedded).edge < 0.3


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0], ids=["black", "grey", "white"])
def test_photos_without_any_structure_have_finite_measures(embedded, level):
    flat, photo = torch.full((3, 16, 16), level), day(16, 16).pixels
    for content, style, result in ((flat, photo, photo), (photo, flat, photo), (photo, photo, flat), (flat,) * 3):
        measures = asdict(measure_whole(content, style, result, embedded))
        assert all(math.isfinite(value) for value in measures.values()), measures


def test_a_style_that_activates_nothing_is_only_like_itself(shallow):
    black, photo = torch.zeros(3, 16, 16), day(16, 16).pixels
    assert all(not x.any() for x in shallow(black, shallow.layers).values()), "the example activates something"
    assert measure_whole(photo, black, black, shallow).gram == 0
    assert 1 < measure_whole(photo, black, photo, shallow).gram < math.inf


# ---- regions -------------------------------------------------------------------------------------------------


def test_swapped_regions_raise_gram_and_look_only(embedded):
    photo, style = day(), dusk()
    regions, style_regions = region_map(photo), region_map(style)
    # A style that has in each region what the result has.
    near = 0.1 * style.pixels + 0.9 * photo.mean_colours()[style_regions].permute(2, 0, 1)
    straight, swapped = (
        measure(photo.pixels, near.clamp(0, 1), photo.pixels, regions, theirs, [embedded])
        for theirs in (style_regions, 1 - style_regions)
    )
    assert swapped.gram > 1.3 * straight.gram
    assert swapped.look > 2 * straight.look
    of_content = ("stains", "invented", "affine", "edge", "ssim")
    assert [getattr(swapped, name) for name in of_content] == pytest.approx(
        [getattr(straight, name) for name in of_content], rel=1e-12
    )


def test_swapped_regions_raise_contrast(embedded):
    photo = day()
    regions = region_map(photo)
    pixels = torch.where(regions.bool(), photo.pixels, blurred(photo.pixels, 3))  # sky smooth, land rough
    straight, swapped = (
        measure(pixels, pixels, pixels, regions, theirs, [embedded]).contrast for theirs in (regions, 1 - regions)
    )
    assert straight == ZERO
    assert swapped > 0.3


def test_regions_count_by_their_area_in_the_content(embedded):
    content, style = day(), dusk()
    regions, style_regions = region_map(content), region_map(style)

    def measured(ours: Tensor, theirs: Tensor) -> Measures:
        return measure(content.pixels, style.pixels, content.pixels, ours, theirs, [embedded])

    both = measured(regions, style_regions)
    sky, land = (measured(regions - number, -(style_regions - number).abs()) for number in (0, 1))
    share = float(regions.float().mean())
    for name in ("look", "contrast", "gram"):
        of_sky, of_land = getattr(sky, name), getattr(land, name)
        assert getattr(both, name) == pytest.approx((1 - share) * of_sky + share * of_land, rel=1e-6), name
        assert abs(of_sky - of_land) > 0.05 * of_land, f"{name}: the example would hide a wrong weight"


@pytest.mark.parametrize("role", ["content", "style"])
def test_regions_below_half_a_percent_are_skipped(embedded, role):
    content, style = day(50, 80), dusk(80, 50)  # 4000 pixels each

    def measured(count: int, number: int) -> Measures:
        """With a region of that many pixels in one photo, and of 400 in the other."""
        pixels = {"content": 400, "style": 400} | {role: count}
        regions, style_regions = region_map(content).clone(), region_map(style).clone()
        regions.view(-1)[: pixels["content"]] = number
        style_regions.view(-1)[-pixels["style"] :] = number
        return measure(content.pixels, style.pixels, content.pixels, regions, style_regions, [embedded])

    assert_same_measures(measured(19, number=7), measured(19, number=-1))
    region, none = measured(20, number=7), measured(20, number=-1)
    assert abs(region.look - none.look) > 1e-6 * none.look, "a region of half a percent was skipped"
    assert abs(region.gram - none.gram) > 1e-5 * none.gram, "a region of half a percent was skipped"


# ---- what cannot be measured ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shift", "style_shift"), [(0, 2), (-5, -5)], ids=["other numbers", "negative numbers are no regions"]
)
def test_photos_without_a_shared_region_are_refused(embedded, shift, style_shift):
    content, style = day(), dusk()
    regions, style_regions = region_map(content) + shift, region_map(style) + style_shift
    with pytest.raises(InputError, match="regions: none has 0.5% of the pixels of both"):
        measure(content.pixels, style.pixels, content.pixels, regions, style_regions, [embedded])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"result": day(48, 60).pixels}, r"result: \(H, W\) is \(48, 60\)", id="result of another size"),
        pytest.param({"result": day().pixels * 255}, "result: values", id="result up to 255"),
        pytest.param({"style": torch.full((3, 56, 48), math.nan)}, "style: values", id="NaN"),
        pytest.param({"content": day().pixels[0]}, "content: shape", id="one channel"),
        pytest.param({"style": torch.zeros(3, 15, 48)}, "style: shape", id="15 pixels"),
        pytest.param(
            {"content_regions": torch.zeros(48, 63, dtype=torch.int64)},
            r"content regions: \(H, W\) is \(48, 63\)",
            id="region map of another size",
        ),
        pytest.param({"style_regions": torch.zeros(56, 48)}, "style regions: torch.float32", id="fractions as regions"),
        pytest.param({"encoders": []}, "encoders: 0 given", id="no encoder"),
    ],
)
def test_what_cannot_be_measured_is_named(embedded, change, message):
    arguments = {
        "content": day().pixels,
        "style": dusk().pixels,
        "result": day().pixels,
        "content_regions": region_map(day()),
        "style_regions": region_map(dusk()),
        "encoders": [embedded],
    }
    measure(**arguments)
    with pytest.raises(InputError, match=message):
        measure(**arguments | change)


# ---- several results of one pair -----------------------------------------------------------------------------


def test_an_encoder_runs_once_for_every_image_and_results_do_not_affect_one_another():
    encoder, passes = load_encoder("embedded"), []
    encoder.register_forward_hook(lambda *_: passes.append(1))
    pair = ReferencePair(day().pixels, dusk().pixels, region_map(day()), region_map(dusk()), [encoder])
    assert len(passes) == 1, "another image than the style was encoded"
    first = pair.measure(day().pixels)
    assert len(passes) == 2
    pair.measure(blurred(day().pixels, 1))
    assert_same_measures(pair.measure(day().pixels), first)
    assert len(passes) == 4


def test_images_are_only_read(embedded):
    images = [day().pixels, dusk().pixels, blurred(day().pixels, 1)]
    before = [image.clone() for image in images]
    measure(*images, region_map(day()), region_map(dusk()), [embedded])
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True)), "changed although only read"
