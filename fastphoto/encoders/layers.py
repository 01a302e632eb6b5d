"""The names of the layers of VGG-19."""

from __future__ import annotations

LAYERS = tuple(f"conv{b}_{n}" for b, count in enumerate((2, 2, 4, 4, 4), 1) for n in range(1, count + 1))
"""The sixteen convolutions of VGG-19 in order, "conv1_1" to "conv5_4"."""
