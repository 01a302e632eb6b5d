"""Photographs of the package's demo, shrunk: what a network knows cannot be tested on rendered pictures."""

from __future__ import annotations

from torch import Tensor

from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import resize, shrunk_size


def demo_scene(name: str, role: str, long_side: int = 160) -> Tensor:
    """Return a photo (3, H, W) of a demo pair, `role` "content" or "style", with values of 8 bits."""
    folder = next(pair for pair in demo_pairs() if pair.name == name)
    pixels = read_photo(folder / f"{role}.jpg").pixels
    small = resize(pixels, shrunk_size((pixels.shape[1], pixels.shape[2]), long_side))
    return small.clamp(0, 1).mul(255).round() / 255


MOUNTAINS = demo_scene("mountains-as-desert", "content")
DESERT = demo_scene("mountains-as-desert", "style")
