"""Another time of day: a locally affine colour transfer from two frames of one scene.

After Shih, Paris, Durand and Freeman 2013, "Data-driven Hallucination of Different Times of Day from a Single Outdoor
Photo" (ACM Transactions on Graphics 32, 6). One frame matches the content; another shows the same scene at the target
time; together they show how colours change. `correspondence` and `warp` bring both to the content, and
`time_of_day_transfer` applies the change.

Not implemented from the paper: retrieving a time-lapse video of a similar scene from a database and choosing its frame
that matches the content; the pairwise term of the correspondence's Markov random field that is learned from the video's
other frames (here neighbours agree by a truncated distance); removing the content's noise before the transfer and
putting it back after.
"""

from __future__ import annotations

from functools import partial

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
    content: Tensor,  # (3, H, W), [0, 1]
    matched: Tensor,  # (3, H, W), [0, 1]
    target: Tensor,  # (3, H, W), [0, 1]
    *,
    radius: int = 2,
    epsilon: float = 0.01,
    gamma: float = 1.0,
) -> Tensor:
    """Change the content, by a colour map for each of its patches, as the target frame differs from the matched frame.

    The result O minimises, together with a map A_k (3 x 4) for each patch k, the sum over patches of
    |v_k(O) - A_k w_k(I)|^2 + epsilon |v_k(T) - A_k w_k(M)|^2 + gamma |A_k - G|^2 with Frobenius norms (Shih et al.
    2013). I is the content, M and T are the frames, v_k the 3 x N colours of a patch, w_k the same with a row of ones,
    and G the affine map from M to T by linear regression over all pixels (the one nearest to the identity if several
    are equally good). Colours are in levels of 0 to 255. Each A_k has a closed form, so O is the solution of a linear
    system, which is found by conjugate gradients.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        matched: frame (3, H, W), warped to the content (`warp`), at the content's time of day, in [0, 1].
        target: frame (3, H, W), warped likewise, at the target time of day, in [0, 1].
        radius: radius of patches in pixels, (2 radius + 1)^2 pixels around every pixel, cropped at the border.
        epsilon: weight of the frames, above 0.
        gamma: weight, above 0, that keeps maps of patches with little contrast near G.

    Returns:
        The result (3, H, W), clamped to [0, 1]; the minimum itself is not bounded.

    Raises:
        InputError: frames of another size than the content's.

    Example:
        >>> content = 0.3 + 0.4 * torch.rand(3, 8, 8)
        >>> darker = time_of_day_transfer(content, content, 0.5 * content)
        >>> darker.allclose(0.5 * content, atol=0.001)
        True
    """
    for role, frame in (("matched", matched), ("target", target)):
        if frame.shape != content.shape:
            got, expected = tuple(frame.shape), tuple(content.shape)
            raise InputError(f"{role} frame: {got} is not the content's {expected}; warp it to the content with warp()")
    inputs, frame_inputs, output = _with_ones(content), _with_ones(matched), _levels(target)
    prior = epsilon * _products(frame_inputs, frame_inputs, radius) + gamma * torch.eye(4, dtype=torch.float64)
    moment = epsilon * _products(output, frame_inputs, radius) + gamma * _global_map(frame_inputs, output)
    inverse = torch.linalg.inv(_products(inputs, inputs, radius) + prior)  # (H, W, 4, 4)
    patch_count = box_sum(torch.ones_like(inputs[..., :1]), radius)  # patches that contain a pixel
    entries, diagonal = _system(inputs, inverse, radius)
    start = _applied(moment @ torch.linalg.inv(prior), inputs, radius) / patch_count  # the maps of the frames alone
    right = _applied(moment @ inverse, inputs, radius)
    result = conjugate_gradients(partial(_product, entries), right, start, diagonal.expand_as(start), _TOLERANCE)
    return (result / _LEVELS).permute(2, 0, 1).to(content).clamp_(0, 1)


def frames_of_style(
    content: Tensor,  # (3, H, W), [0, 1]
    style: Tensor,  # (3, h, w), [0, 1]
    content_masks: Tensor,  # (R, H, W), [0, 1]
    style_masks: Tensor,  # (R, h, w), [0, 1]
) -> tuple[Tensor, Tensor]:
    """Make two frames of one scene from a style photo, for when there is no time-lapse video.

    A stand-in of ours, not the paper's. The target frame is the style. The matched frame is the style with the colours
    that the content's regions have (`monge_kantorovich` from style to content), as if it had been taken at the
    content's time of day. Within a region the change of colour is thus nearly one affine map, clamped colours aside.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        style: photo (3, h, w), sRGB in [0, 1].
        content_masks: masks (R, H, W), [0, 1], none of them empty.
        style_masks: masks (R, h, w), [0, 1], in the same order, none of them empty.

    Returns:
        The matched and the target frame, each (3, h, w), in [0, 1]. Give both to `warp` with the positions that
        `correspondence(content, matched, content_masks, style_masks)` returns.

    Example:
        >>> day, night = torch.full((3, 4, 4), 0.8), torch.full((3, 2, 2), 0.2)
        >>> matched, target = frames_of_style(day, night, torch.ones(1, 4, 4), torch.ones(1, 2, 2))
        >>> matched.allclose(torch.tensor(0.8)), target.allclose(night)
        (True, True)
    """
    return monge_kantorovich(style, content, style_masks, content_masks), style


