"""Photos in and out: every kind of source, real files of every format, colour profiles, and bad files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from icc_profiles import ADOBE_RGB
from PIL import Image, ImageCms

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge, fit_size, resize
from fastphoto.photos.write import to_source_kind, write_photo


def picture(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth uint8 picture (H, W, C), so that lossy formats stay close to it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, channels), np.uint8)
    planes = [
        Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)
    ]
    return np.stack([np.asarray(p) for p in planes], -1)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).float() / 255


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


# Arrays and tensors


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", ">u2"])
@pytest.mark.parametrize("shape", [(18, 23, 3), (18, 23, 4), (18, 23), (18, 23, 1)])
def test_array_comes_back_as_it_was(dtype, shape):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(1)
    top = np.iinfo(dtype).max if dtype.kind == "u" else 1
    array = (rng.random(shape) * top).astype(dtype)
    before = array.copy()
    photo = read_photo(array)
    assert photo.pixels.dtype == torch.float32 and photo.pixels.shape == (3, 18, 23)
    assert photo.size == (18, 23)
    np.testing.assert_allclose(photo.pixels[0], np.atleast_3d(array)[..., 0].astype(float) / top, atol=1e-6)
    result = to_source_kind(photo, photo.pixels)
    wanted = array if shape[2:] in ((3,), (4,)) else np.repeat(np.atleast_3d(array), 3, -1)
    assert isinstance(result, np.ndarray) and result.dtype == dtype and result.shape == wanted.shape
    if dtype.kind == "u":
        np.testing.assert_array_equal(result, wanted)
    else:
        np.testing.assert_allclose(result, wanted, atol=1e-7)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 17, 20), (1, 3, 17, 20), (4, 17, 20), (1, 17, 20), (1, 1, 17, 20)])
def test_tensor_comes_back_as_it_was(dtype, shape):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    tensor = (values * 255).to(dtype) if dtype == torch.uint8 else values.to(dtype)
    result = to_source_kind(photo := read_photo(tensor), photo.pixels)
    colour = tensor if shape[-3] != 1 else tensor.expand(*shape[:-3], 3, -1, -1)
    assert isinstance(result, torch.Tensor) and result.dtype == dtype
    torch.testing.assert_close(result, colour, atol=1e-6, rtol=0)


def test_reading_never_changes_or_shares_the_source():
    tensor = torch.rand(3, 20, 20, requires_grad=True)
    planar = np.random.default_rng(0).random((3, 20, 20), np.float32)
    array = planar.transpose(1, 2, 0)  # channels-last view of planar memory: a copy is easily forgotten
    for source in (tensor, array):
        before = source.detach().clone() if isinstance(source, torch.Tensor) else source.copy()
        photo = read_photo(source)
        assert not photo.pixels.requires_grad
        photo.pixels.zero_()
        assert bool((torch.as_tensor(before) == torch.as_tensor(source)).all())


def test_views_read_like_copies():
    array = picture(40, 60)
    for view in (array[::-1], array[::2, ::2], array[:, ::-1, ::-1], np.broadcast_to(array[:1], array.shape)):
        assert torch.equal(read_photo(view).pixels, read_photo(view.copy()).pixels)
    tensor = as_tensor(array)
    for view in (tensor[:, ::2], tensor.transpose(1, 2), tensor[None].to(memory_format=torch.channels_last)):
        assert torch.equal(read_photo(view).pixels, read_photo(view.clone().contiguous()).pixels)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.full((20, 20, 3), 200.0), "divide by 255"),
        (torch.full((3, 20, 20), 200.0), "divide by 255"),
        (np.full((20, 20, 3), np.nan), "NaN"),
        (torch.full((3, 20, 20), torch.inf), "infinite"),
        (np.full((20, 20, 3), 1e300), "infinite"),
        (np.full((20, 20, 3), -0.5), r"\[0, 1\]"),
        (np.zeros((20, 20, 3), np.int64), "int64"),
        (np.zeros((20, 20, 3), bool), "bool"),
        (np.zeros((20, 20, 3), complex), "complex"),
        (np.zeros((20, 20, 3), object), "object"),
        (torch.zeros(3, 20, 20, dtype=torch.int64), "int64"),
        (torch.zeros(3, 20, 20, dtype=torch.bool), "bool"),
        (torch.zeros(3, 20, 20, dtype=torch.complex64), "complex"),
        (torch.zeros(3, 20, 20).to_sparse(), "sparse"),
        (torch.zeros(3, 20, 20, device="meta"), "meta"),
        (np.zeros((3, 20, 20), np.uint8), "channels last"),
        (torch.zeros(20, 20, 3), "channels first"),
        (torch.zeros(2, 3, 20, 20), "batch"),
        (torch.zeros(20, 20), "20x20"),
        (np.zeros((20, 20, 2), np.uint8), "20x20x2"),
        (np.zeros((0, 20, 3), np.uint8), "20x0"),
        (np.zeros((15, 200, 3), np.uint8), "at least 16"),
        (torch.zeros(3, 200, 15), "at least 16"),
        (Image.new("RGB", (15, 40)), "at least 16"),
        (42, "int"),
        (None, "NoneType"),
    ],
)
def test_unusable_values_are_one_line_that_names_the_cause(source, message):
    with pytest.raises(InputError, match=message) as caught:
        read_photo(source, "style")
    assert str(caught.value).startswith("style") and "\n" not in str(caught.value)


def test_float_rounding_just_outside_the_range_is_accepted():
    photo = read_photo(np.linspace(-0.0005, 1.0005, 400).reshape(20, 20))
    assert photo.pixels.min() == 0 and photo.pixels.max() == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 40), st.integers(16, 40), st.sampled_from([1, 3, 4]), st.integers(0, 2**31))
def test_uint8_survives_every_route(height, width, channels, seed):
    array = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    image = Image.fromarray(array[..., 0] if channels == 1 else array)
    colour = array if channels > 1 else np.repeat(array, 3, -1)
    for source in (array, image):
        np.testing.assert_array_equal(np.asarray(to_source_kind(p := read_photo(source), p.pixels)), colour)
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    np.testing.assert_array_equal(to_source_kind(p := read_photo(tensor), p.pixels).permute(1, 2, 0), colour)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_result_that_is_not_finite_is_refused(bad, tmp_path):
    photo = read_photo(picture())
    pixels = photo.pixels.clone()
    pixels[1, 2, 3] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        to_source_kind(photo, pixels)
    with pytest.raises(InputError, match="NaN or infinite"):
        write_photo(tmp_path / "out.png", photo, pixels)
    assert not list(tmp_path.iterdir())


def test_a_result_is_clamped_not_wrapped():
    photo = read_photo(picture())
    result = to_source_kind(photo, torch.stack([torch.full((24, 32), v) for v in (-0.3, 1.4, 0.5)]))
    assert result[0, 0].tolist() == [0, 255, 128]


# Colour profiles


def test_an_srgb_profile_changes_nothing_and_is_kept(tmp_path):
    array, profile = picture(), srgb_profile()
    Image.fromarray(array).save(tmp_path / "p.png", icc_profile=profile)
    photo = read_photo(tmp_path / "p.png")
    assert torch.equal(photo.pixels, as_tensor(array))
    result = to_source_kind(photo, photo.pixels)
    np.testing.assert_array_equal(np.asarray(result), array)
    assert result.info["icc_profile"] == profile


@pytest.mark.parametrize("alpha", [False, True])
def test_a_wide_gamut_photo_is_worked_on_in_srgb_and_returned_in_its_profile(alpha, tmp_path):
    array = 96 + picture(24, 32, 4 if alpha else 3) // 4  # muted colours, inside both gamuts
    Image.fromarray(array).save(tmp_path / "p.png", icc_profile=ADOBE_RGB)
    photo = read_photo(tmp_path / "p.png")
    linear = (array[..., :3] / 255) ** (563 / 256)
    to_xyz = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
    from_xyz = np.linalg.inv(
        np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    )
    srgb = (linear @ to_xyz.T @ from_xyz.T).clip(0, 1)
    srgb = np.where(srgb <= 0.0031308, 12.92 * srgb, 1.055 * srgb ** (1 / 2.4) - 0.055)
    assert np.abs(photo.pixels.permute(1, 2, 0).numpy() - srgb).max() < 2 / 255
    assert np.abs(photo.pixels.permute(1, 2, 0).numpy() - array[..., :3] / 255).max() > 6 / 255
    write_photo(tmp_path / "o.tif", photo, photo.pixels)
    with Image.open(tmp_path / "o.tif") as written:
        assert written.info["icc_profile"] == ADOBE_RGB
        assert np.abs(np.asarray(written).astype(int) - array).max() <= 2


def test_an_unusable_profile_is_ignored_with_a_warning():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    array = picture()
    for profile in (b"garbage", ADOBE_RGB[:200], lab):
        image = Image.fromarray(array)
        image.info["icc_profile"] = profile
        with pytest.warns(FastPhotoWarning, match="profile is unusable"):
            photo = read_photo(image)
        assert torch.equal(photo.pixels, as_tensor(array))
        assert "icc_profile" not in to_source_kind(photo, photo.pixels).info
    grey = Image.fromarray(array[..., 0])
    grey.info["icc_profile"] = ADOBE_RGB
    with pytest.warns(FastPhotoWarning, match="for RGB, the image is L"):
        read_photo(grey)


def test_cmyk_becomes_srgb(tmp_path):
    array = picture()
    Image.fromarray(array).convert("CMYK").save(tmp_path / "p.jpg", quality=100, subsampling=0)
    with pytest.warns(FastPhotoWarning, match="CMYK"):
        photo = read_photo(tmp_path / "p.jpg")
    assert (photo.pixels - as_tensor(array)).abs().mean() < 0.02
    assert to_source_kind(photo, photo.pixels).mode == "RGB"


# Sizes


def test_fit_size_shrinks_keeps_the_aspect_and_refuses_slivers():
    assert fit_size(466, 700, 350) == (233, 350)
    assert fit_size(3000, 4000, 1000) == (750, 1000)
    assert fit_size(300, 200, 1000) == (300, 200)
    with pytest.raises(InputError, match="at least 640"):
        fit_size(100, 4000, 500)
    assert min(fit_size(100, 4000, 640)) == 16


def test_resize_is_antialiased_and_stays_in_range():
    checks = torch.from_numpy((np.indices((64, 96)).sum(0) % 2).astype(np.float32)).expand(3, -1, -1)
    small = resize(checks, (16, 24))
    assert small.shape == (3, 16, 24) and (small - 0.5).abs()[:, 2:-2, 2:-2].max() < 0.02
    edge = torch.zeros(3, 64, 64)
    edge[:, :, 30:] = 1
    assert resize(edge, (20, 20)).min() == 0 and resize(edge, (20, 20)).max() == 1
    assert resize(edge, (64, 64)) is edge
    with pytest.raises(InputError, match="enlarges"):
        resize(edge, (65, 64))


def cubic(distance: float) -> float:
    """Keys's kernel, a = -3/4."""
    x = abs(distance)
    if x <= 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * x**3 + 3.75 * x**2 - 6 * x + 3 if x < 2 else 0.0


