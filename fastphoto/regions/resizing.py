"""Masks at other sizes: those of smaller photos, and those of the layers of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.encoders.layers import BLOCKS, Layer, is_layer
from fastphoto.errors import InputError


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (R, H, W) to (R, h, w): each new pixel is the mean over the area it covers, fractions included.

    out[i] = (n_out / n_in) * sum_j |[i, i+1) * n_in/n_out  intersected with  [j, j+1)| * in[j], on each axis.
    Masks that sum to one still do.
    """
    for axis, n_out in ((1, size[0]), (2, size[1])):
        n_in = masks.shape[axis]
        if n_in == n_out:
            continue
        if n_out < 1:
            raise InputError(f"resize_masks: size {size}; wanted at least 1x1")
        edges = torch.arange(n_out + 1, dtype=torch.float64) * n_in / n_out
        first = edges[:-1].floor()
        result = None
        for tap in range(-(-n_in // n_out) + 1):
            covered = torch.minimum(edges[1:], first + tap + 1) - torch.maximum(edges[:-1], first + tap)
            weight = (covered.clamp_min(0) * n_out / n_in).to(masks)
            source = (first + tap).clamp_max(n_in - 1).long().to(masks.device)
            term = masks.index_select(axis, source) * (weight[:, None] if axis == 1 else weight)
            result = term if result is None else result.add_(term)
        assert result is not None
        masks = result
    return masks


def layer_masks(masks: Tensor, layers: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """Shrink masks (R, H, W) as the paper does alongside VGG-19: {layer: (R, h, w)}.

    After each convolution a 3x3 mean (zero padding, divisor always 9, so masks fade at the photo's border),
    after each pooling `resize_masks` to the pooled size. layers: relu1_1 to relu5_4, or conv1_1 and so on
    (the same masks). sizes: (h, w) of layers of the encoder, also of others than those asked for; they tell
    whether its poolings round up or down. Where they do not tell, up.

    Raises InputError for an unknown layer and for sizes that no poolings of these masks have.
    """
    wanted = {layer: Layer.parse(layer) for layer in layers}
    chain = _block_sizes(tuple(masks.shape[1:]), {n: s for n, s in sizes.items() if is_layer(n)})
    reached: dict[Layer, Tensor] = {}
    last = max(wanted.values(), default=Layer(0, 0))
    for block, count in enumerate(BLOCKS, 1):
        if block > last.block:
            break
        if block > 1:
            masks = resize_masks(masks, chain[block - 1])
        for step in range(1, count + 1):
            if (block, step) > last:
                break
            masks = F.avg_pool2d(masks[None], 3, stride=1, padding=1, count_include_pad=True)[0]
            if (block, step) in wanted.values():
                reached[Layer(block, step)] = masks
    return {layer: reached[position] for layer, position in wanted.items()}


def _block_sizes(size: tuple[int, int], known: Mapping[str, tuple[int, int]]) -> list[tuple[int, int]]:
    for rounding in (1, 0):  # up, down
        chain = [size]
        for _ in BLOCKS[1:]:
            height, width = chain[-1]
            chain.append(((height + rounding) // 2, (width + rounding) // 2))
        if all(tuple(given) == chain[Layer.parse(layer).block - 1] for layer, given in known.items()):
            return chain
    raise InputError(f"layer sizes {dict(known)} are not those of 2x2 poolings of masks of {size}")
