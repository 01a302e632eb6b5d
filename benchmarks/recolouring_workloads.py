"""Workloads of the operators of a recolouring's optimisation, beside PyTorch's own operators.

Per pixel or number, the bytes and the operations are those of one call without its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.workloads import Contender, Workload, partition, planar, relative_error
from fastphoto import ops
from fastphoto.ops import reference


def _workload(
    title: str,
    native: Callable[..., Sequence[Tensor]],
    by_torch: Callable[..., Sequence[Tensor]],
    values: Sequence[Tensor],
    cost: tuple[int, int],  # bytes and operations
) -> Workload:
    def exact() -> Sequence[Tensor]:
        return by_torch(*(value.double() if value.is_floating_point() else value for value in values))

    def error(outputs: Sequence[Tensor]) -> float:
        return max(map(relative_error, outputs, exact()))

    contenders = {
        "native": Contender(lambda: lambda: native(*values), *cost),
        "torch": Contender(lambda: lambda: by_torch(*values), *cost),
    }
    return Workload(title, contenders, error)


def colour_conversion(name: str, height: int, width: int) -> Workload:
    """Return the workload of "srgb_to_lab" or "lab_to_srgb" on a photo."""
    planes = planar(height, width, 3).permute(2, 0, 1).contiguous()
    planes = planes if name == "srgb_to_lab" else reference.srgb_to_lab(planes)
    pixels = height * width
    cost = 24 * pixels, (160 if name == "srgb_to_lab" else 140) * pixels
    native, by_torch = getattr(ops, name), getattr(reference, name)
    return _workload(f"{name}, {width}x{height}", lambda x: [native(x)], lambda x: [by_torch(x)], [planes], cost)


def sorted_distance(rows: int, regions: int, pixels: int) -> Workload:
    """Return the workload of sorted distances along some directions over some pixels of each region."""
    generator = torch.Generator().manual_seed(0)
    values, target = (torch.randn(rows, regions * pixels, generator=generator) for _ in range(2))
    target = torch.cat([part.sort(1)[0] for part in target.split(pixels, 1)], 1)
    offsets = torch.arange(regions + 1) * pixels
    return _workload(
        f"sorted distance, {rows} directions, {regions} regions of {pixels} pixels",
        lambda *arguments: [ops.sorted_distance(*arguments)],
        lambda *arguments: [reference.sorted_distance(*arguments)],
        [values, target, offsets],
        (8 * values.numel(), 3 * values.numel()),
    )


def region_moments(channels: int, regions: int, height: int, width: int) -> Workload:
    """Return the workload of means and variances of activations in channels-last memory."""
    features, masks = planar(height, width, channels).contiguous().permute(2, 0, 1), partition(regions, height, width)
    numbers = channels * height * width
    return _workload(
        f"moments of {channels} channels, {regions} regions, {width}x{height}",
        ops.region_moments,
        reference.region_moments,
        [features, masks],
        (4 * numbers, 4 * numbers),
    )
