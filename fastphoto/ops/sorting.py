"""The distance between sorted numbers, from which losses on distributions are made."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastphoto.ops.library import native, refuse_gradient


def sorted_distance(values: Tensor, target: Tensor, offsets: Tensor) -> Tensor:
    """Return how far the sorted numbers of each row are from a target, segment by segment.

    Each row is split into segments, and each segment is sorted by itself. The value of rank s in its segment is
    compared with the target's entry s: distance_r is the mean of (v_ki - t_k,s(i))^2 over the rows k and the columns i
    of segment r. This is the squared Wasserstein distance of distributions on a line.

    Args:
        values: numbers, (K, N), float32 or float64, fewer than 2^31 columns.
        target: numbers of the same shape, dtype and device, ascending in each row and segment; a constant.
        offsets: first column of each segment, and N, (R + 1,) int64 on the CPU, ascending.

    Returns:
        The distances, (R,), on the CPU accumulated in double. Differentiable once, in the values.

    Raises:
        InputError: the target requires a gradient.
        RuntimeError: a wrong shape, dtype, device or offset.

    Example:
        >>> values, target = torch.tensor([[3.0, 1.0, 5.0, 4.0]]), torch.tensor([[0.0, 3.0, 4.0, 7.0]])
        >>> sorted_distance(values, target, torch.tensor([0, 2, 4])).tolist()
        [0.5, 2.0]
    """
    refuse_gradient("sorted_distance", "target", target)
    if values.is_cuda:  # PyTorch's own sort is fast there
        bounds = offsets.tolist()
        sizes = [end - begin for begin, end in zip(bounds[:-1], bounds[1:], strict=True)]
        segments = zip(values.split(sizes, 1), target.split(sizes, 1), strict=True)
        return torch.stack([(ours.sort(1)[0] - theirs).square().mean() for ours, theirs in segments])
    return native.sorted_distance.default(values, target, offsets)[0]


# The fake kernel: torch.compile traces without data, and needs the shapes of the results.
@torch.library.register_fake("fastphoto::sorted_distance")
def _fake_sorted_distance(values: Tensor, target: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    return values.new_empty((offsets.shape[0] - 1,)), values.new_empty(values.shape)


# Autograd cannot look into the kernel, so its gradient is registered here.
def _sorted_distance_setup(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], inputs[2])


def _sorted_distance_gradient(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, None, None]:
    if grad is None:
        return None, None, None
    if grad.requires_grad and torch.is_grad_enabled():
        raise NotImplementedError("fastphoto::sorted_distance is differentiable once, not twice")
    residual, offsets = ctx.saved_tensors
    counts = offsets.diff()
    factors = (2 / len(residual)) * grad / counts.to(grad.dtype)
    return residual * factors.repeat_interleave(counts, output_size=residual.shape[1]), None, None


torch.library.register_autograd(
    "fastphoto::sorted_distance", _sorted_distance_gradient, setup_context=_sorted_distance_setup
)
