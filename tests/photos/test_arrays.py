"""Photos from numpy arrays and tensors: every dtype and shape, views, and values that cannot be pixels.

Numbers in the ids of tests are the rows of docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk
from smooth_pictures import as_pixels, smooth_picture
from torch import Tensor

import fastphoto
from fastphoto.errors import InputError
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")

SHAPES = pytest.mark.parametrize("shape", [(18, 23, 3), (18, 23, 4), (18, 23), (18, 23, 1)], ids=str)


def random_array(dtype: np.dtype, shape: tuple[int, ...], top: float) -> np.ndarray:
    return (np.random.default_rng(1).random(shape) * top).astype(dtype)


def in_colour(array: np.ndarray) -> np.ndarray:
    return array if array.shape[2:] in ((3,), (4,)) else np.repeat(np.atleast_3d(array), 3, -1)


@pytest.mark.parametrize(
    ("dtype", "top"), [("uint8", 255), ("uint16", 65535), (">u2", 65535), ("float32", 1), ("float64", 1)]
)
@SHAPES
def test_an_array_is_read(dtype, top, shape):
    array = random_array(np.dtype(dtype), shape, top)
    before = array.copy()
    photo = read_photo(array)
    assert photo.pixels.dtype == torch.float32 and photo.pixels.shape == (3, 18, 23)
    assert photo.size == (18, 23)
    np.testing.assert_allclose(photo.pixels[0], np.atleast_3d(array)[..., 0].astype(float) / top, atol=1e-6)
    np.testing.assert_array_equal(array, before, "changed although only read")


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535), (">u2", 65535)])
@SHAPES
def test_an_array_of_integers_comes_back_to_the_last_bit(dtype, top, shape):
    array = random_array(np.dtype(dtype), shape, top)
    photo = read_photo(array)
    result = to_source_kind(photo, photo.pixels)
    assert isinstance(result, np.ndarray) and result.dtype == array.dtype
    np.testing.assert_array_equal(result, in_colour(array), strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@SHAPES
def test_an_array_of_floats_comes_back(dtype, shape):
    array = random_array(np.dtype(dtype), shape, 1)
    photo = read_photo(array)
    result = to_source_kind(photo, photo.pixels)
    assert isinstance(result, np.ndarray) and result.dtype == array.dtype
    np.testing.assert_allclose(result, in_colour(array), atol=1e-7, strict=True)


@pytest.mark.parametrize(
    ("dtype", "top"),
    [(torch.uint8, 255), (torch.float32, 1), (torch.float64, 1), (torch.float16, 1), (torch.bfloat16, 1)],
    ids=str,
)
@pytest.mark.parametrize("shape", [(3, 17, 20), (1, 3, 17, 20), (4, 17, 20), (1, 17, 20), (1, 1, 17, 20)], ids=str)
def test_a_tensor_comes_back(dtype, top, shape):
    tensor = (torch.rand(shape, generator=torch.Generator().manual_seed(2)) * top).to(dtype)
    photo = read_photo(tensor)
    result = to_source_kind(photo, photo.pixels)
    assert isinstance(result, torch.Tensor) and result.dtype == dtype
    colour = tensor if shape[-3] != 1 else tensor.expand(*shape[:-3], 3, -1, -1)
    torch.testing.assert_close(result, colour, atol=1e-6, rtol=0)


def test_a_photo_shares_no_memory_with_its_tensor():
    tensor = torch.rand(3, 20, 20, requires_grad=True)
    before = tensor.detach().clone()
    photo = read_photo(tensor)
    assert not photo.pixels.requires_grad
    photo.pixels.zero_()
    assert torch.equal(tensor, before), "the tensor changed with the photo"


def test_a_photo_shares_no_memory_with_its_array():
    planar = np.random.default_rng(0).random((3, 20, 20), np.float32)
    array = planar.transpose(1, 2, 0)  # its memory is laid out as the photo's, so that a copy is easily forgotten
    before = array.copy()
    read_photo(array).pixels.zero_()
    np.testing.assert_array_equal(array, before, "the array changed with the photo")


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda array: array[::-1], id="upside down"),
        pytest.param(lambda array: array[::2, ::2], id="every other pixel"),
        pytest.param(lambda array: array[:, ::-1, ::-1], id="mirrored, BGR"),
        pytest.param(lambda array: np.broadcast_to(array[:1], array.shape), id="stride 0"),
    ],
)
def test_a_view_of_an_array_reads_like_a_copy(view):
    array = view(smooth_picture(40, 60))
    assert torch.equal(read_photo(array).pixels, read_photo(array.copy()).pixels)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda tensor: tensor[:, ::2], id="every other row"),
        pytest.param(lambda tensor: tensor.transpose(1, 2), id="transposed"),
        pytest.param(lambda tensor: tensor[None].to(memory_format=torch.channels_last), id="channels last"),
    ],
)
def test_a_view_of_a_tensor_reads_like_a_copy(view):
    tensor = view(as_pixels(smooth_picture(40, 60)))
    assert torch.equal(read_photo(tensor).pixels, read_photo(tensor.clone().contiguous()).pixels)


def test_float_rounding_just_outside_the_range_is_accepted():
    photo = read_photo(np.linspace(-0.0005, 1.0005, 400).reshape(20, 20))
    assert photo.pixels.min() == 0 and photo.pixels.max() == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(np.full((20, 20, 3), 200.0), "divide by 255", id="0 to 255"),
        pytest.param(np.full((20, 20, 3), np.nan), "NaN", id="NaN"),
        pytest.param(np.full((20, 20, 3), 1e300), "infinite", id="too large for float32"),
        pytest.param(np.full((20, 20, 3), -0.5), r"\[0, 1\]", id="negative"),
        pytest.param(np.zeros((20, 20, 3), np.int64), "int64", id="int64"),
        pytest.param(np.zeros((20, 20, 3), bool), "bool", id="bool"),
        pytest.param(np.zeros((20, 20, 3), complex), "complex", id="complex"),
        pytest.param(np.zeros((20, 20, 3), object), "object", id="object"),
        pytest.param(np.zeros((3, 20, 20), np.uint8), "channels last", id="channels first"),
        pytest.param(np.zeros((20, 20, 2), np.uint8), "20x20x2", id="two channels"),
    ],
)
def test_an_unusable_array_is_refused_in_one_line_that_names_the_cause(array, message):
    with pytest.raises(InputError, match=message) as caught:
        read_photo(array, "style")
    assert str(caught.value).startswith("style") and "\n" not in str(caught.value)


# Tensors that are refused or used as they are

CONTENT, STYLE = day(40, 48).pixels, dusk(48, 40).pixels


def put(value: float) -> Callable[[Tensor], Tensor]:
    """Return a function that copies a photo and sets its first value."""

    def change(photo: Tensor) -> Tensor:
        photo = photo.clone()
        photo[0, 0, 0] = value
        return photo

    return change


unusable = pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(put(torch.nan), "NaN or infinite", id="53-NaN"),
        pytest.param(put(torch.inf), "NaN or infinite", id="54-infinity"),
        pytest.param(put(-torch.inf), "NaN or infinite", id="54-minus infinity"),
        pytest.param(lambda x: x * 255, r"must be in \[0, 1\], got .* to .*; divide by 255", id="55-0 to 255"),
        pytest.param(lambda x: (x * 255).long(), "tensor of torch.int64; give uint8", id="56-int64"),
        pytest.param(lambda x: x > 0.5, "tensor of torch.bool; give uint8", id="56-bool"),
        pytest.param(lambda x: x + 0j, "tensor of torch.complex64", id="56-complex"),
        pytest.param(lambda x: x[0], r"shape 40x48; give \(C, H, W\)", id="58-two dimensions"),
        pytest.param(lambda x: x[:2], "shape 2x40x48", id="58-two channels"),
        pytest.param(lambda x: x.permute(1, 2, 0), r"channels first, permute\(2, 0, 1\)", id="58-channels last"),
        pytest.param(lambda x: torch.stack([x, x]), "is a batch; give one photo at a time", id="58-batch"),
        pytest.param(lambda x: x[:, :0], "each side must have at least 16", id="59-no rows"),
        pytest.param(lambda x: x.to("meta"), "sparse, quantized or meta", id="60-meta"),
        pytest.param(lambda x: x.to_sparse(), "sparse, quantized or meta", id="60-sparse"),
        pytest.param(lambda x: (x + 0j).conj(), "tensor of torch.complex64", id="60-conjugate"),
    ],
)


@unusable
def test_an_unusable_tensor_is_refused_in_one_line_that_names_the_cause(change, message):
    with pytest.raises(InputError, match=message) as caught:
        read_photo(change(CONTENT), "style")
    assert str(caught.value).startswith("style") and "\n" not in str(caught.value)


@unusable
@pytest.mark.parametrize("role", ["content", "style"])
def test_a_transfer_refuses_an_unusable_tensor_by_its_role(change, message, role):
    photos = {"content": CONTENT, "style": STYLE} | {role: change(CONTENT)}
    with pytest.raises(InputError, match=message) as caught:
        fastphoto.transfer(**photos, steps=1)
    assert role in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda x: x.permute(1, 2, 0).contiguous().permute(2, 0, 1), id="61-channels-last"),
        pytest.param(lambda x: x[None].to(memory_format=torch.channels_last)[0], id="61-memory-format"),
        pytest.param(lambda x: torch.nn.functional.pad(x, (2, 3, 1, 4))[:, 1:-4, 2:-3], id="61-offset"),
        pytest.param(lambda x: x.clone().requires_grad_(), id="62-gradient"),
    ],
)
def test_a_transfer_between_views_gives_the_same_bits(view):
    expected = fastphoto.transfer(CONTENT, STYLE, steps=2)
    result = fastphoto.transfer(view(CONTENT), view(STYLE), steps=2)
    assert torch.equal(result, expected) and not result.requires_grad


def test_a_transfer_of_a_photo_of_stride_0_gives_the_same_bits():  # kind 61
    grey = torch.linspace(0, 1, 48).expand(3, 40, 48)
    result = fastphoto.transfer(grey, STYLE, steps=1)
    assert torch.equal(result, fastphoto.transfer(grey.clone(), STYLE, steps=1))
