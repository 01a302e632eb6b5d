"""transfer(): photos and masks of every kind, and input that cannot be used."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_photos import LAND, SKY, Rendered, day, dusk
from short_transfer import transfer
from torch import Tensor

import fastphoto
from fastphoto import FastPhotoWarning, FileError, InputError
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.palette import PALETTE

# ---- kinds of photos ---------------------------------------------------------------------------------------


CONTENTS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "text": str,
    "image": Image.open,
    "uint8 array": lambda _: day().array,
    "uint16 array": lambda _: day().array.astype(np.uint16) * 257,
    "float32 array": lambda _: day().array.astype(np.float32) / 255,
    "float32 tensor": lambda _: day().pixels,
    "batch": lambda _: day().pixels[None],
    "uint8 tensor": lambda _: torch.from_numpy(day().array).permute(2, 0, 1),
}
FILES = ("path", "text", "image")


def as_pixels(result: Image.Image | np.ndarray | Tensor) -> Tensor:
    """Return a result of any kind as (3, H, W) float32 in [0, 1]."""
    if isinstance(result, Tensor):
        return (result[0] if result.ndim == 4 else result).float() / (255 if result.dtype == torch.uint8 else 1)
    values = np.asarray(result)
    whole = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1) / whole


@pytest.fixture(scope="module")
def expected() -> Tensor:
    """The result between the rendered photos, given as tensors."""
    return transfer()


@pytest.fixture
def content_file(tmp_path) -> Path:
    Image.fromarray(day().array).save(tmp_path / "content.png")
    return tmp_path / "content.png"


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_of_content_gives_the_same_picture(kind, content_file, expected):
    result = transfer(CONTENTS[kind](content_file), dusk().array)
    # What differs is the rounding of what came in and goes out.
    assert (as_pixels(result) - expected).abs().max() < 0.02


@pytest.mark.parametrize("kind", FILES)
def test_a_file_or_an_image_gives_an_image(kind, content_file):
    result = transfer(CONTENTS[kind](content_file), dusk().array)
    assert isinstance(result, Image.Image) and result.mode == "RGB" and result.size == (64, 48)


@pytest.mark.parametrize("kind", [kind for kind in CONTENTS if kind not in FILES])
def test_an_array_or_a_tensor_comes_back_in_its_type_and_shape(kind, content_file):
    content = CONTENTS[kind](content_file)
    result = transfer(content, dusk().array)
    assert type(result) is type(content) and result.dtype == content.dtype and result.shape == content.shape


@pytest.mark.parametrize("kind", [kind for kind in CONTENTS if kind not in FILES])
def test_the_given_content_is_only_read(kind, content_file):
    content = CONTENTS[kind](content_file)
    before = copy.deepcopy(content)
    transfer(content, dusk().array)
    assert bool((content == before).all()), "changed although only read"


def test_a_photo_that_was_read_gives_a_tensor():
    photo = read_photo(day().array)
    result = transfer(photo)
    assert isinstance(photo, Photo) and isinstance(result, Tensor)
    assert result.shape == (3, 48, 64) and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1


def test_alpha_is_given_back():
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    result = transfer(np.dstack([day().array, alpha]))
    assert result.shape == (48, 64, 4) and np.array_equal(result[..., 3], alpha)


@pytest.mark.parametrize("height, width", [(150, 201), (97, 61), (16, 40)])
def test_result_has_the_contents_own_size(height, width):
    """Larger than `size`: optimised small, and yet with the content's detail at its own size."""
    photo = day(height, width)
    checks = photo.pixels.clone()
    checks[:, ::2, ::2] = (checks[:, ::2, ::2] - 0.06).clamp_min(0)  # gone where it is shrunk
    result = transfer(checks, dusk().pixels)
    assert result.shape == (3, height, width)
    detail = (result[:, 2:-2:2, 2:-2:2] - result[:, 3:-1:2, 3:-1:2]).mean()
    assert detail < -0.005, "the finest detail of the content is lost"


