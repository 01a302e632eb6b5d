"""The two pairs of demo photos that come with the package."""

from __future__ import annotations

from pathlib import Path


def demo_pairs() -> list[Path]:
    """Return the folders of the pairs, each with content.jpg, style.jpg, content_mask.png and style_mask.png.

    Returns:
        The folders, sorted by name.

    Example:
        >>> [folder.name for folder in demo_pairs()]
        ['lake-at-sunset', 'mountains-as-desert']
    """
    return sorted(file.parent for file in Path(__file__).parent.glob("*/content.jpg"))
