"""A transfer in a few steps between the rendered photos."""

from __future__ import annotations

from typing import Any

from rendered_photos import day, dusk

import fastphoto

SHORT: dict[str, Any] = {"size": 48, "scales": (0.5, 1.0), "steps": (4, 2)}


def transfer(content: Any = None, style: Any = None, *masks: Any, **options: Any) -> Any:
    """Transfer in six steps; the content is `day()` and the style `dusk()` where none are given."""
    content = day().pixels if content is None else content
    style = dusk().pixels if style is None else style
    return fastphoto.transfer(content, style, *masks, **{**SHORT, **options})
