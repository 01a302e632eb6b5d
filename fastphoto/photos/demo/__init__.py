"""The two pairs of photos that come with the package."""

from __future__ import annotations

from pathlib import Path


def demo_pairs() -> list[Path]:
    """The folders of the pairs in the package, each with content.jpg, style.jpg, content_mask.png, style_mask.png."""
    return sorted(file.parent for file in Path(__file__).parent.glob("*/content.jpg"))
