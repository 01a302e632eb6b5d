"""Modes of PyTorch on a GPU: the precision of float32 products, and CUDA graphs. Without a GPU they do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor


def convolution_precision(tf32: bool = False, benchmark: bool = False) -> AbstractContextManager[object]:
    """Return a context in which float32 convolutions round to TF32 or do not.

    Args:
        tf32: whether they round. Matrix products have a mode of their own, `product_precision`.
        benchmark: whether cuDNN tries its algorithms and takes the fastest.
    """
    if not torch.cuda.is_available():
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=False, allow_tf32=tf32)


@contextmanager
def product_precision(tf32: bool) -> Iterator[None]:
    """Let float32 matrix products on a GPU round to TF32, or forbid it."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def captured(work: Callable[[], object], restore: Sequence[Tensor] = ()) -> Callable[[], None]:
    """Return a function that replays `work` as a CUDA graph.

    Args:
        work: function that launches kernels on a GPU, the same ones in each call.
        restore: tensors to restore after the warm-up calls.
    """
    before = [tensor.detach().clone() for tensor in restore]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    with torch.no_grad():
        for tensor, value in zip(restore, before, strict=True):
            tensor.copy_(value)
    return graph.replay
