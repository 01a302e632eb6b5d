"""Methods called alike: each runs as it is named, with the regions it knows; and the variants that answer questions."""

from __future__ import annotations

import functools
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

import fastphoto
from fastphoto.errors import FastPhotoError, InputError
from fastphoto.methods.ablations import QUESTIONS, coarse_regions, shifted_regions
from fastphoto.methods.pitie import pitie_transfer
from fastphoto.methods.registry import METHODS, Method, apply_method
from fastphoto.methods.reinhard import reinhard_transfer
from fastphoto.optimisation.presets import PRESETS, preset_settings
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
BY_REGION = {"fastphoto", "dpst", "reinhard-regions", "pitie-regions", "monge-kantorovich-regions", "time-of-day"}


def pair_of(content_masks: Tensor | None = None, style_masks: Tensor | None = None) -> PhotoPair:
    """The rendered pair with its own or other regions."""
    masks = (CONTENT.regions, STYLE.regions)
    given = [own if other is None else other for own, other in zip(masks, (content_masks, style_masks), strict=True)]
    return PhotoPair(CONTENT.pixels, STYLE.pixels, ("sky", "land"), *given)


def quick(name: str) -> Method:
    """A method in a few steps, if it takes steps."""
    method = METHODS[name]
    return replace(method, settings={"steps": STEPS[method.preset]}) if method.preset else method


@functools.cache
def made(name: str) -> Tensor:
    return apply_method(quick(name), pair_of())


# Every method


@pytest.mark.parametrize("name", METHODS)
def test_result_is_a_photo_of_the_contents_size_made_anew_each_time(name):
    before = [x.clone() for x in (CONTENT.pixels, STYLE.pixels)]
    result = made(name)
    assert result.shape == CONTENT.pixels.shape and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1
    assert (result - CONTENT.pixels).abs().mean() > 0.5 / 255
    if name in BY_REGION:  # the others are made again with other masks
        assert torch.equal(apply_method(quick(name), pair_of()), result)
    assert torch.equal(CONTENT.pixels, before[0]) and torch.equal(STYLE.pixels, before[1])


@pytest.mark.parametrize("name", METHODS)
def test_masks_matter_to_methods_that_know_regions_and_to_no_others(name):
    assert METHODS[name].regions == (name in BY_REGION)
    other = apply_method(quick(name), pair_of(CONTENT.regions.flip(2), STYLE.regions.flip(0)))
    assert torch.equal(other, made(name)) == (name not in BY_REGION)


@pytest.mark.parametrize("name", sorted(set(METHODS) - BY_REGION))
def test_methods_without_regions_do_not_look_at_what_alpha_hides(name):
    """Pixels that no method sees may be of any colour; a network sees some of them from beside them."""
    content, style = (read_photo(photo.array) for photo in (CONTENT, STYLE))
    content, style = (replace(p, alpha=(torch.arange(p.size[1]) < 20).expand(p.size).float()) for p in (content, style))
    painted = [
        p.pixels * p.alpha + (1 - p.alpha) * torch.tensor([0.0, 1.0, 0.0])[:, None, None] for p in (content, style)
    ]
    pairs = [
        prepare_pair(*photos, None, None, 60)
        for photos in ((content, style), (replace(content, pixels=painted[0]), replace(style, pixels=painted[1])))
    ]
    if METHODS[name].preset is None:
        plain, other = (apply_method(name, pair)[:, :, :10] for pair in pairs)
        assert torch.allclose(plain, other, atol=0.02)  # Pitié's second stage carries a little over
        counted = apply_method(name, replace(pairs[1], content_alpha=None, style_alpha=None))[:, :, :10]
        assert not torch.allclose(plain, counted, atol=0.04)
    else:
        seen = [{"photo": mask[0]} for mask in (pairs[0].content_alpha, pairs[0].style_alpha)]
        preset = PRESET_OF[name]
        wanted = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, *seen, preset=preset, steps=STEPS[preset])
        assert torch.equal(apply_method(quick(name), pairs[0]), wanted)


