"""Every method of the registry runs as it is named, with the regions that it uses and the options that it gets.

The same call gives the same bits, so results of one call are compared exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor
from watched_steps import steps_alone

import fastphoto
from fastphoto.errors import FastPhotoError, InputError
from fastphoto.methods.pitie import pitie_transfer
from fastphoto.methods.registry import METHODS, Method, RunOptions, apply_method
from fastphoto.methods.reinhard import reinhard_transfer
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.progress import Progress
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.pair import PhotoPair, prepare_pair

CONTENT, STYLE = day(36, 44), dusk(40, 60)  # the style is the larger one, which must not shrink it
PRESET_OF = {
    "fastphoto": "fast",
    "dpst": "paper",
    "gatys": "gatys",
    "gatys-photo": "gatys-photo",
    "cnnmrf": "cnnmrf",
}
STEPS = {preset: (1, 1, 2) if len(s.scales) == 3 else 6 // len(s.stages) for preset, s in PRESETS.items()}
BY_REGION = ("fastphoto", "dpst", "reinhard-regions", "pitie-regions", "monge-kantorovich-regions", "time-of-day")
GLOBAL = [name for name in METHODS if name not in BY_REGION]


def pair_of(content_masks: Tensor = CONTENT.masks, style_masks: Tensor = STYLE.masks) -> PhotoPair:
    """The rendered pair with its own or other regions."""
    return PhotoPair(CONTENT.pixels, STYLE.pixels, ("sky", "land"), content_masks, style_masks)


def quick(name: str) -> Method:
    """A method in a few steps, if it takes steps."""
    method = METHODS[name]
    return replace(method, settings={"steps": STEPS[method.preset]}) if method.preset else method


@functools.cache
def result_of(name: str) -> Tensor:
    """The result of a method, made once."""
    return apply_method(quick(name), pair_of())


def painted(photo: Photo, colour: Sequence[float]) -> Photo:
    """A photo with another colour where its alpha hides it."""
    assert photo.alpha is not None
    return replace(photo, pixels=torch.where(photo.alpha > 0, photo.pixels, torch.tensor(colour)[:, None, None]))


def assert_same_result(got: Tensor, expected: Tensor) -> None:
    """Compare the results of one method in a few steps, whose photos or masks came by another way.

    Steps amplify the rounding of float32 sums: sums that are wrong by one last digit move a few pixels by 1e-3, about
    a quarter of a level of 8 bits. Other photos or masks would move all of them by more than a level.
    """
    torch.testing.assert_close(got, expected, atol=5e-3, rtol=0)


def half_hidden(name: str) -> tuple[Photo, Photo]:
    """Content and style of which only the 20 columns at the left show."""
    photos = (read_photo(photo.array, name) for photo in (CONTENT, STYLE))
    content, style = (replace(p, alpha=(torch.arange(p.size[1]) < 20).expand(p.size).float()) for p in photos)
    return content, style


# ---- every method --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_result_is_a_photo_of_the_contents_size(name):
    before = [x.clone() for x in (CONTENT.pixels, STYLE.pixels)]
    result = apply_method(quick(name), pair_of())
    assert result.shape == CONTENT.pixels.shape
    assert result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1
    assert (result - CONTENT.pixels).abs().mean() > 0.5 / 255, "the content came back unchanged"
    assert torch.equal(result, result_of(name)), "the same call gave other bits"
    assert torch.equal(CONTENT.pixels, before[0]) and torch.equal(STYLE.pixels, before[1]), "changed although only read"


@pytest.mark.parametrize("name", BY_REGION)
def test_masks_matter_to_methods_by_region(name):
    assert METHODS[name].by_region
    other = apply_method(quick(name), pair_of(CONTENT.masks.flip(2), STYLE.masks.flip(0)))
    assert not torch.equal(other, result_of(name))


@pytest.mark.parametrize("name", GLOBAL)
def test_masks_do_not_matter_to_global_methods(name):
    assert not METHODS[name].by_region
    other = apply_method(quick(name), pair_of(CONTENT.masks.flip(2), STYLE.masks.flip(0)))
    assert torch.equal(other, result_of(name))


@pytest.mark.parametrize("name", [name for name in GLOBAL if METHODS[name].preset is None])
def test_global_transfers_of_colour_ignore_what_alpha_hides(name):
    photos = half_hidden(name)
    green = [painted(photo, (0.0, 1.0, 0.0)) for photo in photos]
    plain, other = (prepare_pair(*both, None, None, 60) for both in (photos, green))
    opaque = replace(other, content_alpha=None, style_alpha=None)
    result, changed, counted = (apply_method(name, pair)[:, :, :10] for pair in (plain, other, opaque))
    assert torch.allclose(result, changed, atol=0.02)  # Pitié's second stage carries a little over
    assert not torch.allclose(result, counted, atol=0.04), "the example would hide that hidden pixels count"


@pytest.mark.parametrize("name", [name for name in GLOBAL if METHODS[name].preset is not None])
def test_global_presets_take_what_alpha_shows_as_their_region(name):
    pair = prepare_pair(*half_hidden(name), None, None, 60)
    assert pair.content_alpha is not None and pair.style_alpha is not None
    masks = [{"photo": alpha[0]} for alpha in (pair.content_alpha, pair.style_alpha)]
    preset = PRESET_OF[name]
    expected = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, *masks, preset=preset, steps=STEPS[preset])
    assert_same_result(apply_method(quick(name), pair), expected)


def test_fastphoto_is_the_first_method_and_titles_differ():
    assert next(iter(METHODS)) == "fastphoto"
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_either_an_unchanged_preset_or_a_transfer_of_colour(name):
    method = METHODS[name]
    assert method.preset == PRESET_OF.get(name)
    assert (method.preset is None) == (method.recolour is not None)
    assert not method.settings
    assert method.redraw is None


@pytest.mark.parametrize("name", PRESET_OF)
def test_presets_give_what_transfer_gives(name):
    """At the size of the pair: a style that is larger than the content stays larger."""
    masks = (CONTENT.mask_picture, STYLE.mask_picture) if name in BY_REGION else ()
    preset = PRESET_OF[name]
    expected = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, *masks, preset=preset, steps=STEPS[preset])
    photos = read_photo(CONTENT.array), read_photo(STYLE.array)
    pair = prepare_pair(*photos, CONTENT.mask_picture, STYLE.mask_picture, 60)
    assert_same_result(apply_method(quick(name), pair), expected)


@pytest.mark.parametrize(
    ("name", "recolour"), [("reinhard", reinhard_transfer), ("pitie", pitie_transfer)], ids=["reinhard", "pitie"]
)
def test_transfers_of_colour_are_those_named(name, recolour):
    ones = [torch.ones(1, *photo.pixels.shape[1:]) for photo in (CONTENT, STYLE)]
    whole = recolour(CONTENT.pixels, STYLE.pixels, *ones)
    by_region = recolour(CONTENT.pixels, STYLE.pixels, CONTENT.masks, STYLE.masks)
    # Reinhard's is linear. Pitié's quantiles amplify sums that are wrong by one last digit to 1e-3.
    tolerance = {"atol": 1e-6 if name == "reinhard" else 5e-3, "rtol": 0}
    torch.testing.assert_close(result_of(name), whole, **tolerance)
    torch.testing.assert_close(result_of(f"{name}-regions"), by_region, **tolerance)


def kantorovich_map(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Colours (3, N) moved by C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2, Pitié and Kokaram 2007, in float64."""

    def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(values**exponent) @ vectors.T

    ours, theirs = np.cov(content, ddof=0), np.cov(style, ddof=0)
    root, inverse = power(ours, 0.5), power(ours, -0.5)
    matrix = inverse @ power(root @ theirs @ root, 0.5) @ inverse
    return matrix @ (content - content.mean(1, keepdims=True)) + style.mean(1, keepdims=True)


