"""The rendered flat scenes of the calibration: flat contents, textured styles, the same at every call."""

from __future__ import annotations

import importlib

import pytest
import torch
from scipy import ndimage

from fastphoto.colour.spaces import srgb_to_lab


@pytest.fixture
def scenes(tools):
    return importlib.import_module("flat_scenes").flat_scenes()


def local_deviation(photo: torch.Tensor):
    """Return the deviation (H, W) of L* in windows of 9 x 9 pixels."""
    lightness = srgb_to_lab(photo.double().numpy())[0]
    mean, square = (ndimage.uniform_filter(plane, 9) for plane in (lightness, lightness**2))
    return (square - mean**2).clip(0) ** 0.5


def test_contents_are_flat_and_styles_are_not(scenes):
    assert len(scenes) >= 8
    for name, (content, style) in scenes.items():
        assert (local_deviation(content) < 1).mean() > 0.5, f"{name} is not flat"
        assert (local_deviation(style) > 2).mean() > 0.9, f"the style of {name} has nothing to take"


def test_photos_have_the_values_of_8_bit_files(scenes):
    for name, photos in scenes.items():
        for photo in photos:
            assert photo.shape == (3, 240, 320) and photo.dtype == torch.float32, name
            assert torch.equal(photo, (photo * 255).round() / 255) and 0 <= photo.min() <= photo.max() <= 1, name


def test_scenes_are_the_same_at_every_call(scenes):
    again = importlib.import_module("flat_scenes").flat_scenes()
    assert list(again) == list(scenes)
    for name in scenes:
        assert all(torch.equal(one, other) for one, other in zip(scenes[name], again[name], strict=True)), name
