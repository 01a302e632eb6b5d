"""How PyTorch is told to compute on a GPU: with which precision, and from a CUDA graph; without one they do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor


def precise(tf32: bool = False, benchmark: bool = False) -> AbstractContextManager[object]:
    """float32 convolutions in full float32, or in TF32; matrix products follow `torch.backends.cuda.matmul`."""
    if not torch.cuda.is_available():
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=False, allow_tf32=tf32)


@contextmanager
def matrix_products(tf32: bool) -> Iterator[None]:
    """Within it, float32 matrix products on a GPU are rounded to TF32, or are not."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def in_graph(work: Callable[[], object], restore: Sequence[Tensor] = ()) -> Callable[[], None]:
    """Work on a GPU as a CUDA graph to replay; `restore` are the tensors that warming up must not change."""
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
