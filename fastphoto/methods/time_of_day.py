"""Hallucination of another time of day: a locally affine colour transfer from two frames that show one place.

After Shih, Paris, Durand and Freeman 2013, "Data-driven Hallucination of Different Times of Day from a Single Outdoor
Photo" (ACM Transactions on Graphics 32, 6): a frame that matches the content and a frame of the same scene at the
wanted time show how colours change; `correspondence` and `warp` bring both to the content, `time_of_day` applies the
change.

What the paper has and this leaves out: retrieving a time-lapse video of a similar scene from a database and choosing
its frame that matches the content; the pairwise term of the correspondence's Markov random field that is learned from
the video's other frames (here neighbours agree by a truncated quadratic); removing the content's noise before, and
putting it back after, the transfer.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.match import monge_kantorovich
from fastphoto.errors import InputError
from fastphoto.ops import box_sum
from fastphoto.ops.linear_solver import conjugate_gradients

_LEVELS = 255.0  # the paper's epsilon and gamma are for pixel values of 0 to 255
_TOLERANCE = 1e-5  # of conjugate gradients: a few thousandths of a level from the minimum on average


def time_of_day_transfer(
    content: Tensor,
    matched: Tensor,
    target: Tensor,
    *,
    radius: int = 2,
    epsilon: float = 0.01,
    gamma: float = 1.0,
) -> Tensor:
    """The content changed, by a colour map of each of its patches, as the target frame differs from the matched frame.

    The result O minimises, together with a map A_k (3 x 4) for each patch k, the sum over patches of
    |v_k(O) - A_k w_k(I)|^2 + epsilon |v_k(T) - A_k w_k(M)|^2 + gamma |A_k - G|^2 (Shih et al. 2013), all norms
    Frobenius's: I the content, M and T the frames, v_k the 3 x N colours of a patch, w_k the same with a row of ones,
    and G the affine map from M to T by linear regression over all pixels; of several equally good ones that nearest to
    the identity. Colours count in levels of 0 to 255. Each A_k has a closed form, so that O solves a linear system,
    which conjugate gradients do.

    content, matched, target: (3, H, W), in [0, 1], the frames already brought to the content (`warp`). radius: patches
    are the (2 radius + 1)^2 pixels around every pixel, cropped at the border. epsilon: above 0, how much the frames
    count; gamma: above 0, how much maps of patches with little contrast keep to G.

    Returns (3, H, W), clamped to [0, 1] (the minimum itself is not bounded). Raises InputError for frames of another
    size than the content's.
    """
    for role, frame in (("matched", matched), ("target", target)):
        if frame.shape != content.shape:
            got, wanted = tuple(frame.shape), tuple(content.shape)
            raise InputError(f"{role} frame: {got} is not the content's {wanted}; bring it there by warp()")
    inputs, frame = _with_one(content), _with_one(matched)
    output = _levels(target)
    own = _products(inputs, inputs, radius)
    prior = epsilon * _products(frame, frame, radius) + gamma * torch.eye(4, dtype=torch.float64)
    wanted = epsilon * _products(output, frame, radius) + gamma * _global_map(frame, output)  # (H, W, 3, 4)
    inverse = torch.linalg.inv(own + prior)
    size = box_sum(torch.ones_like(inputs[..., :1]), radius)  # patches that a pixel is in
    matrix, diagonal = _system(inputs, inverse, radius)
    start = _applied(wanted @ torch.linalg.inv(prior), inputs, radius) / size  # what the frames alone say
    right = _applied(wanted @ inverse, inputs, radius)

    def product(o: Tensor) -> Tensor:
        return (matrix @ o.flatten(0, 1)).reshape_as(o)

    result = conjugate_gradients(product, right, start, diagonal.expand_as(start), _TOLERANCE)
    return (result / _LEVELS).permute(2, 0, 1).to(content).clamp_(0, 1)


def frames_of_style(
    content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor
) -> tuple[Tensor, Tensor]:
    """Two frames of one scene, made of a style photo, for when there is no time-lapse video.

    A stand-in of ours, not the paper's: the target frame is the style; the matched frame is the style with the colours
    that the content's regions have (`monge_kantorovich` from style to content), as if it had been taken at the
    content's time of day. Within a region the change of colour is thus nearly one affine map, clamped colours aside.

    Arguments as in `fastphoto.colour.monge_kantorovich`. Give both frames to `warp` with the places that
    `correspondence(content, matched, content_masks, style_masks)` finds.

    Returns (matched, target), each (3, h, w), in [0, 1].
    """
    return monge_kantorovich(style, content, style_masks, content_masks), style


def _levels(image: Tensor) -> Tensor:
    """(3, H, W) as (H, W, 3) of 0 to 255, in double."""
    return _LEVELS * image.detach().double().cpu().permute(1, 2, 0)


def _with_one(image: Tensor) -> Tensor:
    """(3, H, W) as (H, W, 4): levels of 0 to 255, and 1."""
    return F.pad(_levels(image), (0, 1), value=1.0)


def _sums(x: Tensor, radius: int) -> Tensor:
    """Matrices (H, W, M, N) summed over each pixel's patch."""
    return box_sum(x.flatten(2), radius).reshape_as(x)


