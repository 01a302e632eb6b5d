"""Another time of day: against a dense solution of its definition, and frames made from a style."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.methods.time_of_day import frames_of_style, time_of_day_transfer


def random_photos(number: int, height: int, width: int, seed: int = 0) -> list[Tensor]:
    """Muted, so that no result leaves [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    return [0.4 + 0.2 * torch.rand(3, height, width, generator=random) for _ in range(number)]


def minimum(
    content: Tensor, matched: Tensor, target: Tensor, radius: int = 2, epsilon: float = 0.01, gamma: float = 1.0
) -> Tensor:
    """The result by least squares over pixels and the maps of all patches at once, none of them eliminated.

    One channel of the result is a problem of its own: H W pixels, then four numbers for each patch.
    """
    height, width = content.shape[1:]
    number = height * width
    inputs, frame, output = (255 * x.double().flatten(1).T for x in (content, matched, target))
    inputs, frame = (torch.cat([x, torch.ones(number, 1).double()], 1) for x in (inputs, frame))
    everywhere = torch.linalg.solve(frame.T @ frame, frame.T @ output)  # (4, 3), from M to T
    rows, right = [], []
    for patch in range(number):
        centre_y, centre_x = divmod(patch, width)
        of_map = slice(number + 4 * patch, number + 4 * patch + 4)
        for y in range(max(0, centre_y - radius), min(height, centre_y + radius + 1)):
            for x in range(max(0, centre_x - radius), min(width, centre_x + radius + 1)):
                pixel = y * width + x
                row = torch.zeros(5 * number).double()
                row[pixel], row[of_map] = 1, -inputs[pixel]
                rows.append(row)
                right.append(torch.zeros(3).double())
                row = torch.zeros(5 * number).double()
                row[of_map] = epsilon**0.5 * frame[pixel]
                rows.append(row)
                right.append(epsilon**0.5 * output[pixel])
        for k in range(4):
            row = torch.zeros(5 * number).double()
            row[number + 4 * patch + k] = gamma**0.5
            rows.append(row)
            right.append(gamma**0.5 * everywhere[k])
    solution = torch.linalg.lstsq(torch.stack(rows), torch.stack(right)).solution
    return (solution[:number].T / 255).reshape(content.shape)


@pytest.mark.parametrize(
    ("size", "changed"),
    [
        ((7, 9), {}),
        ((7, 6), {"radius": 1}),
        ((6, 7), {"epsilon": 0.3}),
        ((6, 7), {"gamma": 2000.0}),
        ((3, 3), {}),
        ((3, 8), {"radius": 3}),
    ],
    ids=["defaults", "radius", "epsilon", "gamma", "smaller than a patch", "lower than a patch"],
)
def test_result_is_the_minimum_of_its_definition(size, changed):
    content, matched, target = random_photos(3, *size)
    target[0] *= 0.7
    expected = minimum(content, matched, target, **changed)
    assert expected.min() > 0.05 and expected.max() < 0.95, "the example is clamped"
    result = time_of_day_transfer(content, matched, target, **changed)
    assert result.shape == content.shape and result.dtype == torch.float32
    assert (result - expected).abs().max() < 0.05 / 255
    if changed:
        assert (expected - minimum(content, matched, target)).abs().max() > 1 / 255, (
            "the example would hide that the argument is ignored"
        )


def test_equal_frames_change_nothing():
    content = day(24, 30).pixels
    frame = dusk(24, 30).pixels
    assert (time_of_day_transfer(content, frame, frame) - content).abs().max() < 0.2 / 255


def test_one_change_of_all_colours_is_applied_to_the_content():
    """Also to colours that the frames lack."""
    matrix = torch.tensor([[0.7, 0.1, 0.0], [0.05, 0.6, 0.1], [0.0, 0.2, 0.5]])
    shift = torch.tensor([0.05, 0.1, 0.2])[:, None, None]
    content, frame = day(24, 30).pixels, 0.3 + 0.3 * dusk(24, 30).pixels
    changed = [torch.tensordot(matrix, x, 1) + shift for x in (content, frame)]
    assert (time_of_day_transfer(content, frame, changed[1]) - changed[0]).abs().max() < 0.2 / 255


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0], ids=["black", "grey", "white"])
def test_constant_photos_stay_finite(level):
    flat, textured = torch.full((3, 9, 11), level), day(9, 11).pixels
    for content, matched, target in (
        (flat, textured, 1 - flat),
        (textured, flat, flat),
        (flat, flat, 1 - flat),
        (textured, flat, 1 - flat),
    ):
        result = time_of_day_transfer(content, matched, target)
        assert torch.isfinite(result).all()
        assert result.min() >= 0 and result.max() <= 1
    assert (time_of_day_transfer(flat, flat, 1 - flat) - (1 - flat)).abs().max() < 0.5 / 255


@pytest.mark.parametrize("role", ["matched", "target"])
def test_frames_of_another_size_are_refused(role):
    content = torch.zeros(3, 8, 9)
    frames = {"matched": content, "target": content} | {role: torch.zeros(3, 9, 8)}
    with pytest.raises(InputError, match=rf"{role} frame: \(3, 9, 8\) is not the content's \(3, 8, 9\)"):
        time_of_day_transfer(content, **frames)


def test_frames_of_a_style_are_the_style_and_the_style_in_the_contents_colours():
    content, style = day(), dusk()
    matched, target = frames_of_style(content.pixels, style.pixels, content.masks, style.masks)
    assert torch.equal(target, style.pixels)
    assert matched.shape == style.pixels.shape
    assert (style.mean_colours(matched) - content.mean_colours()).abs().max() < 0.02
    assert (style.mean_colours() - content.mean_colours()).abs().max() > 0.3, "the example would hide a copy"
