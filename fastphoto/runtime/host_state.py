"""Public functions run apart from the state of the program that calls them.

A program can change what PyTorch and NumPy do in all later calls: a default device, autocast, inference mode,
`np.seterr(all="raise")`. Public functions of fastphoto run under `apart_from_host`, so that their results do not depend
on it.

What belongs to one thread is set aside for the duration of the call: other threads never notice. What belongs to the
whole process is left alone, because other threads of the host would see the change in the middle of their own work.
Therefore all code of fastphoto names the dtype of what it creates, and does not rely on PyTorch's default dtype.
The precision of matrix products is the one exception, see `exact_products`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
import torch

from fastphoto.errors import InputError
from fastphoto.runtime.forks import call_in_progress
from fastphoto.runtime.operator_threads import one_thread_for_torch
from fastphoto.runtime.precision import exact_products

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

_CPU = torch.device("cpu")


def apart_from_host(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Let a function run apart from the state of its caller's thread; a decorator.

    Gradients are not recorded, autocast and inference mode are off, new tensors are on the CPU, PyTorch's own operators
    run on one thread, and NumPy treats overflow and division by zero as it does by default. Callbacks run in the same
    state.

    Raises:
        InputError: the function is called inside a transform of `torch.func`, such as vmap.

    Example:
        >>> @apart_from_host
        ... def multiply():
        ...     return (torch.ones(2, 2, dtype=torch.float32) @ torch.ones(2, 2, dtype=torch.float32)).dtype
        >>> with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        ...     multiply()
        torch.float32
    """

    @functools.wraps(function)
    def apart(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        if (
            torch.compiler.is_dynamo_compiling()
        ):  # a break in the host's graph: compiling all of fastphoto takes minutes
            return torch.compiler.disable(apart)(*args, **kwargs)
        if torch._C._functorch.peek_interpreter_stack() is not None:
            raise InputError(
                f"{function.__name__}: called inside a transform of torch.func (vmap, grad, ...), which has no pixels "
                "to read; call it outside"
            )
        with call_in_progress(), exact_products(), one_thread_for_torch(), _own_state():
            return function(*args, **kwargs)

    return apart


@contextmanager
def _own_state() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))  # inference tensors have no gradients to optimise with
        stack.enter_context(torch.no_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device() != _CPU:
            stack.enter_context(_CPU)  # only then, because it slows down every call of PyTorch a little
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield
