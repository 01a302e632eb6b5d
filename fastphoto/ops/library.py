"""The native library: loaded once, what it was built with, and what every operator's wrapper shares."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import InputError

try:
    from fastphoto.ops import _C
except ModuleNotFoundError as error:
    if error.name != "fastphoto.ops._C":
        raise
    raise ImportError("fastphoto's native library is not built: run pip install --no-build-isolation -e .") from error
except ImportError as error:
    if "cannot import name '_C'" not in str(error):
        raise
    raise ImportError("fastphoto's native library is not built: run pip install --no-build-isolation -e .") from error

native = torch.ops.fastphoto
"""The operators as torch sees them, without the checks and defaults of their wrappers."""


def build_info() -> dict[str, Any]:
    """How the native library was built: keys version, torch, compiler, cuda (None without), cpu_features."""
    return _C.build_info()


def refuse_gradient(op: str, name: str, tensor: Tensor) -> None:
    if tensor.requires_grad and torch.is_grad_enabled():
        raise InputError(f"{op}: {name} requires a gradient, which the operator lacks; pass {name}.detach()")


def planes(like: Tensor, height: int, width: int, planes: int) -> Tensor:
    """An (H, W, K) view of planar memory, as every operator on pixels returns it."""
    return like.new_empty((planes, height, width)).permute(1, 2, 0)


def register_self_adjoint(name: str, constants: int) -> None:
    """Registers y = L x with L = L^T: the gradient is the operator itself, applied to the gradient.

    The operator's arguments are its fixed leading tensor, if `constants` is 1, then x, then plain numbers.
    """
    op = getattr(native, name).default

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:constants])
        ctx.numbers = inputs[constants + 1 :]

    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        product = op(*ctx.saved_tensors, grad, *ctx.numbers)
        return (*[None] * constants, product, *[None] * len(ctx.numbers))

    torch.library.register_autograd(f"fastphoto::{name}", backward, setup_context=setup)
