"""Where work runs: on the CPU, or on a GPU that is there."""

from __future__ import annotations

import torch

from fastphoto import ops
from fastphoto.errors import InputError


def choose_device(device: str | torch.device) -> torch.device:
    """The device of "auto" (a GPU where there is one and the build has CUDA), "cpu", "cuda", "cuda:1", ...

    Raises InputError for a device that does not exist or that this build cannot use.
    """
    built_for_cuda = ops.build_info()["cuda"] is not None
    if device == "auto":
        return torch.device("cuda" if built_for_cuda and torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {device!r}: unknown; give auto, cpu, cuda or cuda:N") from error
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"device {device!r}: not supported; give auto, cpu, cuda or cuda:N")
    if place.type == "cuda" and not (built_for_cuda and torch.cuda.is_available()):
        missing = "no CUDA device is available" if built_for_cuda else "fastphoto was built without CUDA"
        raise InputError(f"device {device!r}: {missing}; use cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: there are {torch.cuda.device_count()}; use a lower number")
    return place
