"""3D LUTs: fitted to a result, the same here and in other programs, and read from files that may be damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

import fastphoto
from fastphoto.colour import apply_lut, fit_lut, read_lut, srgb_to_lab, write_lut
from fastphoto.colour.lut import ColourLUT, identity_lut
from fastphoto.errors import FileError, InputError


def colours(height: int = 60, width: int = 80, seed: int = 0) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def graded(photo: Tensor) -> Tensor:
    """Warmer, with more contrast and less blue in the shadows: smooth, and not separable by channel."""
    luma = photo.mean(0, keepdim=True)
    warm = photo * torch.tensor([1.1, 1.0, 0.8])[:, None, None] + 0.1 * luma * (1 - luma)
    return (warm + 0.3 * (warm - 0.5) * (1 - (warm - 0.5).abs())).clamp(0, 1)


def distance(one: Tensor, other: Tensor) -> float:
    return float((srgb_to_lab(one.clamp(0, 1)) - srgb_to_lab(other.clamp(0, 1))).norm(dim=0).mean())


def test_a_lut_is_linear_between_its_nodes():
    """Against the eight corners by hand."""
    lut = ColourLUT(torch.rand(4, 4, 4, 3, generator=torch.Generator().manual_seed(1)))
    photo = torch.tensor([[0.0, 1.0, 0.5, 0.21], [0.0, 1.0, 1.0, 0.77], [0.0, 1.0, 0.25, 0.4]])[:, None]
    expected = []
    for colour in photo[:, 0].T.tolist():
        places = [value * 3 for value in colour]
        lows = [min(int(place), 2) for place in places]
        value = torch.zeros(3)
        for corner in np.ndindex(2, 2, 2):
            parts = [p - low if up else 1 - (p - low) for p, low, up in zip(places, lows, corner, strict=True)]
            value += math.prod(parts) * lut.values[tuple(low + up for low, up in zip(lows, corner, strict=True))]
        expected.append(value)
    torch.testing.assert_close(apply_lut(lut, photo)[:, 0].T, torch.stack(expected), atol=1e-6, rtol=0)


def test_a_function_of_colour_is_found():
    photo = colours(300, 400)
    lut, error = fit_lut(photo, graded(photo))
    assert error.mean < 0.3 and error.mean < error.worst < 1
    other = colours(seed=1)
    assert distance(apply_lut(lut, other), graded(other)) < 0.3


def test_the_error_is_that_of_the_pixels():
    photo = colours()
    result = graded(photo) + 0.1 * (colours(seed=2) > 0.9)  # what no function of colour can do
    lut, error = fit_lut(photo, result.clamp(0, 1), 9)
    assert error.mean == pytest.approx(distance(apply_lut(lut, photo), result), rel=1e-4) and error.worst > 3


def test_colours_that_the_content_lacks_change_like_their_neighbours():
    photo = 0.3 + 0.3 * colours()
    lut, _ = fit_lut(photo, (photo + 0.1).clamp(0, 1))
    beyond = torch.full((3, 1, 1), 0.7)
    assert (apply_lut(lut, beyond) - 0.8).abs().max() < 0.03
    values = lut.values
    assert values.min() >= 0 and values.max() <= 1 and all((values.diff(dim=axis) > -0.02).all() for axis in range(3))


@pytest.mark.parametrize("photo", [torch.full((3, 20, 20), 0.4), torch.zeros(3, 16, 16), colours(1, 1)])
def test_hardly_any_colours(photo):
    lut, error = fit_lut(photo, photo * 0.5 + 0.2)
    assert torch.isfinite(lut.values).all() and error.mean < 0.5


def test_the_identity():
    photo = colours()
    torch.testing.assert_close(apply_lut(identity_lut(17), photo), photo, atol=1e-6, rtol=0)
    lut, error = fit_lut(photo, photo, 17)
    torch.testing.assert_close(lut.values, identity_lut(17).values, atol=1e-5, rtol=0)
    assert error.mean < 1e-2


@pytest.mark.parametrize(
    ("content", "result", "size", "message"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(3, 4, 5), 9, r"lut: content \(., 4, 4\) and result"),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), 9, r"lut: content \(., 4, 4\) and result"),
        (torch.zeros(3, 0, 4), torch.zeros(3, 0, 4), 9, "lut: no visible pixel"),
        (torch.zeros(3, 4, 4), torch.zeros(3, 4, 4), 1, "lut: 1 nodes along an axis; give 2 to 129"),
    ],
)
def test_what_cannot_be_fitted(content, result, size, message):
    with pytest.raises(InputError, match=message):
        fit_lut(content, result, size)


# ---- files


def test_a_file_keeps_the_lut(tmp_path):
    lut, _ = fit_lut(colours(), graded(colours()), 5)
    write_lut(tmp_path / "a.cube", lut, 'a "title"\nof two lines')
    torch.testing.assert_close(read_lut(tmp_path / "a.cube").values, lut.values, atol=1e-6, rtol=0)
    lines = (tmp_path / "a.cube").read_text().splitlines()
    assert lines[:2] == ["TITLE \"a 'title'\\nof two lines\"", "LUT_3D_SIZE 5"] and len(lines) == 3 + 125
    assert [float(value) for value in lines[4].split()] == pytest.approx(lut.values[1, 0, 0].tolist(), abs=1e-6)


HEAD = '# by hand\nTITLE "x"\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1.0 1 1\n\nLUT_3D_SIZE 2\n'
NODES = "".join(f"{red} {green} {blue}\n" for blue in (0, 1) for green in (0, 1) for red in (0, 1))


def test_a_file_of_another_program(tmp_path):
    (tmp_path / "a.cube").write_text(HEAD + NODES)
    torch.testing.assert_close(read_lut(tmp_path / "a.cube").values, identity_lut(2).values)


def test_a_file_with_a_byte_order_mark_and_an_input_range(tmp_path):
    (tmp_path / "a.cube").write_text("\ufeffLUT_3D_SIZE 2\nLUT_3D_INPUT_RANGE 0.0 1.0\n" + NODES, "utf-8")
    torch.testing.assert_close(read_lut(tmp_path / "a.cube").values, identity_lut(2).values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty|empty"),
        (HEAD + NODES[:-12], "not 8 lines of three numbers"),
        (HEAD + NODES.replace("1 1 1", "1 1 one"), "could not convert"),
        (HEAD + NODES.replace("1 1 1", "1 1 nan"), "not 8 lines"),
        (HEAD + NODES.replace("1 1 1", "1 1"), "no .cube file"),
        (HEAD.replace("1.0", "2.0") + NODES, "DOMAIN_MAX is not 1"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "LUT_1D_SIZE is not supported"),
        ("LUT_3D_SIZE 9999\n", "no LUT_3D_SIZE from 2 to 129"),
        ("LUT_3D_SIZE\n", "no .cube file"),
        ("\x00\x01\x02", "no .cube file"),
    ],
)
def test_files_that_are_no_luts(text, message, tmp_path):
    (tmp_path / "a.cube").write_text(text)
    with pytest.raises(FileError, match=message) as refused:
        read_lut(tmp_path / "a.cube")
    assert "a.cube" in str(refused.value) and "\n" not in str(refused.value)


def by_ffmpeg(lut_file: str, photo: np.ndarray) -> np.ndarray:
    """Return a photo (H, W, 3) of uint8 after ffmpeg's filter lut3d."""
    av = pytest.importorskip("av")
    frame = av.VideoFrame.from_ndarray(photo, "rgb24")
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base="1/25")
    nodes = [source, graph.add("lut3d", f"file={lut_file}"), graph.add("format", "pix_fmts=rgb24")]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.pull().to_ndarray()


def test_ffmpeg_makes_the_same_of_it(tmp_path):
    content, style = day(120, 160), dusk(120, 100)
    result = fastphoto.transfer(content.pixels, style.pixels, regions="none", size=96, steps=8)
    lut, error = fit_lut(content.pixels, result)
    write_lut(tmp_path / "look.cube", lut)
    theirs = by_ffmpeg(str(tmp_path / "look.cube"), content.array)
    theirs = torch.from_numpy(theirs).permute(2, 0, 1) / 255
    assert distance(content.pixels, result) > 5, "nothing was transferred"
    assert distance(theirs, apply_lut(lut, content.pixels)) < 0.5
    assert distance(theirs, result) < error.mean + 0.5