def test_photos_are_never_enlarged():
    sizes = []
    transfer(day(20, 24).pixels, dusk(18, 16).pixels, size=500, steps=(1, 1), callback=lambda p: sizes.append(p.scale))
    assert sizes[-1] == (20, 24)


def test_what_alpha_hides_does_not_count():
    """A cut-out style gives the colours of its visible part, whatever lies beneath the rest."""
    style = dusk().pixels
    alpha = torch.zeros(1, *style.shape[1:])
    alpha[:, 10:40, 8:40] = 1
    results = [
        transfer(None, torch.cat([torch.where(alpha > 0, style, hidden), alpha]), size=64, steps=(0, 0))
        for hidden in (torch.zeros(()), torch.ones(()))
    ]
    assert (results[0] - results[1]).abs().max() < 1e-5


def test_a_style_that_alpha_hides_completely_gives_a_finite_result():
    style = dusk().pixels
    assert torch.isfinite(transfer(None, torch.cat([style, torch.zeros_like(style[:1])]))).all()


def test_photos_made_in_inference_mode():
    with torch.inference_mode():
        photo = read_photo(day(48, 48).pixels.clone())
        inside = transfer(photo, photo)
    assert torch.isfinite(inside).all() and torch.isfinite(transfer(photo, photo)).all()


def test_integers_of_numpy_are_accepted():
    assert transfer(size=np.int64(48), seed=np.int64(3)).shape == (3, 48, 64)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_the_preset_paper_is_finite_on_constant_photos(level):
    flat = torch.full((3, 40, 40), level)
    result = fastphoto.transfer(flat, flat, preset="paper", steps=3)
    assert torch.isfinite(result).all()


# ---- masks -------------------------------------------------------------------------------------------------


MASKS: dict[str, Callable[[Rendered, Path], Any]] = {
    "path": lambda photo, path: path,
    "image": lambda photo, path: Image.fromarray(photo.mask_picture),
    "region map": lambda photo, path: photo.region_map,
    "named masks": lambda photo, path: dict(zip((SKY, LAND), photo.masks.numpy(), strict=True)),
    "masks": lambda photo, path: photo.masks,
}


@pytest.fixture(scope="module")
def expected_by_region() -> Tensor:
    """The result between the rendered photos with their masks, given as pictures in palette colours."""
    return transfer(None, None, day().mask_picture, dusk().mask_picture)


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind_give_the_same_picture(kind, tmp_path, expected_by_region):
    masks = []
    for name, photo in (("content", day()), ("style", dusk())):
        Image.fromarray(photo.mask_picture).save(tmp_path / f"{name}.png")
        masks.append(MASKS[kind](photo, tmp_path / f"{name}.png"))
    # Regions may come in another order, and so their sums.
    assert (transfer(None, None, *masks) - expected_by_region).abs().max() < 0.02


def test_masks_change_the_picture(expected, expected_by_region):
    assert (expected - expected_by_region).abs().mean() > 0.005


def test_masks_at_other_sizes_than_the_photo_are_fitted():
    content, style = day(96, 128), dusk()
    with pytest.warns(FastPhotoWarning, match="content mask"):
        result = transfer(content.pixels, style.pixels, day().mask_picture, style.mask_picture)
    assert result.shape == (3, 96, 128)


def test_one_mask_alone_is_refused():
    with pytest.raises(InputError, match="content mask: missing, but the style has one"):
        transfer(None, None, None, dusk().mask_picture)
    with pytest.raises(InputError, match="style mask: missing, but the content has one"):
        transfer(None, None, day().mask_picture, None)


def with_an_orphan() -> np.ndarray:
    """The mask of the content, with a red corner that the style lacks, inside its green land."""
    mask = day().mask_picture
    mask[36:, 40:] = PALETTE["red"]
    return mask


