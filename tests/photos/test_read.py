"""Photos read: from every kind of source the same pixels, and one line for what cannot be a photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from smooth_pictures import smooth_picture

from fastphoto.errors import InputError
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")


def test_a_photo_is_returned_as_it_is():
    photo = read_photo(smooth_picture())
    assert read_photo(photo, "style") is photo


def test_the_role_does_not_change_the_pixels():
    assert torch.equal(read_photo(smooth_picture(), "style").pixels, read_photo(smooth_picture()).pixels)


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 40), st.integers(16, 40), st.sampled_from([1, 3, 4]), st.integers(0, 2**31))
def test_uint8_survives_every_route(height, width, channels, seed):
    array = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    image = Image.fromarray(array[..., 0] if channels == 1 else array)
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    colour = array if channels > 1 else np.repeat(array, 3, -1)
    from_array, from_image, from_tensor = (read_photo(source) for source in (array, image, tensor))
    np.testing.assert_array_equal(to_source_kind(from_array, from_array.pixels), colour)
    np.testing.assert_array_equal(np.asarray(to_source_kind(from_image, from_image.pixels)), colour)
    np.testing.assert_array_equal(to_source_kind(from_tensor, from_tensor.pixels).permute(1, 2, 0), colour)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(np.zeros((0, 20, 3), np.uint8), "20x0", id="no rows"),
        pytest.param(np.zeros((15, 200, 3), np.uint8), "at least 16", id="low array"),
        pytest.param(torch.zeros(3, 200, 15), "at least 16", id="narrow tensor"),
        pytest.param(Image.new("RGB", (15, 40)), "at least 16", id="narrow image"),
        pytest.param(42, "^style: cannot read a photo from int", id="number"),
        pytest.param(None, "NoneType", id="None"),
    ],
)
def test_what_is_no_photo_is_refused_in_one_line_that_names_its_role(source, message):
    with pytest.raises(InputError, match=message) as caught:
        read_photo(source, "style")
    assert str(caught.value).startswith("style") and "\n" not in str(caught.value)