@pytest.mark.parametrize("by_region", [False, True], ids=["global", "by region"])
def test_monge_kantorovich_is_the_published_map(by_region):
    content, style = (photo.pixels.double().numpy() for photo in (CONTENT, STYLE))
    expected = np.empty_like(content)
    for number in (0, 1):
        ours, theirs = (p.region_map == number if by_region else p.region_map >= 0 for p in (CONTENT, STYLE))
        expected[:, ours] = kantorovich_map(content[:, ours], style[:, theirs])
    result = result_of("monge-kantorovich-regions" if by_region else "monge-kantorovich").double().numpy()
    assert np.abs(result - expected.clip(0, 1)).max() < 1e-5


# ---- arguments -----------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_those_known():
    with pytest.raises(InputError) as refusal:
        apply_method("fast", pair_of())
    assert str(refusal.value) == f"method 'fast': unknown; give some of {', '.join(METHODS)}"


def test_names_stand_for_methods():
    assert torch.equal(apply_method("reinhard", pair_of()), apply_method(METHODS["reinhard"], pair_of()))


@pytest.mark.parametrize(
    "options",
    [RunOptions(encoder="vgg20"), RunOptions(device="tpu"), RunOptions(seed=-1), RunOptions(weights="missing")],
    ids=["encoder", "device", "seed", "weights"],
)
def test_options_reach_transfer_and_matter_to_no_transfer_of_colour(options):
    with pytest.raises(FastPhotoError):
        apply_method(quick("fastphoto"), pair_of(), options=options)
    assert torch.equal(apply_method("reinhard", pair_of(), options=options), result_of("reinhard"))


