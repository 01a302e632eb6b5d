"""The memory that a transfer needs: an estimate, and errors for sizes that do not fit."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch

from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import Layer
from fastphoto.errors import InputError
from fastphoto.optimisation.levels import RECOLOURING_SIDE
from fastphoto.optimisation.settings import Settings
from fastphoto.runtime.memory import available_bytes, memory_text


def transfer_bytes(pixels: int, encoder: Encoder, settings: Settings, regions: int = 1) -> int:
    """Return an estimate of the peak memory in bytes, without the photos and the weights.

    The estimate is the sum of twice the activations, two images for each entry of L-BFGS's history, and 310 bytes a
    pixel for the rest. It is within a fifth of the peaks measured from 0.1 to 12 megapixels, on CPU and GPU. A
    recolouring is optimised at a small size, where it takes 2000 bytes a pixel more, and then takes 190 bytes a pixel
    and 86 for each region; that is within a tenth of the peaks measured on a CPU from 0.5 to 3 megapixels with one to
    nine regions, and at 12 with one.

    Args:
        pixels: pixels of the photos, shrunk to the size to optimise at.
        encoder: network whose activations are held.
        settings: layers, unknowns and solver of the run.
        regions: number of regions, R.
    """
    layers = [*settings.content_layers, *settings.style_layers]
    deepest = max(map(encoder.layers.index, layers), default=-1)
    # Each pooling quarters the pixels of the layers after it.
    channels = sum(
        encoder.channels[name] / 4 ** (Layer.parse(name).block - 1) for name in encoder.layers[: deepest + 1]
    )
    history = {"lbfgs": settings.history, "adam": 0, "gradient": 0}[settings.solver]
    optimised, whole = pixels, 0
    if settings.unknowns == "recolouring":
        optimised = min(pixels, RECOLOURING_SIDE**2)
        whole = pixels * (190 + 86 * regions) + optimised * 2000
    return round(optimised * (2.05 * channels * encoder.dtype.itemsize + 24 * history + 310)) + whole


def check_transfer(
    size: tuple[int, int],
    regions: int,
    encoder: Encoder,
    settings: Settings,
    device: torch.device,
    allowed: int | None = None,
) -> None:
    """Raise InputError if a transfer at a size (height, width) would not fit; the message names a size that does.

    It must fit into the free memory, and into the bytes that are `allowed`, where that is given.
    """
    needed, available = transfer_bytes(size[0] * size[1], encoder, settings, regions), available_bytes(device)
    limited = allowed is not None and (available is None or allowed < available)
    available = allowed if limited else available
    if available is not None and needed > available:
        fitting = math.floor(max(size) * math.sqrt(0.9 * available / needed)) // 10 * 10
        # Not all of the memory shrinks with the size.
        while _bytes_at(fitting, size, regions, encoder, settings) > available:
            fitting -= 10
        raise InputError(
            f"size: {size[1]}x{size[0]} pixels need about {memory_text(needed)} of memory on {device.type}, "
            f"{memory_text(available)} are {'allowed' if limited else 'left'}; "
            + (f"a size of {fitting} fits" if fitting >= 16 else "allow more" if limited else "free some")
        )


def _bytes_at(long_side: int, size: tuple[int, int], regions: int, encoder: Encoder, settings: Settings) -> int:
    """Return the estimate at a smaller long side, 0 or more."""
    return transfer_bytes(round(size[0] * size[1] * (long_side / max(size)) ** 2), encoder, settings, regions)


@contextlib.contextmanager
def out_of_memory_refused(size: tuple[int, int]) -> Iterator[None]:
    """Turn an out-of-memory error at a size (height, width) into an InputError, in case the estimate was too low."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)
        if not full:
            raise
        raise InputError(f"size: not enough memory for {size[1]}x{size[0]} pixels; use a smaller size") from error
