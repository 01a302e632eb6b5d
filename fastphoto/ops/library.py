"""The native libraries, loaded on import, and helpers that the wrappers of all operators share.

The kernels are written in C++ and CUDA (csrc/). Loading `_operators` registers their schemas and kernels with PyTorch;
`_C` holds the few native functions that are no operators. The modules beside this one (matting.py, gram.py, ...)
add what PyTorch needs in Python. For each operator:

1. The wrapper is the function that users call. It has types and defaults, and it makes the one check that native
   code cannot make: whether an argument requires a gradient, which is not visible below autograd.
2. The fake kernel says which shape, dtype and memory layout the result has, without computing it. torch.compile and
   torch.export trace programs with fake kernels, because they run without data.
3. The gradient is registered as a formula, because autograd cannot look into a native kernel.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from fastphoto.errors import InputError

try:
    import fastphoto.ops._C as _C

    torch.ops.load_library(next(Path(_C.__file__).parent.glob("_operators.*")))
except (ModuleNotFoundError, StopIteration) as error:
    if isinstance(error, ModuleNotFoundError) and error.name != "fastphoto.ops._C":
        raise
    raise ImportError(
        f"fastphoto's native library is not built for this Python ({sysconfig.get_config_var('SOABI')}): install a "
        "wheel for it, or run pip install --no-build-isolation -e . in the sources"
    ) from error

# Under autocast, layers of the host's network return bfloat16 or float16, which most operators refuse.
for _name in torch._C._dispatch_get_all_op_names():
    if _name.startswith("fastphoto::"):
        for _kind in ("cpu", "cuda"):
            torch.library.register_autocast(_name, _kind, torch.float32)

native = torch.ops.fastphoto  # the operators as registered, without the defaults and checks of their wrappers


class BuildInfo(TypedDict):
    """The build of the native library, and the processor features that it uses, see :func:`build_info`."""

    version: str  # of fastphoto
    torch: str  # the version of the headers that it was compiled against
    compiler: str
    cuda: str | None  # the toolkit's version, None for a build without CUDA
    cpu_features: list[str]  # the instruction sets that its kernels use and this processor has
    instruction_set: str  # the one in use: "baseline", "avx2" or "avx512"; ATEN_CPU_CAPABILITY can limit it


def build_info() -> BuildInfo:
    """Return how the native library was built.

    Returns:
        A dict of version, torch, compiler, cuda, cpu_features and instruction_set, see :class:`BuildInfo`.

    Example:
        >>> info = build_info()
        >>> sorted(info)
        ['compiler', 'cpu_features', 'cuda', 'instruction_set', 'torch', 'version']
    """
    return _C.build_info()


def refuse_gradient(op: str, name: str, tensor: Tensor) -> None:
    """Raise InputError if an argument requires a gradient that the operator does not have."""
    if tensor.requires_grad and torch.is_grad_enabled():
        raise InputError(f"{op}: {name} requires a gradient, which the operator lacks; pass {name}.detach()")


def empty_planes(like: Tensor, height: int, width: int, planes: int) -> Tensor:
    """Return an empty (H, W, K) view of planar memory, the layout that every operator on pixels returns."""
    return like.new_empty((planes, height, width)).permute(1, 2, 0)


def register_self_adjoint(name: str, *, constants: int) -> None:
    """Register the gradient of y = L x with L = L^T: the operator itself, applied to the incoming gradient.

    The operator's arguments are `constants` tensors without a gradient, x, and plain numbers.
    """
    op = getattr(native, name).default

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:constants])
        ctx.numbers = inputs[constants + 1 :]

    def gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        product = op(*ctx.saved_tensors, grad, *ctx.numbers)
        return (*[None] * constants, product, *[None] * len(ctx.numbers))

    torch.library.register_autograd(f"fastphoto::{name}", gradient, setup_context=setup)