def test_seed_is_that_of_the_noise():
    other = RunOptions(seed=1)
    assert not torch.equal(apply_method(quick("gatys"), pair_of(), options=other), result_of("gatys"))
    assert torch.equal(apply_method(quick("gatys-photo"), pair_of(), options=other), result_of("gatys-photo"))


def test_callback_sees_every_step():
    reports: list[Progress] = []
    apply_method(replace(METHODS["dpst"], settings={"steps": 2}), pair_of(), callback=steps_alone(reports.append))
    assert [(p.stage, p.step, p.total) for p in reports] == [
        ("style", 1, 4),
        ("style", 2, 4),
        ("photorealism", 3, 4),
        ("photorealism", 4, 4),
    ]


def test_callback_can_stop():
    steps: list[int] = []

    def stop(progress: Progress) -> bool:
        steps.append(progress.step)
        return True

    apply_method(replace(METHODS["dpst"], settings={"steps": 2}), pair_of(), callback=steps_alone(stop))
    assert steps == [1]


@pytest.mark.parametrize("name", ["reinhard-regions", "fastphoto"])
def test_regions_are_redrawn_before_a_method_runs(name):
    def swapped(pair: PhotoPair) -> PhotoPair:
        return replace(pair, content_masks=pair.content_masks.flip(0))

    result = apply_method(replace(quick(name), redraw=swapped), pair_of())
    assert torch.equal(result, apply_method(quick(name), pair_of(CONTENT.masks.flip(0))))


def test_a_transfer_of_colour_is_described_by_its_source_and_regions():
    assert METHODS["pitie"].as_dict() == {"source": METHODS["pitie"].source, "regions": False}
    assert "2007" in METHODS["pitie"].source


def test_a_preset_is_described_by_all_of_its_settings():
    described = replace(METHODS["dpst"], settings={"steps": [7], "photorealism_weight": 5.0}).as_dict()
    settings = asdict(PRESETS["paper"]) | {"steps": (7,), "photorealism_weight": 5.0}
    assert described == {"source": METHODS["dpst"].source, "regions": True, "preset": "paper"} | settings
    assert preset_settings("paper", steps=[7], photorealism_weight=5.0) != PRESETS["paper"]


# ---- time of day ---------------------------------------------------------------------------------------------


def test_given_frame_stands_for_the_contents_time_of_day():
    """The style is that frame with twice the contrast, so the content gets twice its contrast."""
    content = 0.4 + 0.2 * CONTENT.pixels
    frame = 0.4 + 0.2 * STYLE.pixels
    pair = replace(pair_of(), content=content, style=2 * frame - 0.5)
    method = replace(METHODS["time-of-day"], title="under another title")
    result = apply_method(method, pair, matched_frame=frame)
    assert (result - (2 * content - 0.5)).abs().max() < 0.002
    same = apply_method(method, pair, matched_frame=pair.style)
    assert (same - content).abs().max() < 0.002, "the content changed, although the frames are the same"


def test_frames_of_another_size_are_refused():
    with pytest.raises(InputError) as refusal:
        apply_method("time-of-day", pair_of(), matched_frame=CONTENT.pixels)
    message = "matched frame: (3, 36, 44) is not the style's (3, 40, 60); give two frames of one camera"
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", ["reinhard", "gatys-photo"])
def test_other_methods_ignore_a_frame(name):
    assert torch.equal(apply_method(quick(name), pair_of(), matched_frame=STYLE.pixels), result_of(name))
