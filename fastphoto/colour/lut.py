"""3D LUTs, lookup tables of colour: fitted to a result, applied to photos, and kept in .cube files."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts, such as scipy.sparse, when they are used
import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.errors import FileError, InputError, error_text, printable
from fastphoto.photos.input_files import FileSource, opened_file, source_name
from fastphoto.photos.photo import Photo
from fastphoto.runtime.files import write_text
from fastphoto.runtime.host_state import apart_from_host

_SAMPLES = 200_000  # pixels that a LUT is fitted to
_SMOOTHNESS = 3e-3  # weight of second differences: a node without pixels continues its neighbours in a straight line
_EVENNESS = 1e-4  # weight of first differences: far from all pixels, colours change as the nearest pixels do
_PIXELS_AT_ONCE = 2**20
_SIZES = range(2, 130)  # nodes along each axis that a file may have; programs write up to 129


@dataclass(frozen=True, eq=False)
class ColourLUT:
    """A function of colour, linear between the nodes of a cube (a 3D LUT).

    Example:
        >>> identity_lut(2).values[1, 0, 1]
        tensor([1., 0., 1.])
    """

    values: Tensor  # (N, N, N, 3): sRGB values at the nodes, by red, green and blue of the content, from 0 to 1


@dataclass(frozen=True)
class LUTError:
    """How far a LUT is from the result that it was fitted to, in CIELAB (delta E 1976)."""

    mean: float
    """Mean over the pixels."""
    worst: float
    """What 95 % of the pixels do not exceed."""


def identity_lut(size: int) -> ColourLUT:
    """Return the LUT that changes nothing, with `size` nodes along each axis."""
    axis = torch.linspace(0, 1, size, dtype=torch.float32)
    return ColourLUT(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), 3))


@apart_from_host
def fit_lut(content: Tensor, result: Tensor, size: int = 33) -> tuple[ColourLUT, LUTError]:
    """Return the LUT that comes closest to turning a content into a result.

    A LUT knows a pixel's colour and not its place, so it cannot hold what differs between regions or from place to
    place; the error says how much that is. It minimises the squared differences at up to 200,000 pixels, plus squared
    second differences between nodes, so that colours the content lacks change like their neighbours.

    Args:
        content: content, (3, H, W), sRGB in [0, 1].
        result: result, (3, H, W), sRGB in [0, 1].
        size: nodes along each axis.

    Returns:
        The LUT, and its error.

    Raises:
        InputError: shapes that differ, or a size outside 2 to 129.

    Example:
        >>> content = torch.rand(3, 40, 60)
        >>> lut, error = fit_lut(content, 1 - content, 9)
        >>> error.mean < 0.5, bool((apply_lut(lut, content) - (1 - content)).abs().max() < 0.05)
        (True, True)
    """
    if content.shape != result.shape or content.ndim != 3 or len(content) != 3:
        raise InputError(
            f"lut: content {tuple(content.shape)} and result {tuple(result.shape)}; give both as (3, H, W)"
        )
    if content.numel() == 0:
        raise InputError("lut: no visible pixel to fit it to")
    if size not in _SIZES:
        raise InputError(f"lut: {size} nodes along an axis; give {_SIZES.start} to {_SIZES.stop - 1}")
    pixels, target = (image.detach().flatten(1).T.double().cpu().numpy().clip(0, 1) for image in (content, result))
    step = math.ceil(len(pixels) / _SAMPLES)
    pixels, target = pixels[::step], target[::step]
    weights = _interpolation(pixels, size)
    bends = _differences(size, 2) * math.sqrt(_SMOOTHNESS)
    slopes = _differences(size, 1) * math.sqrt(_EVENNESS)
    share = size**3 / 100 / len(pixels)
    system = (weights.T @ weights) * share + bends.T @ bends + slopes.T @ slopes
    scale = scipy.sparse.diags(1 / system.diagonal())
    mean = (target - pixels).mean(0)
    right = weights.T @ (target - pixels - mean) * share
    changes = (
        np.stack(
            [scipy.sparse.linalg.cg(system, right[:, axis], rtol=1e-6, maxiter=500, M=scale)[0] for axis in range(3)], 1
        )
        + mean
    )
    change = torch.from_numpy(changes.astype(np.float32)).view(size, size, size, 3)
    lut = ColourLUT((identity_lut(size).values + change).clamp_(0, 1))
    return lut, _error(lut, content, result)


def fit_lut_of_photo(content: Photo, result: Tensor, size: int = 33) -> tuple[ColourLUT, LUTError]:
    """Return the LUT that comes closest to a result (3, H, W) of a photo, from its visible pixels; see `fit_lut`.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> photo = read_photo(torch.rand(3, 16, 16))
        >>> fit_lut_of_photo(photo, photo.pixels, 2)[1].mean < 0.1
        True
    """
    visible = slice(None) if content.alpha is None else (content.alpha >= 0.5).flatten()
    before, after = (image.flatten(1)[:, visible][:, None] for image in (content.pixels, result))
    return fit_lut(before, after, size)


@apart_from_host
def apply_lut(lut: ColourLUT, photo: Tensor) -> Tensor:
    """Return a photo with the colours of a LUT, linear between its nodes.

    Args:
        lut: table of colours.
        photo: photo, (3, H, W), sRGB in [0, 1].

    Returns:
        (3, H, W), of the same dtype and device.

    Example:
        >>> bool((apply_lut(identity_lut(5), torch.full((3, 4, 4), 0.3)) - 0.3).abs().max() < 1e-6)
        True
    """
    volume = lut.values.permute(3, 0, 1, 2)[None].to(photo)  # (1, 3, red, green, blue)
    pixels = photo.clamp(0, 1).flatten(1)
    results = []
    for part in pixels.split(_PIXELS_AT_ONCE, 1):
        # `grid_sample` takes coordinates of the last axis first, from -1 to 1.
        places = (part.flip(0).T * 2 - 1)[None, None, None]
        results.append(F.grid_sample(volume, places, align_corners=True)[0, :, 0, 0])
    return torch.cat(results, 1).view_as(photo)


def write_lut(path: str | os.PathLike[str], lut: ColourLUT, title: str = "fastphoto") -> None:
    """Write a LUT as a .cube file (Adobe's format, version 1.0), so that the file is complete or untouched.

    Args:
        path: file to write.
        lut: table of colours.
        title: name of the LUT, which other programs show.

    Raises:
        FileError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_lut(f"{folder}/same.cube", identity_lut(2), "nothing changes")
        ...     open(f"{folder}/same.cube").readline().strip()
        'TITLE "nothing changes"'
    """
    size = len(lut.values)
    quoted = printable(title).replace('"', "'")
    lines = [f'TITLE "{quoted}"', f"LUT_3D_SIZE {size}", ""]
    nodes = lut.values.permute(2, 1, 0, 3).reshape(-1, 3)  # red changes fastest
    lines += [f"{red:.6f} {green:.6f} {blue:.6f}" for red, green, blue in nodes.tolist()]
    write_text(path, "\n".join(lines) + "\n")


def read_lut(source: FileSource, role: str = "lut") -> ColourLUT:
    """Read a LUT from a .cube file.

    Args:
        source: path, content or binary stream of the file.
        role: name in messages of a source that has no path.

    Raises:
        FileError: the file cannot be read, or is no .cube file of a 3D LUT over [0, 1].

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_lut(f"{folder}/a.cube", identity_lut(3))
        ...     read_lut(f"{folder}/a.cube").values.shape
        torch.Size([3, 3, 3, 3])
    """
    name = source_name(source, role)
    with opened_file(source, name) as file:
        content = file.read(32 * 129**3)
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig", "replace").splitlines()]
        size, rows = 0, []
        for line in lines:
            if not line or line.startswith(("#", "TITLE")):
                continue
            words = line.split()
            if words[0] == "LUT_3D_SIZE":
                size = int(words[1])
            elif words[0] in ("DOMAIN_MIN", "DOMAIN_MAX"):
                expected = 0.0 if words[0] == "DOMAIN_MIN" else 1.0
                if [float(word) for word in words[1:]] != [expected] * 3:
                    raise ValueError(f"{words[0]} is not {expected:g}")
            elif words[0] == "LUT_3D_INPUT_RANGE":
                if [float(word) for word in words[1:]] != [0, 1]:
                    raise ValueError("LUT_3D_INPUT_RANGE is not 0 to 1")
            elif re.match(r"[A-Z_]", words[0]):
                raise ValueError(f"{words[0]} is not supported")
            else:
                rows.append([float(word) for word in words])
        if size not in _SIZES:
            raise ValueError("no LUT_3D_SIZE from 2 to 129")
        nodes = torch.tensor(rows, dtype=torch.float32)
        if nodes.shape != (size**3, 3) or not torch.isfinite(nodes).all():
            raise ValueError(f"not {size**3} lines of three numbers")
    except (ValueError, IndexError) as error:
        raise FileError(f"{name}: no .cube file of a 3D LUT ({error_text(error)})") from None
    return ColourLUT(nodes.view(size, size, size, 3).permute(2, 1, 0, 3).contiguous())


def _interpolation(pixels: np.ndarray, size: int) -> scipy.sparse.csr_matrix:
    """Return the matrix (P, N^3) of linear interpolation between nodes at pixels (P, 3)."""
    place = pixels * (size - 1)
    low = np.minimum(place.astype(np.int64), size - 2)
    part = place - low
    columns, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        node = low + corner
        columns.append((node[:, 0] * size + node[:, 1]) * size + node[:, 2])
        weights.append(np.where(corner, part, 1 - part).prod(1))
    rows = np.tile(np.arange(len(pixels)), 8)
    entries = np.concatenate(weights), (rows, np.concatenate(columns))
    return scipy.sparse.csr_matrix(entries, shape=(len(pixels), size**3))


def _differences(size: int, order: int) -> scipy.sparse.csr_matrix:
    """Return the matrix of first or second differences along each axis of a cube of nodes, for steps of 1 / 32."""
    values = [-1.0, 1.0] if order == 1 else [1.0, -2.0, 1.0]
    kron, same = scipy.sparse.kron, scipy.sparse.eye(size)
    line = scipy.sparse.diags(values, range(order + 1), shape=(max(size - order, 0), size))
    along = [kron(kron(line, same), same), kron(kron(same, line), same), kron(kron(same, same), line)]
    return scipy.sparse.csr_matrix(scipy.sparse.vstack(along) * ((size - 1) / 32) ** order)


def _error(lut: ColourLUT, content: Tensor, result: Tensor) -> LUTError:
    made, wanted = (srgb_to_lab(image.clamp(0, 1).float()) for image in (apply_lut(lut, content), result))
    differences = (made - wanted).norm(dim=0).flatten()
    step = math.ceil(len(differences) / 2**23)  # `quantile` takes no more
    return LUTError(float(differences.mean()), float(differences[::step].quantile(0.95)))