def _products(x: Tensor, y: Tensor, radius: int) -> Tensor:
    """v_k(x) v_k(y)^T of the patch around each pixel: (H, W, M), (H, W, N) -> (H, W, M, N)."""
    return _sums(x[..., :, None] * y[..., None, :], radius)


def _applied(maps: Tensor, inputs: Tensor, radius: int) -> Tensor:
    """The sum over the patches that a pixel is in of their maps of it: (H, W, 3, 4), (H, W, 4) -> (H, W, 3)."""
    return (_sums(maps, radius) @ inputs[..., None])[..., 0]


def _system(inputs: Tensor, inverse: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """The sum over patches of 1 - w^T inverse w, w the patch's inputs (4 x N), and its diagonal (H, W, 1).

    A sparse matrix of all pixels, each row with the (4 radius + 1)^2 around its own: a kilobyte a pixel at radius
    2, but its product takes a sixth of the time that sums over patches take at each step.
    """
    height, width = inputs.shape[:2]
    reach = 2 * radius
    span, side = torch.arange(reach + 1), torch.arange(-reach, reach + 1)
    padded = F.pad(inputs.permute(2, 0, 1), (radius,) * 4)
    entries = padded.new_zeros(len(side), len(side), *padded.shape[1:])
    corners = torch.cartesian_prod(span, span).tolist()
    windows = [(y, x, slice(y, y + height), slice(x, x + width)) for y, x in corners]
    for y, x, rows, columns in windows:
        weighted = torch.einsum("hwij,jhw->ihw", inverse, padded[:, rows, columns])
        for v, u, down, across in windows:
            entry = entries[y - v + reach, x - u + reach, down, across]
            for one, two in zip(weighted, padded[:, down, across], strict=True):
                entry.addcmul_(one, two, value=-1)
    entries = entries[:, :, radius : radius + height, radius : radius + width]
    diagonal = entries[reach, reach]
    diagonal += box_sum(torch.ones_like(inputs[..., :1]), radius)[..., 0]
    y, x = ((torch.arange(n)[:, None] + side).int() for n in (height, width))
    held = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[None, :, None, :]
    columns = (y[:, None, :, None] * width + x[None, :, None, :])[held]
    starts = F.pad(held.sum((2, 3), dtype=torch.int32).flatten().cumsum(0, dtype=torch.int32), (1, 0))
    values = entries.permute(2, 3, 0, 1)[held]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        matrix = torch.sparse_csr_tensor(starts, columns, values, (height * width,) * 2, check_invariants=False)
    return matrix, diagonal.clone()[..., None]


def _global_map(frame: Tensor, output: Tensor) -> Tensor:
    """The affine map (3, 4) from (H, W, 4) to (H, W, 3) by regression."""
    x, change = frame.reshape(-1, 4), (output - frame[..., :3]).reshape(-1, 3)
    return torch.eye(3, 4, dtype=x.dtype) + torch.linalg.lstsq(x, change, driver="gelsd").solution.T