def _levels(image: Tensor) -> Tensor:
    """Convert (3, H, W) in [0, 1] to (H, W, 3) in levels of 0 to 255, float64."""
    return _LEVELS * image.detach().double().cpu().permute(1, 2, 0)


def _with_ones(image: Tensor) -> Tensor:
    """Convert (3, H, W) in [0, 1] to (H, W, 4): levels of 0 to 255, and 1."""
    return F.pad(_levels(image), (0, 1), value=1.0)


def _patch_sums(x: Tensor, radius: int) -> Tensor:
    """Sum matrices (H, W, M, N) over each pixel's patch."""
    return box_sum(x.flatten(2), radius).reshape_as(x)


def _products(x: Tensor, y: Tensor, radius: int) -> Tensor:
    """Return v_k(x) v_k(y)^T of the patch around each pixel: (H, W, M), (H, W, N) -> (H, W, M, N)."""
    return _patch_sums(x[..., :, None] * y[..., None, :], radius)


def _applied(maps: Tensor, inputs: Tensor, radius: int) -> Tensor:
    """Apply to each pixel the sum of the maps of all patches that contain it: (H, W, 3, 4), (H, W, 4) -> (H, W, 3)."""
    return (_patch_sums(maps, radius) @ inputs[..., None])[..., 0]


def _system(inputs: Tensor, inverse: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return the sum over patches of 1 - w^T inverse w, w the patch's inputs (4 x N), and its diagonal (H, W, 1).

    The sum is a matrix over all pixels. A row has entries for the (4 radius + 1)^2 pixels around its own alone, two
    thirds of a kilobyte at radius 2.
    """
    entries = _system_entries(inputs, inverse, radius)
    diagonal = entries[2 * radius, 2 * radius]
    diagonal += box_sum(torch.ones_like(inputs[..., :1]), radius)[..., 0]
    return entries, diagonal.clone()[..., None]


def _system_entries(inputs: Tensor, inverse: Tensor, radius: int) -> Tensor:
    """Return the entries (D, D, H, W) of - w^T inverse w for the pixels at each offset, D = 4 radius + 1."""
    height, width = inputs.shape[:2]
    reach = 2 * radius
    padded = F.pad(inputs.permute(2, 0, 1), (radius,) * 4)
    entries = padded.new_zeros(2 * reach + 1, 2 * reach + 1, *padded.shape[1:])
    corners = torch.cartesian_prod(torch.arange(reach + 1), torch.arange(reach + 1)).tolist()
    windows = [(y, x, slice(y, y + height), slice(x, x + width)) for y, x in corners]
    for y, x, rows, columns in windows:  # one pixel of each patch
        weighted = torch.einsum("hwij,jhw->ihw", inverse, padded[:, rows, columns])
        for v, u, other_rows, other_columns in windows:  # another pixel of the same patch
            entry = entries[y - v + reach, x - u + reach, other_rows, other_columns]
            for one, other in zip(weighted, padded[:, other_rows, other_columns], strict=True):
                entry.addcmul_(one, other, value=-1)
    return entries[:, :, radius : radius + height, radius : radius + width]


def _product(entries: Tensor, o: Tensor) -> Tensor:
    """Return the product of a matrix with (H, W, 3), by the matrix's entries (D, D, H, W) at each offset."""
    side, _, height, width = entries.shape
    padded = F.pad(o.permute(2, 0, 1), (side // 2,) * 4)
    result = padded.new_zeros(3, height, width)
    for y in range(side):
        for x in range(side):
            result.addcmul_(entries[y, x], padded[:, y : y + height, x : x + width])
    return result.permute(1, 2, 0)


def _global_map(frame: Tensor, output: Tensor) -> Tensor:
    """Return the affine map (3, 4) from (H, W, 4) to (H, W, 3) by linear regression."""
    x, change = frame.reshape(-1, 4), (output - frame[..., :3]).reshape(-1, 3)
    solution: Tensor = torch.linalg.lstsq(x, change, driver="gelsd").solution
    return torch.eye(3, 4, dtype=x.dtype) + solution.T