@pytest.fixture
def transfer_with_an_orphan() -> Callable[[str], Tensor]:
    """Return a function that transfers to a content whose red region the style lacks, and checks that it warns."""

    def run(orphans: str) -> Tensor:
        with pytest.warns(FastPhotoWarning, match="red"):
            result: Tensor = transfer(None, None, with_an_orphan(), dusk().mask_picture, orphans=orphans)
        assert torch.isfinite(result).all()
        return result

    return run


def test_an_orphan_is_merged_into_the_region_around_it(transfer_with_an_orphan, expected_by_region):
    assert (transfer_with_an_orphan("merge") - expected_by_region).abs().max() < 0.02


def test_an_orphan_can_take_the_whole_style(transfer_with_an_orphan, expected_by_region):
    result = transfer_with_an_orphan("global")
    assert (result - expected_by_region)[:, 38:, 42:].abs().mean() > 0.01


def test_an_orphan_can_be_dropped(transfer_with_an_orphan):
    transfer_with_an_orphan("drop")


def test_an_orphan_can_be_an_error():
    with pytest.raises(InputError, match="style mask: no region for red"):
        transfer(None, None, with_an_orphan(), dusk().mask_picture, orphans="error")


def test_masks_without_an_orphan_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transfer(None, None, day().mask_picture, dusk().mask_picture)


def test_masks_that_share_nothing():
    with pytest.warns(FastPhotoWarning, match="share no region"):
        result = transfer(None, None, np.full((48, 64), 3), np.repeat([[1, 2]], 24, 1).repeat(56, 0))
    assert torch.isfinite(result).all()


# ---- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 15}, "size: .*16 pixels or more, got 15"),
        ({"size": 64.0}, "size: .*got 64.0"),
        ({"size": True}, "size: "),
        ({"size": "big"}, "size: .*'big'"),
        ({"size": 16}, r"at size 16, 64x48 pixels shrink to 16x12.*at least"),
        ({"seed": -1}, "seed: .*got -1"),
        ({"seed": 2**63}, "seed: "),
        ({"seed": 0.5}, "seed: .*got 0.5"),
        ({"preset": "slow"}, "preset 'slow': unknown; give one of fast, .*paper"),
        ({"encoder": "vgg16"}, "encoder 'vgg16': unknown; give one of embedded"),
        ({"device": "gpu"}, "device 'gpu': unknown; give auto, cpu, cuda"),
        ({"device": "mps"}, "device 'mps': not supported"),
        ({"device": None}, "device None: unknown"),
        ({"device": "cpu", "precision": "bfloat16"}, "precision: bfloat16 is for CUDA devices; give auto or float32"),
        ({"no_such": 1}, "setting 'no_such': unknown"),
        ({"content_layers": ("relu6_1",)}, "layer 'relu6_1': not in this encoder; it has relu1_1"),
        ({"style_layers": ("pool1",), "style_weights": (1.0,)}, "layer 'pool1': not in this encoder"),
        ({"photorealism_weight": -1}, "photorealism_weight: "),
        ({"weights": "vgg.pth"}, "weights: "),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(options, message):
    with pytest.raises(InputError, match=message) as refused:
        transfer(**options)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_without_a_device(device):
    with pytest.raises(InputError, match="device .*use cpu"):
        transfer(device=device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"content": Path("absent.png")}, "absent.png", id="content"),
        pytest.param({"encoder": "vgg19", "weights": Path("absent.pth")}, r"absent\.pth", id="weights"),
    ],
)
def test_a_missing_file_is_named(options, message):
    with pytest.raises(FileError, match=message):
        transfer(**options)


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        pytest.param({"style": np.zeros((40, 40, 3), np.int32)}, "^style: ", id="int32 style"),
        pytest.param({"content": torch.full((3, 40, 40), torch.nan)}, "^content: .*NaN", id="content of NaN"),
    ],
)
def test_a_photo_that_cannot_be_used_is_named_by_its_role(photos, message):
    with pytest.raises(InputError, match=message):
        transfer(**photos)
