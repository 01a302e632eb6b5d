"""A step of the optimisation can be captured in a CUDA graph: it reads nothing back and keeps its state in place.

Where there is no GPU this is checked on the CPU, by looking at every operator that a step calls.
"""

from __future__ import annotations

from functools import partial
from typing import get_args

import pytest
import torch
from prepared_pairs import full_size_objective
from rendered_photos import day, dusk
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fastphoto.encoders.encoder import load_encoder
from fastphoto.optimisation.cuda_graph import capture_graph
from fastphoto.optimisation.descent import Descent
from fastphoto.optimisation.objective import Objective
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.settings import Settings, Solver
from fastphoto.optimisation.solvers import make_rule
from fastphoto.optimisation.start import start_image, start_recolouring
from fastphoto.optimisation.style_losses import Statistic
from fastphoto.regions.pair import PhotoPair

READING_BACK = {
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "nonzero",
    "equal",
    "masked_select",
    "unique",
    "where.self",
}


class NothingReadBack(TorchDispatchMode):
    """Refuses operators whose result must come to the host, or whose output's size depends on values."""

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name = function.__name__
        assert name.split(".")[0] not in READING_BACK, name
        if name.startswith("index.") or name.startswith("index_put"):
            assert all(i is None or i.dtype == torch.int64 for i in arguments[1]), (
                "the size of what a mask selects is not known on the host"
            )
        return function(*arguments, **(named or {}))


RULES = {solver: partial(make_rule, Settings(solver=solver, history=4), 20, 1.0) for solver in get_args(Solver)}


def objective(device: torch.device, preset: str = "painterly", **settings) -> tuple[Objective, Tensor]:
    """The losses of a preset for two regions of a small photo, and the unknowns of the start image."""
    content, style = (photo(40, 56).pixels.to(device) for photo in (day, dusk))
    masks = torch.zeros(2, 40, 56, device=device)
    masks[0, :22], masks[1, 20:] = 1, 1
    pair = PhotoPair(content, style, ("a", "b"), masks, masks)
    chosen = preset_settings(preset, **settings)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    network = load_encoder("embedded", dtype=dtype, channel_multiple=8).to(device)
    with torch.no_grad():
        start = start_image(pair, chosen)
        recolouring = start_recolouring(pair, chosen) if chosen.unknowns == "recolouring" else None
        losses = full_size_objective(pair, network, chosen, start=start, recolouring=recolouring)
        return losses, losses.unknowns(start)


def state(descent: Descent) -> dict[str, Tensor]:
    """Every tensor that outlives a step."""
    found = {f"part {name}": part for name, part in descent.parts.items()}
    for owner in (descent, descent.rule):
        found |= {name: value for name, value in vars(owner).items() if isinstance(value, Tensor)}
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "fast"},
        {"projection": False, "total_variation_weight": 1e-3},
        *({"style_statistic": statistic} for statistic in get_args(Statistic)),
    ],
    ids=["fast", "plain", *get_args(Statistic)],
)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_reads_nothing_back_and_keeps_its_state_in_place(rule, settings):
    losses, start = objective(torch.device("cpu"), **settings)
    descent = Descent(losses.value_and_gradient, start, RULES[rule]())
    descent.advance()
    before = {name: value.data_ptr() for name, value in state(descent).items()}
    assert len(before) >= 10
    first = float(descent.lowest)
    with NothingReadBack():
        for _ in range(6):
            descent.advance()
    assert {name: value.data_ptr() for name, value in state(descent).items()} == before
    assert float(descent.lowest) < first


def test_reading_back_is_noticed():
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NothingReadBack():
        float(torch.ones(3).sum())
    with pytest.raises(AssertionError, match="size of what a mask selects"), NothingReadBack():
        torch.ones(3)[torch.tensor([True, False, True])]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("preset", ["fast", "painterly"])
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_replaying_a_graph_is_the_same_as_taking_steps(preset, rule):
    losses, start = objective(torch.device("cuda"), preset)
    results = []
    for replay in (False, True, True):
        descent = Descent(losses.value_and_gradient, start, RULES[rule]())
        advance = descent.advance
        for step in range(12):
            if replay and step == 3:
                advance = capture_graph(descent.advance)
            advance()
        results.append(descent.best.clone())
    assert torch.equal(results[0], results[1]) and torch.equal(results[1], results[2])
