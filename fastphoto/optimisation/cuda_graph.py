"""Work on a GPU captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch


def capture_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that replays the GPU work of one call; capturing it runs nothing."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
