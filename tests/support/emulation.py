"""Whether the CUDA kernels run, compiled for the CPU, instead of the CPU kernels; see tests/cuda_emulation."""

from __future__ import annotations

import os

EMULATION = os.environ.get("FASTPHOTO_CUDA_EMULATION") == "1"
