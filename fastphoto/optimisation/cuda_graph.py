"""Work on a GPU captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch


def capture_graph(work: Callable[[], None]) -> Callable[[], None]:
    """The work of one call on a GPU as a CUDA graph to replay; the call that captures it does nothing else."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
