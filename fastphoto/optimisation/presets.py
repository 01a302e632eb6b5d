"""The presets: every method of the field as a choice of settings."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastphoto.errors import InputError
from fastphoto.optimisation.settings import Settings

_PAINTERLY = Settings(
    scales=(0.25, 0.5, 1.0),
    steps=(30, 30, 10),
    unknowns="pixels",
    solver="lbfgs",
    content_layers=("relu3_1",),
    content_weight=0.1,
    style_statistic="gram",
    look_weight=0.0,
    stains_weight=0.0,
    invented_weight=0.0,
    photorealism_weight=0.05,
    gamut_weight=1.0,
    affine_radius=1,
    affine_epsilon=3e-3,
    smooth_radius=1,
    matte_radius=0,
    border_radius=4,
    curve_slope=2.0,
)

_GATYS = dataclasses.replace(
    _PAINTERLY,
    start="noise",
    noise=0.1,
    stages=("style",),
    scales=(1.0,),
    steps=(500,),
    history=20,
    normalisation="gatys",
    content_layers=("relu4_2",),
    content_weight=1e-3,
    content_target="content",
    style_weights=(0.2,) * 5,
    gamut_weight=0.0,
    result="image",
    projection=False,
)

_PRESETS: dict[str, Settings] = {
    # This package's own method: a recolouring refined; tools/calibrate.py searches its weights.
    "fast": Settings(),
    # Its start image alone: the colours of each region moved to the style's.
    "recolour": Settings(steps=(0,)),
    # Every pixel is free: nearer to the style's textures, and often painted.
    "painterly": _PAINTERLY,
    # Luan et al., CVPR 2017, with the published constants.
    "paper": dataclasses.replace(
        _PAINTERLY,
        start="noise",
        stages=("style", "photorealism"),
        scales=(1.0,),
        steps=(1000,),
        history=100,
        first_change=None,
        maximum_change=math.inf,
        pixel_scale=256.0,
        precision="float32",
        normalisation="published",
        content_layers=("relu4_2",),
        content_weight=5.0,
        content_target="content",
        style_weights=(100.0,) * 5,
        photorealism_weight=1e4,
        epsilon=1e-7,
        total_variation_weight=1e-3,
        gamut_weight=0.0,
        projection=False,
        affine_epsilon=1e-3,
        smooth_radius=15,
        smooth_colour=0.01,
    ),
    # Gatys, Ecker and Bethge, CVPR 2016: alpha / beta = 1e-3, from noise.
    "gatys": _GATYS,
    # The same, adapted to photographs: from the content, with ten times the content weight.
    "gatys-photo": dataclasses.replace(_GATYS, start="content", content_weight=1e-2),
    # Li and Wand, CVPR 2016: every patch of the result occurs in the style.
    "cnnmrf": dataclasses.replace(
        _GATYS,
        start="content",
        scales=(0.25, 0.5, 1.0),
        steps=(100, 100, 100),
        normalisation="relative",
        content_weight=0.5,
        style_statistic="patches",
        style_layers=("relu3_1", "relu4_1"),
        style_weights=(1.0, 1.0),
        total_variation_weight=0.1,
        gamut_weight=1.0,
    ),
    # Mahendran and Vedaldi, CVPR 2015: an image that has the content's activations in one layer, and little variation.
    "inversion": dataclasses.replace(
        _GATYS,
        steps=(300,),
        normalisation="relative",
        content_layers=("relu4_1",),
        content_weight=1.0,
        style_layers=(),
        style_weights=(),
        total_variation_weight=0.1,
        gamut_weight=1.0,
    ),
}
PRESETS: Mapping[str, Settings] = MappingProxyType(_PRESETS)
"""Settings of each preset by name."""


def preset_settings(preset: str, **changes: Any) -> Settings:
    """Return the settings of a preset with some of them changed.

    Args:
        preset: name in `PRESETS`.
        changes: new values by setting. Sequences may be lists. A single value stands for a sequence of one; in `steps`
            and `style_weights` it stands for the same value at each scale or layer.

    Raises:
        InputError: an unknown preset or setting, or a value out of range.

    Example:
        >>> preset_settings("painterly", steps=10).steps
        (10, 10, 10)
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(f"preset {preset!r}: unknown; give one of {', '.join(PRESETS)}")
    return changed_settings(PRESETS[preset], **changes)


def changed_settings(base: Settings, **changes: Any) -> Settings:
    """Return settings with some of them changed; values as in `preset_settings`.

    Raises:
        InputError: an unknown setting, or a value out of range.

    Example:
        >>> changed_settings(PRESETS["painterly"], steps=[10, 10, 5]).steps
        (10, 10, 5)
    """
    for name in list(changes):
        if name not in SETTING_NAMES:
            raise InputError(f"setting {name!r}: unknown; {setting_hint(name)}")
        if isinstance(getattr(base, name), tuple) and isinstance(changes[name], list):
            changes[name] = tuple(changes[name])
    for name in SETTING_NAMES:
        if name in changes and isinstance(getattr(base, name), tuple) and not isinstance(changes[name], tuple):
            each = {"steps": "scales", "style_weights": "style_layers"}.get(name)
            count = len(changes.get(each, getattr(base, each))) if each else 1
            changes[name] = (changes[name],) * count
    return dataclasses.replace(base, **changes)


SETTING_NAMES = tuple(field.name for field in dataclasses.fields(Settings))


def setting_hint(name: str) -> str:
    """Return a hint for an unknown name of a setting: the name that was probably meant, or else all names.

    Example:
        >>> setting_hint("content_wait")
        'did you mean content_weight?'
    """
    close = difflib.get_close_matches(name, SETTING_NAMES, 1)
    return f"did you mean {close[0]}?" if close else f"settings are {', '.join(SETTING_NAMES)}"
