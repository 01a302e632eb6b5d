"""Photo pairs made ready for work: sizes, regions by name, what alpha hides, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from rendered_photos import LAND, SKY, Rendered, day, dusk
from torch import Tensor

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.methods.registry import METHODS, apply_method
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.pair import PhotoPair, prepare_pair


def photo(rendered: Rendered, alpha: Tensor | None = None) -> Photo:
    return replace(read_photo(rendered.array), alpha=alpha)


def prepared(
    content: Rendered | Photo, style: Rendered | Photo, masks: tuple = (None, None), size: int = 700, **options
) -> PhotoPair:
    both = [p if isinstance(p, Photo) else photo(p) for p in (content, style)]
    return prepare_pair(*both, *masks, size, **options)


def block_means(x: Tensor) -> Tensor:
    """(R, H, W) to half the size, each pixel the mean of four."""
    height, width = x.shape[1:]
    return x.reshape(-1, height // 2, 2, width // 2, 2).mean((2, 4))


# Sizes


@pytest.mark.parametrize(
    "size, content, style",
    [
        (32, (24, 32), (32, 27)),
        (50, (38, 50), (50, 43)),
        (60, (45, 60), (56, 48)),
        (np.int64(64), (48, 64), (56, 48)),
        (1000, (48, 64), (56, 48)),
    ],
)
def test_photos_are_shrunk_to_a_long_side_and_never_enlarged(size, content, style):
    pair = prepared(day(), dusk(), (day().mask, dusk().mask), size)
    assert pair.content.shape == (3, *content) and pair.style.shape == (3, *style)
    assert pair.content_masks.shape == (2, *content) and pair.style_masks.shape == (2, *style)
    for name in ("content", "style", "content_masks", "style_masks"):
        values = getattr(pair, name)
        assert values.dtype == torch.float32 and values.min() >= 0 and values.max() <= 1 + 1e-6


def test_photos_that_are_small_enough_stay_as_they_are():
    pair = prepared(day(), dusk(), (day().mask, dusk().mask), 64)
    assert torch.equal(pair.content, photo(day()).pixels) and torch.equal(pair.style, photo(dusk()).pixels)
    order = [(SKY, LAND).index(name) for name in pair.names]
    assert torch.equal(pair.content_masks, day().regions[order])
    assert torch.equal(pair.style_masks, dusk().regions[order])


def test_shrunk_photos_show_the_same():
    pair = prepared(day(), dusk(80, 64), size=32)
    for small, whole in ((pair.content, day().pixels), (pair.style[:, :, 1:], dusk(80, 64).pixels)):
        wanted = torch.nn.functional.adaptive_avg_pool2d(whole, tuple(small.shape[1:]))
        assert (small - wanted).abs().mean() < 0.03 < (small.flip(1) - wanted).abs().mean()


@pytest.mark.parametrize("size", [15, 0, -40, 40.0, True, None, "40", float("nan")])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(InputError, match=r"^size: must be a whole number of 16 pixels or more, got "):
        prepared(day(), dusk(), size=size)


def test_photos_too_narrow_for_a_size_are_named_with_the_size_that_they_need():
    narrow = replace(photo(day(20, 90)), name="narrow.png")
    with pytest.raises(InputError, match=r"^narrow\.png: at size 60, 90x20 pixels shrink to 60x13, .* at least 72$"):
        prepared(narrow, dusk(), size=60)
    with pytest.raises(InputError, match=r"^narrow\.png: "):
        prepared(dusk(), narrow, size=60)
    assert prepared(narrow, dusk(), size=72).content.shape == (3, 16, 72)


# Regions


def test_regions_are_paired_by_name_whatever_their_order():
    content, style = day(), dusk()
    mine = {"sky": content.regions[0].numpy(), "land": content.regions[1].numpy()}
    theirs = {"land": style.regions[1].numpy(), "sky": style.regions[0].numpy()}
    pair = prepared(content, style, (mine, theirs))
    assert pair.names == ("sky", "land") and pair.orphans == ()
    assert torch.equal(pair.content_masks, content.regions) and torch.equal(pair.style_masks, style.regions)


def test_soft_masks_are_shrunk_to_means_over_areas():
    random = np.random.default_rng(1)
    mine, theirs = random.random((2, 48, 64), np.float32), random.random((2, 64, 40), np.float32)
    pair = prepared(day(), dusk(64, 40), (dict(zip("ab", mine, strict=True)), dict(zip("ba", theirs, strict=True))), 32)
    assert torch.allclose(pair.content_masks, block_means(torch.from_numpy(mine)), atol=1e-6)
    assert torch.allclose(pair.style_masks, block_means(torch.from_numpy(theirs)).flip(0), atol=1e-6)


def test_without_masks_the_whole_photo_is_one_region():
    pair = prepared(day(), dusk(), size=32)
    assert pair.names == ("all",)
    assert torch.equal(pair.content_masks, torch.ones(1, 24, 32))
    assert torch.equal(pair.style_masks, torch.ones(1, 32, 27))


@pytest.mark.parametrize(
    "orphans, names, lacking",
    [("merge", ("sky", "land"), ()), ("drop", ("sky", "land"), ()), ("global", ("house", "sky", "land"), ("house",))],
)
def test_regions_that_the_style_lacks(orphans, names, lacking):
    house = torch.zeros(48, 64)
    house[30:40, 20:40] = 1
    sky, land = day().regions * (1 - house)
    mine = {"house": house, "sky": sky, "land": land}
    with pytest.warns(FastPhotoWarning, match=r"no region for house \(6\.5%\)"):
        pair = prepared(day(), dusk(), (mine, dict(zip(("sky", "land"), dusk().regions, strict=True))), orphans=orphans)
    assert pair.names == names and pair.orphans == lacking
    found = dict(zip(pair.names, zip(pair.content_masks, pair.style_masks, strict=True), strict=True))
    assert torch.equal(found["land"][0], land + house if orphans == "merge" else land)
    assert torch.equal(found["sky"][0], sky) and torch.equal(found["sky"][1], dusk().regions[0])
    if orphans == "global":
        assert torch.equal(found["house"][0], house) and torch.equal(found["house"][1], torch.ones(56, 48))


@pytest.mark.parametrize(
    "masks, options, words",
    [
        ((day().mask, dusk().mask[:, :30]), {}, "style mask: 30x56 pixels do not fit the photo's 48x56$"),
        ((dusk().mask, day().mask), {}, "content mask: .* swapped"),
        ((day().mask, None), {}, "style mask: missing, but the content has one; give both or neither"),
        ((None, dusk().mask), {}, "content mask: missing, but the style has one; give both or neither"),
        ((day().mask, dusk().regions[:1]), {"orphans": "error"}, "style mask: no region for "),
        ((day().mask, dusk().mask), {"orphans": "keep"}, "orphans: got 'keep'; give merge, "),
    ],
)
def test_masks_that_cannot_be_used_are_refused(masks, options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        prepared(day(), dusk(), masks, **options)


# Alpha


def blocky(height: int, width: int, seed: int) -> Tensor:
    """(height, width) of random values, the same for two by two pixels."""
    values = torch.rand(height // 2, width // 2, generator=torch.Generator().manual_seed(seed))
    return values.repeat_interleave(2, 0).repeat_interleave(2, 1)


@pytest.mark.parametrize("size, step", [(64, 1), (32, 2)])
def test_what_alpha_hides_is_of_no_region(size, step):
    """Masks and alpha are flat on blocks, so that shrinking changes neither."""
    mine, theirs = (torch.stack([blocky(48, 64, seed), blocky(48, 64, seed + 1)]) for seed in (1, 3))
    alpha, style_alpha = blocky(48, 64, 5), (blocky(48, 64, 6) > 0.5).float()
    pair = prepared(photo(day(), alpha), photo(dusk(48, 64), style_alpha), (mine, theirs), size)
    assert torch.allclose(pair.content_masks, (mine * alpha)[:, ::step, ::step], atol=1e-6)
    assert torch.allclose(pair.style_masks, (theirs * style_alpha)[:, ::step, ::step], atol=1e-6)
    alone = prepared(photo(day(), alpha), dusk(48, 64), size=size)
    assert torch.allclose(alone.content_masks[0], alpha[::step, ::step], atol=1e-6)
    assert torch.equal(alone.style_masks, torch.ones_like(alone.style_masks))
    assert torch.allclose(alone.content_alpha, alpha[None, ::step, ::step], atol=1e-6) and alone.style_alpha is None


def test_region_that_is_wholly_hidden_stays():
    sky, land = dusk().regions
    alpha = land.clone()
    alpha[:, :20] = 0
    pair = prepared(day(), photo(dusk(), alpha), (day().regions, dusk().regions))
    assert torch.equal(pair.style_masks[0], sky) and torch.equal(pair.style_masks[1], land * alpha)
    assert torch.equal(pair.content_masks, day().regions)


# Photos decoded already, and inference mode


def test_decoded_photos_are_taken_as_they_are():
    decoded = read_photo(day().array)
    assert read_photo(decoded, "style") is decoded
    assert torch.equal(read_photo(day().array, "style").pixels, decoded.pixels)
    with pytest.raises(InputError, match="^matched frame: cannot read a photo from int"):
        read_photo(3, "matched frame")


@pytest.mark.parametrize("size", [64, 40])
@pytest.mark.parametrize("where", ["reading", "preparing"])
def test_pair_of_inference_mode_is_usable(size, where):
    alpha = blocky(48, 64, 1)
    with torch.inference_mode():
        photos = photo(day(), alpha * 1.0), photo(dusk())
        if where == "preparing":
            pair = prepared(*photos, (day().mask, dusk().mask), size)
    if where == "reading":
        pair = prepared(*photos, (day().mask, dusk().mask), size)
    outside = prepared(photo(day(), alpha), photo(dusk()), (day().mask, dusk().mask), size)
    for name in ("content", "style", "content_masks", "style_masks"):
        values = getattr(pair, name)
        assert torch.equal(values, getattr(outside, name))
        factor = torch.ones(1, requires_grad=True)
        (values * factor).sum().backward()  # what multiplies a variable is saved, as inference tensors cannot be
        assert float(factor.grad) == pytest.approx(float(values.sum()))
    quick = replace(METHODS["fastphoto"], settings={"steps": 1})
    assert torch.equal(apply_method(quick, pair), apply_method(quick, outside))


# The pairs in the package


def test_demo_pairs_are_complete_and_share_their_regions():
    folders = demo_pairs()
    assert len(folders) >= 2 and folders == sorted(folders)
    for folder in folders:
        roles = "content", "style"
        assert {f"{role}{end}" for role in roles for end in (".jpg", "_mask.png")} == {p.name for p in folder.iterdir()}
        with warnings.catch_warnings():
            warnings.simplefilter("error", FastPhotoWarning)  # as of regions that the style lacks
            photos = [read_photo(folder / f"{role}.jpg", role) for role in roles]
            pair = prepare_pair(*photos, *(folder / f"{role}_mask.png" for role in roles), 120)
        assert len(pair.names) >= 2 and max(pair.content.shape) == max(pair.style.shape) == 120
        for masks in (pair.content_masks, pair.style_masks):
            assert torch.allclose(masks.sum(0), torch.ones(masks.shape[1:]), atol=1e-5), "every pixel has a region"