def test_presets_are_those_named_and_unchanged():
    assert {name: method.preset for name, method in METHODS.items() if method.preset} == PRESET_OF
    for name, preset in PRESET_OF.items():
        assert preset_settings(METHODS[name].preset, **METHODS[name].settings) == PRESETS[preset]
    assert list(METHODS)[0] == "fastphoto"
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    assert all((method.preset is None) == (method.recolour is not None) for method in METHODS.values())


@pytest.mark.parametrize("name", PRESET_OF)
def test_presets_give_what_transfer_gives(name):
    """At the size of the pair: a style that is larger than the content stays larger."""
    masks = (CONTENT.mask, STYLE.mask) if name in BY_REGION else ()
    preset = PRESET_OF[name]
    wanted = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, *masks, preset=preset, steps=STEPS[preset])
    both = read_photo(CONTENT.array), read_photo(STYLE.array)
    pair = prepare_pair(*both, CONTENT.mask, STYLE.mask, 60)
    assert torch.equal(apply_method(quick(name), pair), wanted)


def test_transfers_of_colour_are_those_named():
    ones = [torch.ones(1, *photo.pixels.shape[1:]) for photo in (CONTENT, STYLE)]
    regions = CONTENT.regions, STYLE.regions
    for name, recolour in (("reinhard", reinhard_transfer), ("pitie", pitie_transfer)):
        assert torch.equal(made(name), recolour(CONTENT.pixels, STYLE.pixels, *ones))
        assert torch.equal(made(f"{name}-regions"), recolour(CONTENT.pixels, STYLE.pixels, *regions))


