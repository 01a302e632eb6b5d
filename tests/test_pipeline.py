"""transfer() from end to end: the same bits in every call, progress, stopping, and no connection."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from rendered_photos import day, dusk
from short_transfer import transfer
from torch import Tensor
from watched_steps import steps_alone

import fastphoto


@pytest.fixture(scope="module")
def expected() -> Tensor:
    """The result between the rendered photos, given as tensors."""
    return transfer()


# ---- reproducible ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("preset", ["fast", "painterly"])
def test_same_call_gives_the_same_bits(preset, solver):
    content, style = day(), dusk()
    masks = content.mask_picture, style.mask_picture
    first, second = (transfer(content.pixels, style.pixels, *masks, preset=preset, solver=solver) for _ in range(2))
    assert torch.equal(first, second)


FROM_NOISE: dict[str, Any] = {"preset": "painterly", "start": "noise"}


def test_a_noise_start_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first = transfer(**FROM_NOISE, seed=3)
    torch.manual_seed(2)
    assert torch.equal(first, transfer(**FROM_NOISE, seed=3)), "the state of torch's generator changed the result"
    assert not torch.equal(first, transfer(**FROM_NOISE, seed=4))


def test_a_noise_start_leaves_torchs_generator_as_it_was():
    before = torch.get_rng_state()
    transfer(**FROM_NOISE, seed=3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("preset", ["fast", "painterly"])
def test_without_a_noise_start_the_seed_does_not_matter(preset):
    assert torch.equal(transfer(preset=preset, seed=3), transfer(preset=preset, seed=4))


def test_a_content_that_requires_a_gradient_gets_none(expected):
    content = day().pixels.requires_grad_()
    result = transfer(content)
    assert not result.requires_grad and content.grad is None and torch.is_grad_enabled()
    assert torch.equal(result, expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_without_gradients_give_the_same_bits(mode, expected):
    with mode():
        assert torch.equal(transfer(), expected)


# ---- progress ----------------------------------------------------------------------------------------------


TWO_STAGES: dict[str, Any] = {"preset": "painterly", "size": 96, "stages": ("style", "photorealism")}


@pytest.fixture(scope="module")
def watched() -> tuple[list[fastphoto.Progress], Tensor]:
    """The reports of a transfer of two stages and two levels, and its result."""
    reports: list[fastphoto.Progress] = []
    return reports, transfer(day(72, 96).pixels, callback=steps_alone(reports.append), **TWO_STAGES)


def test_every_step_is_reported_with_its_stage_and_size(watched):
    reports, _ = watched
    assert [p.step for p in reports] == list(range(1, 13)) and {p.total for p in reports} == {12}
    assert [p.stage for p in reports] == ["style"] * 6 + ["photorealism"] * 6
    assert [p.scale for p in reports[:6]] == [(36, 48)] * 4 + [(72, 96)] * 2


def test_every_report_has_the_losses_of_its_stage(watched):
    for progress in watched[0]:
        assert "style" in progress.losses and all(isinstance(v, float) for v in progress.losses.values())
        assert ("photorealism" in progress.losses) == (progress.stage == "photorealism")


def test_every_report_of_the_default_has_its_losses():
    reports: list[fastphoto.Progress] = []
    transfer(callback=steps_alone(reports.append))
    assert len(reports) == 6
    for progress in reports:
        assert progress.losses.keys() == {"look", "stains", "invented", "style", "roughness"}
        assert all(isinstance(v, float) and v >= 0 for v in progress.losses.values())
        preview = progress.preview()
        assert preview.shape == (3, *progress.scale) and preview.min() >= 0 and preview.max() <= 1


def test_every_report_has_a_preview(watched):
    for progress in watched[0]:
        preview = progress.preview()
        assert preview.shape == (3, *progress.scale) and preview.min() >= 0 and preview.max() <= 1


def test_a_report_cannot_be_changed(watched):
    with pytest.raises(dataclasses.FrozenInstanceError):
        watched[0][0].step = 9


def test_a_changed_preview_does_not_change_the_report(watched):
    progress = watched[0][3]
    before = progress.preview().clone()
    progress.preview().zero_()
    assert torch.equal(progress.preview(), before)


def test_a_callback_does_not_change_the_result(watched):
    assert torch.equal(transfer(day(72, 96).pixels, **TWO_STAGES), watched[1])


@pytest.mark.parametrize("preset", ["fast", "painterly"])
@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_callback_can_stop_the_transfer(preset, at):
    steps = []

    def stop(progress: fastphoto.Progress) -> bool:
        steps.append(progress.step)
        return progress.step == at

    result = transfer(preset=preset, callback=steps_alone(stop))
    assert steps == list(range(1, at + 1)), "a level or a stage ran after the stop"
    assert isinstance(result, Tensor) and result.shape == (3, 48, 64) and torch.isfinite(result).all()


def test_stopping_after_the_first_stage_gives_the_result_of_that_stage():
    both = transfer(**TWO_STAGES, callback=lambda progress: progress.step == 6)
    assert torch.equal(both, transfer(**(TWO_STAGES | {"stages": ("style",)})))


@pytest.mark.parametrize("preset", ["fast", "painterly"])
def test_stopping_at_a_coarse_level_gives_the_image_of_that_level(preset):
    previews = []

    def stop(progress: fastphoto.Progress) -> bool:
        previews.append(progress.preview())
        return progress.step == 4

    result = transfer(preset=preset, callback=steps_alone(stop))
    assert previews[-1].shape[1] < 48
    assert (result.mean((1, 2)) - previews[-1].mean((1, 2))).abs().max() < 0.02


def test_noise_start_aims_the_content_loss_at_the_content():
    content = day()
    options = {**FROM_NOISE, "steps": (8, 4)}
    assert torch.equal(
        transfer(content.pixels, **options), transfer(content.pixels, **options, content_target="content")
    )


def test_errors_of_the_callback_come_through():
    def fail(progress: fastphoto.Progress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        transfer(callback=fail)


def test_without_a_step_the_content_has_the_styles_mean_colour():
    result = transfer(steps=(0, 0))
    assert (result.mean((1, 2)) - dusk().pixels.mean((1, 2))).abs().max() < 0.05


def test_without_a_step_a_start_from_the_content_gives_the_content():
    same = transfer(start="content", scales=(1.0,), steps=(0,), affine_epsilon=1e-7)
    assert (same - day().pixels).abs().max() < 0.005


# ---- the package -------------------------------------------------------------------------------------------


def test_import_opens_no_connection():
    """Nor does a transfer with the encoder that needs no file."""
    code = """
import socket

def refuse(*arguments, **options):
    raise AssertionError("a socket was opened")

class Refused(socket.socket):
    __init__ = refuse

socket.socket, socket.create_connection, socket.getaddrinfo = Refused, refuse, refuse
import fastphoto
import torch
fastphoto.transfer(torch.rand(3, 16, 16), torch.rand(3, 16, 16), steps=(1,), scales=(1.0,))
print("done")
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
