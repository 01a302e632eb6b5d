"""Whether the CUDA kernels, compiled for the CPU, run instead of the CPU's own; see tests/cuda_emulation."""

from __future__ import annotations

import os

EMULATION = os.environ.get("FASTPHOTO_CUDA_EMULATION") == "1"
