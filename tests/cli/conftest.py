"""Photos that the tests of the command share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from rendered_photos import day, dusk


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, str]:
    """Return the paths of content (64x48), style (48x56), content_mask and style_mask, all in `tmp_path`."""
    pictures = {
        "content": day().array,
        "style": dusk().array,
        "content_mask": day().mask_picture,
        "style_mask": dusk().mask_picture,
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    return {name: str(tmp_path / f"{name}.png") for name in pictures}


@pytest.fixture
def pair(photos: dict[str, str]) -> list[str]:
    """Return the words of a command that give both photos and their masks."""
    masks = ["--content-mask", photos["content_mask"], "--style-mask", photos["style_mask"]]
    return [photos["content"], photos["style"], *masks]
