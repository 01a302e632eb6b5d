"""The device that tensors live on: the CPU, or one of the GPUs."""

from __future__ import annotations

import torch

from fastphoto.errors import InputError
from fastphoto.ops.library import build_info


def choose_device(device: str | torch.device) -> torch.device:
    """Resolve a device by name, and check that fastphoto can use it.

    Args:
        device: device name, "auto", "cpu", "cuda", "cuda:1", ..., or a torch device. "auto" is a GPU if there is one
            and the build has CUDA kernels, else the CPU.

    Returns:
        The device.

    Raises:
        InputError: the device does not exist, or this build cannot use it.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    built_for_cuda = build_info()["cuda"] is not None
    has_cuda = built_for_cuda and torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    name = device
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {name!r}: unknown; give auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r}: not supported; give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not has_cuda:
        missing = "no CUDA device is available" if built_for_cuda else "fastphoto was built without CUDA"
        raise InputError(f"device {name!r}: {missing}; use cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: there are {torch.cuda.device_count()}; use a lower number")
    return device
