"""The type `RegionMasks`: the named regions of one photo, a mask for each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

OneMask = str | os.PathLike | Image.Image | np.ndarray | Tensor

MAXIMUM_REGIONS = 64


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """One photo's mask: which region each pixel belongs to. Pixels may belong to none."""

    names: tuple[str, ...]
    masks: Tensor  # (R, H, W) float32, [0, 1]; 0 or 1 unless soft masks came in


MaskSource = None | OneMask | Mapping[str, OneMask] | RegionMasks