def kantorovich_map(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Colours (3, N) moved by C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2, Pitie and Kokaram 2007, in double."""

    def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(values**exponent) @ vectors.T

    mine, theirs = np.cov(content, ddof=0), np.cov(style, ddof=0)
    root, inverse = power(mine, 0.5), power(mine, -0.5)
    matrix = inverse @ power(root @ theirs @ root, 0.5) @ inverse
    return matrix @ (content - content.mean(1, keepdims=True)) + style.mean(1, keepdims=True)


@pytest.mark.parametrize("by_region", [False, True])
def test_monge_kantorovich_is_the_published_map(by_region):
    content, style = (photo.pixels.double().numpy() for photo in (CONTENT, STYLE))
    wanted = np.empty_like(content)
    for label in (0, 1):
        mine, theirs = (p.labels == label if by_region else p.labels >= 0 for p in (CONTENT, STYLE))
        wanted[:, mine] = kantorovich_map(content[:, mine], style[:, theirs])
    found = made("monge-kantorovich-regions" if by_region else "monge-kantorovich").double().numpy()
    assert np.abs(found - wanted.clip(0, 1)).max() < 1e-5


# Arguments


def test_unknown_names_are_refused_with_those_known():
    with pytest.raises(InputError) as refusal:
        apply_method("fast", pair_of())
    assert str(refusal.value) == f"method 'fast': unknown; give some of {', '.join(METHODS)}"


def test_names_stand_for_methods():
    assert torch.equal(apply_method("reinhard", pair_of()), made("reinhard"))


@pytest.mark.parametrize("argument", [{"encoder": "vgg20"}, {"device": "tpu"}, {"seed": -1}, {"weights": "missing"}])
def test_arguments_of_transfer_reach_it_and_matter_to_no_transfer_of_colour(argument):
    with pytest.raises(FastPhotoError):
        apply_method(quick("fastphoto"), pair_of(), **argument)
    assert torch.equal(apply_method("reinhard", pair_of(), **argument), made("reinhard"))


def test_seed_is_that_of_the_noise():
    assert not torch.equal(apply_method(quick("gatys"), pair_of(), seed=1), made("gatys"))
    assert torch.equal(apply_method(quick("gatys-photo"), pair_of(), seed=1), made("gatys-photo"))


def test_callback_sees_every_step_and_can_stop():
    seen, method = [], replace(METHODS["dpst"], settings={"steps": 2})
    apply_method(method, pair_of(), callback=lambda p: seen.append((p.stage, p.step, p.total)))
    assert seen == [("style", 1, 4), ("style", 2, 4), ("photorealism", 3, 4), ("photorealism", 4, 4)]
    apply_method(method, pair_of(), callback=lambda p: seen.append(p.step) or p.step == 1)
    assert seen[4:] == [1]


def test_regions_are_redrawn_before_a_method_sees_them():
    def swapped(pair: PhotoPair) -> PhotoPair:
        return replace(pair, content_masks=pair.content_masks.flip(0))

    for name in ("reinhard-regions", "fastphoto"):
        found = apply_method(replace(quick(name), redraw=swapped), pair_of())
        assert torch.equal(found, apply_method(quick(name), pair_of(CONTENT.regions.flip(0))))


def test_description_says_all_that_a_method_was_told():
    plain = METHODS["pitie"].described()
    assert plain == {"source": METHODS["pitie"].source, "regions": False} and "2007" in plain["source"]
    changed = replace(METHODS["dpst"], settings={"steps": [7], "photorealism_weight": 5.0}).described()
    wanted = asdict(PRESETS["paper"]) | {"steps": (7,), "photorealism_weight": 5.0}
    assert changed == {"source": METHODS["dpst"].source, "regions": True, "preset": "paper"} | wanted


# Time of day


def test_given_frame_stands_for_the_contents_time_of_day():
    """The style is that frame with twice the contrast, so the content gets twice its contrast."""
    content = 0.4 + 0.2 * CONTENT.pixels
    frame = 0.4 + 0.2 * STYLE.pixels
    pair = replace(pair_of(), content=content, style=2 * frame - 0.5)
    result = apply_method("time-of-day", pair, matched_frame=frame)
    assert (result - (2 * content - 0.5)).abs().max() < 0.002
    same = apply_method("time-of-day", pair, matched_frame=pair.style)
    assert (same - content).abs().max() < 0.002, "nothing changed between the frames"


def test_frames_of_another_size_are_refused():
    with pytest.raises(InputError) as refusal:
        apply_method("time-of-day", pair_of(), matched_frame=CONTENT.pixels)
    message = "matched frame: (3, 36, 44) is not the style's (3, 40, 60); give two frames of one camera"
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", ["reinhard", "gatys-photo"])
def test_other_methods_take_no_notice_of_a_frame(name):
    assert torch.equal(apply_method(quick(name), pair_of(), matched_frame=STYLE.pixels), made(name))


# Regions redrawn


def random_masks(height: int, width: int, number: int, seed: int = 0) -> Tensor:
    """(R, height, width) that add up to one, in soft blobs of a few pixels."""
    noise = torch.randn(number, height // 5 + 2, width // 5 + 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(4 * noise[None], (height, width), mode="bicubic")[0].softmax(0)


def masked(content_masks: Tensor, style_masks: Tensor) -> PhotoPair:
    photos = [torch.rand(3, *masks.shape[1:]) for masks in (content_masks, style_masks)]
    return PhotoPair(*photos, tuple("abcdefg"[: len(content_masks)]), content_masks, style_masks)


@pytest.mark.parametrize("part, size, pixels", [(0.1, (30, 40), 4), (0.1, (60, 40), 6), (0.03, (50, 40), 2)])
def test_shifted_regions_by_definition(part, size, pixels):
    pair = masked(random_masks(*size, 3), random_masks(33, 41, 3, seed=1))
    shifted = shifted_regions(pair, part)
    columns = [max(0, x - pixels) for x in range(size[1])]
    assert torch.equal(shifted.content_masks, pair.content_masks[:, :, columns])
    assert torch.equal(shifted.style_masks, pair.style_masks) and shifted.names == pair.names
    assert torch.equal(shifted.content, pair.content) and torch.equal(shifted.style, pair.style)
    assert torch.equal(shifted_regions(pair, 0).content_masks, pair.content_masks)


def squares(masks: Tensor, cells: int) -> Tensor:
    """Masks (R, H, W) in squares of whole pixels, each of the region, or none, that covers most of it."""
    height, width = masks.shape[1:]
    rows, columns = (max(1, round(cells * n / max(height, width))) for n in (height, width))
    result = torch.zeros_like(masks)

    def overlaps(count: int, total: int) -> np.ndarray:
        """(count, total): how much of each pixel lies in each square."""
        edges = np.arange(count + 1) * total / count
        pixel = np.arange(total)
        return (np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)).clip(0)

    area = np.einsum("ih,rhw,jw->rij", overlaps(rows, height), masks.double().numpy(), overlaps(columns, width))
    for y in range(height):
        for x in range(width):
            inside = area[:, y * rows // height, x * columns // width]
            uncovered = height * width / rows / columns - inside.sum()
            if inside.max() > uncovered:
                result[inside.argmax(), y, x] = 1
    return result


@pytest.mark.parametrize("size, cells", [((48, 64), 16), ((64, 48), 8), ((45, 70), 16), ((20, 90), 7), ((24, 30), 1)])
def test_coarse_regions_by_definition(size, cells):
    content, style = random_masks(*size, 3), random_masks(50, 41, 3, seed=1)
    content[:, :12, :18] = 0  # of no region
    found = coarse_regions(masked(content, style), cells)
    for masks, given in ((found.content_masks, content), (found.style_masks, style)):
        wanted = squares(given, cells)
        lost = wanted.sum((1, 2)) == 0
        assert torch.equal(masks[~lost], wanted[~lost]) and torch.equal(masks[lost], given[lost])


def test_squares_are_of_no_region_where_nothing_is():
    masks = torch.zeros(2, 40, 40)
    masks[0, 10:, 10:] = masks[1, :10, 30:] = 1
    found = coarse_regions(masked(masks, masks), 4)
    assert torch.equal(found.content_masks, masks) and torch.equal(found.style_masks, masks)


def test_no_region_is_lost():
    """One two pixels wide at the right edge is pushed out of the photo, and never covers most of a square."""
    thin = torch.zeros(30, 40)
    thin[:, 38:] = 1
    masks = torch.stack([1 - thin, thin])
    for redrawn in (shifted_regions(masked(masks, masks), 0.1), coarse_regions(masked(masks, masks), 4)):
        assert torch.equal(redrawn.content_masks[1], thin)
        assert torch.equal(redrawn.content_masks[0], torch.ones(30, 40))


# Variants


CHANGED = [(question, name) for question in QUESTIONS for name in list(QUESTIONS[question].variants)[1:]]


@pytest.mark.parametrize("question", QUESTIONS)
def test_first_variant_is_the_default(question):
    variants = list(QUESTIONS[question].variants.values())
    assert replace(variants[0], title=METHODS["fastphoto"].title) == METHODS["fastphoto"]
    assert len({variant.title for variant in variants}) == len(variants) > 1


@pytest.mark.parametrize("question, name", CHANGED)
def test_other_variants_differ_from_the_default_in_one_thing(question, name):
    variant, ours = QUESTIONS[question].variants[name], METHODS["fastphoto"]
    assert (variant.preset, variant.source, variant.recolour) == (ours.preset, ours.source, None)
    assert [bool(variant.settings), variant.redraw is not None, variant.regions != ours.regions].count(True) == 1
    chosen, usual = preset_settings("fast", **variant.settings), PRESETS["fast"]
    assert all(getattr(chosen, setting) != getattr(usual, setting) for setting in variant.settings)
    few = {"steps": STEPS["fast"]} | variant.settings  # but one of the variants takes none
    result = apply_method(replace(variant, settings=few), pair_of())
    assert result.shape == CONTENT.pixels.shape and result.min() >= 0 and result.max() <= 1
    assert not torch.equal(result, made("fastphoto"))