def test_enlarge_is_bicubic():
    small = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    small[0, 0, 0], small[1, 4, 6] = -3, 4  # the range is far, so that nothing is clamped to it
    large = enlarge(small, (12, 18))
    assert large.shape == (2, 12, 18)
    for y, x in ((0, 0), (11, 17), (5, 9), (7, 2), (3, 16)):
        down, across = (y + 0.5) * 5 / 12 - 0.5, (x + 0.5) * 7 / 18 - 0.5
        for c in range(2):
            wanted = 0.0
            for i in range(int(down // 1) - 1, int(down // 1) + 3):
                for j in range(int(across // 1) - 1, int(across // 1) + 3):
                    value = float(small[c, min(max(i, 0), 4), min(max(j, 0), 6)])
                    wanted += cubic(down - i) * cubic(across - j) * value
            assert float(large[c, y, x]) == pytest.approx(min(max(wanted, -3), 4), abs=1e-9)


def test_enlarge_stays_in_range_and_does_not_move_the_picture():
    edge = torch.full((3, 8, 10), 0.25)
    edge[:, :, 5:] = 0.75
    large = enlarge(edge, (24, 30))
    assert float(large.min()) == 0.25 and float(large.max()) == 0.75, "no halo beside an edge"
    torch.testing.assert_close(large.flip(2), 1 - large, atol=1e-6, rtol=0)
    picture = torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(enlarge(picture.flip(1, 2), (20, 33)), enlarge(picture, (20, 33)).flip(1, 2))


def test_enlarge_to_no_more_is_resize():
    picture = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(1))
    assert enlarge(picture, (40, 30)) is picture
    for size in ((20, 15), (40, 29), (17, 30)):
        assert torch.equal(enlarge(picture, size), resize(picture, size))
    assert enlarge(picture, (41, 30)).shape == (3, 41, 30) and enlarge(picture, (80, 29)).shape == (3, 80, 29)
