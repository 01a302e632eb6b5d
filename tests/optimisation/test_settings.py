"""Settings and presets: every invalid value is refused by name, and what is shared cannot be changed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from fastphoto.errors import InputError
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.settings import Settings

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
POSITIVE = ("pixel_scale", "maximum_change", "learning_rate", "epsilon", "affine_epsilon", "colour_gain")
POSITIVE += ("total_variation_power", "noise")
WEIGHTS = ("content_weight", "photorealism_weight", "total_variation_weight", "gamut_weight")
WEIGHTS += ("look_weight", "stains_weight", "invented_weight")
RADII = ("affine_radius", "smooth_radius", "border_radius", "matte_radius")
CHOICES = ("start", "solver", "precision", "normalisation", "content_target", "orphans")
CHOICES += ("unknowns", "style_statistic", "result")

INVALID = [
    *((name, value) for name in POSITIVE for value in (0, -1.0, math.nan, "much", None, True)),
    *((name, math.inf) for name in POSITIVE if name != "maximum_change"),
    *((name, value) for name in WEIGHTS for value in (-0.1, math.nan, math.inf, "high", None, (1.0,))),
    *((name, value) for name in RADII for value in (-1, 101, 1.5, "wide", None, True)),
    *((name, value) for name in CHOICES for value in ("other", None, 3, ["colour"])),
    *((name, value) for name in ("first_change", "smooth_colour") for value in (0, -1.0, math.nan, math.inf, "x")),
    *(("strength", value) for value in (-0.01, math.nan, math.inf, -math.inf, "full", None, True, (1.0,))),
    *(("blend", value) for value in (-0.01, 1.01, math.nan, math.inf, -math.inf, "full", None, True, (1.0,))),
    ("projection", "no"),
    ("projection", 1),
    *(("curve_slope", value) for value in (0.99, 0, -1.0, math.nan, math.inf, "steep", None)),
    *(("photorealism_radius", value) for value in (0, -1, 101, 1.5, "wide", None, True)),
    ("history", 0),
    ("history", 2.5),
    ("history", "ten"),
    ("stages", ()),
    ("stages", ("style", "paint")),
    ("stages", (1,)),
    ("scales", ()),
    ("scales", (1.0, 0.5)),
    ("scales", (0.0, 1.0)),
    ("scales", (0.5, 1.5)),
    ("scales", (math.nan, 1.0)),
    ("scales", ("half", "whole")),
    ("steps", (10,)),
    ("steps", (-1, 10)),
    ("steps", (2.5, 10)),
    ("steps", (math.inf, 10)),
    ("steps", 10.5),
    ("style_weights", (1.0,)),
    ("style_weights", (1.0, 1.0, 1.0, 1.0, -1.0)),
    ("style_weights", (1.0, 1.0, 1.0, 1.0, math.nan)),
    ("style_weights", (1.0, 1.0, 1.0, 1.0, math.inf)),
    ("style_weights", ("a",) * 5),
    ("style_layers", ("relu1_1", "relu1_1", "relu2_1", "relu3_1", "relu4_1")),
    ("style_layers", (1, 2, 3, 4, 5)),
    ("content_layers", (None,)),
    ("content_layers", ("relu4_1", "relu4_1")),
]


@pytest.mark.parametrize(("name", "value"), INVALID, ids=str)
def test_invalid_values_are_refused_by_name(name, value):
    schedule = {"scales": (0.5, 1.0), "steps": (2, 2)}
    changes = {**schedule, name: value} if name in schedule else {name: value}
    with pytest.raises(InputError) as refused:
        preset_settings("fast", **changes)
    message = str(refused.value)
    assert message.startswith(f"{name}: ") and "\n" not in message
    shown = tuple(value) if isinstance(value, list) and name not in CHOICES else value
    assert any(f"got {got!r}" in message for got in (shown, (shown,), (shown, shown)))


def test_noise_cannot_be_recoloured_and_is_no_photo_to_go_from():
    with pytest.raises(InputError, match='^start: must be "colour" or "content" with the unknowns "recolouring"'):
        preset_settings("fast", start="noise")
    with pytest.raises(InputError, match='^strength: must be 1 with the start "noise".*got 0.5'):
        preset_settings("painterly", start="noise", strength=0.5)
    assert preset_settings("painterly", start="noise", strength=1).start == "noise"


@pytest.mark.parametrize("name", FIELDS)
def test_a_wrong_type_is_refused_in_every_field(name):
    """A new field whose wrong type passes would break far from where it was given."""
    with pytest.raises(InputError, match=f"^{name}: "):
        dataclasses.replace(PRESETS["fast"], **{name: object()})


def test_every_field_has_invalid_values_in_this_file():
    assert set(FIELDS) == {name for name, _ in INVALID}


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": (0, 0), "scales": (0.5, 1.0)},
        {"first_change": None, "smooth_colour": None, "maximum_change": math.inf},
        {"content_weight": 0, "photorealism_weight": 0.0},
        {"smooth_radius": 0, "affine_radius": np.int64(2), "affine_epsilon": np.float32(0.5)},
        {"content_layers": ()},
        {"noise": 0.5, "total_variation_power": 1, "photorealism_radius": 100},
        {"unknowns": "bilateral_grid", "style_statistic": "patches", "result": "image", "solver": "gradient"},
        {"style_layers": (), "style_weights": ()},
        {"stages": ("photorealism", "style")},
        {"scales": (1.0, 1.0, 1), "steps": (1, 2, 3)},
        {"strength": 0, "matte_radius": 100},
        {"strength": 2.5, "look_weight": 0, "stains_weight": 0, "invented_weight": 0.0},
    ],
    ids=str,
)
def test_valid_values(changes):
    settings = preset_settings("fast", **changes)
    for name, value in changes.items():
        assert getattr(settings, name) == value
    untouched = set(FIELDS) - set(changes)
    assert all(getattr(settings, name) == getattr(PRESETS["fast"], name) for name in untouched)


def test_sequences_may_be_lists_or_single_values():
    settings = preset_settings("fast", scales=[0.25, 1.0], steps=[3, 4], content_layers="relu2_1")
    assert (settings.scales, settings.steps, settings.content_layers) == ((0.25, 1.0), (3, 4), ("relu2_1",))
    assert preset_settings("paper", steps=7).steps == (7,)
    assert preset_settings("fast", scales=[0.25, 1.0], steps=7).steps == (7, 7)
    assert preset_settings("fast", style_layers="relu2_1", style_weights=2.0).style_weights == (2.0,)
    assert set(preset_settings("fast", style_weights=2.0).style_weights) == {2.0}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("style_weight", "did you mean style_weights"),
        ("photorealism_wieght", "did you mean photorealism_weight"),
        ("zzz", "settings are start, noise, stages"),
    ],
)
def test_unknown_setting(name, hint):
    with pytest.raises(InputError, match=f"'{name}': unknown; {hint}"):
        preset_settings("fast", **{name: 1})


@pytest.mark.parametrize("preset", ["Fast", "", "gatis", None, 3, ["fast"]])
def test_unknown_preset(preset):
    with pytest.raises(InputError, match="preset .*unknown; give one of fast, .*paper"):
        preset_settings(preset)


def test_presets_are_immutable():
    before = {name: dataclasses.asdict(settings) for name, settings in PRESETS.items()}
    for settings in PRESETS.values():
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.content_weight = 7.0
        assert hash(settings) == hash(dataclasses.replace(settings)), "a field can be changed in place"
    with pytest.raises(TypeError):
        PRESETS["fast"] = Settings()
    mine = [4, 5]
    changed = preset_settings("fast", scales=[0.5, 1.0], steps=mine)
    mine[0] = 9
    assert changed.steps == (4, 5) and changed is not PRESETS["fast"]
    assert {name: dataclasses.asdict(settings) for name, settings in PRESETS.items()} == before


def test_defaults_are_those_of_fast():
    assert PRESETS["fast"] == Settings()


def test_recolour_is_the_start_of_fast_alone():
    assert PRESETS["recolour"] == dataclasses.replace(PRESETS["fast"], steps=(0,))


def test_painterly_is_what_it_was():
    """Until the recolouring it was the default; its results must stay the same."""
    painterly = PRESETS["painterly"]
    assert (painterly.start, painterly.stages, painterly.unknowns) == ("colour", ("photorealism",), "pixels")
    assert (painterly.scales, painterly.steps, painterly.solver) == ((0.25, 0.5, 1.0), (30, 30, 10), "lbfgs")
    assert (painterly.style_statistic, painterly.style_weights) == ("gram", (2.0, 1.0, 0.5, 0.1, 0.1))
    assert (painterly.content_layers, painterly.content_weight) == (("relu3_1",), 0.1)
    assert (painterly.photorealism_weight, painterly.gamut_weight, painterly.epsilon) == (0.05, 1.0, 1e-4)
    assert painterly.look_weight == painterly.stains_weight == painterly.invented_weight == 0
    assert painterly.smoothing() == {"radius": 1, "epsilon": 3e-3, "smooth_radius": 1, "smooth_colour": None}
    assert (painterly.matte_radius, painterly.border_radius, painterly.strength) == (0, 4, 1.0)
    assert (painterly.colour_gain, painterly.curve_slope, painterly.projection) == (6.0, 2.0, True)


def test_gatys_has_the_published_settings():
    """Gatys et al. 2016: alpha / beta, layers and weights; from noise, and the optimised image is the result."""
    gatys = PRESETS["gatys"]
    assert (gatys.start, gatys.normalisation, gatys.result, gatys.scales) == ("noise", "gatys", "image", (1.0,))
    assert (gatys.content_layers, gatys.content_weight, gatys.style_weights) == (("relu4_2",), 1e-3, (0.2,) * 5)
    assert gatys.style_layers == tuple(f"relu{block}_1" for block in range(1, 6))


def test_gatys_photo_is_gatys_from_the_content_with_more_of_it():
    gatys = PRESETS["gatys"]
    expected = dataclasses.replace(gatys, start="content", content_weight=10 * gatys.content_weight)
    assert PRESETS["gatys-photo"] == expected


def test_cnnmrf_compares_patches():
    cnnmrf = PRESETS["cnnmrf"]
    assert (cnnmrf.style_statistic, cnnmrf.style_layers) == ("patches", ("relu3_1", "relu4_1"))


def test_inversion_has_no_style():
    inversion = PRESETS["inversion"]
    assert (inversion.style_layers, inversion.start, inversion.content_target) == ((), "noise", "content")


@pytest.mark.parametrize("name", ["gatys", "gatys-photo", "cnnmrf", "inversion"])
def test_other_methods_have_no_photorealism(name):
    assert PRESETS[name].stages == ("style",) and not PRESETS[name].projection
