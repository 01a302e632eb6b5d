"""Resizing of masks: to the size of a photo, shrunk or not, to the layers of an encoder, and back to full size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.encoders.layers import BLOCKS, Layer, is_layer
from fastphoto.errors import InputError
from fastphoto.regions.masks import masks_of_map


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize masks by area averaging: each new pixel is the mean over the area that it covers, fractions included.

    out[i] = (n_out / n_in) * sum_j |[i, i+1) * n_in/n_out  intersected with  [j, j+1)| * in[j], on each axis.
    Masks that sum to one still do.

    Args:
        masks: planes, (R, H, W), floats of any range.
        size: size of the result, (height, width), in pixels, each at least 1.

    Returns:
        (R, height, width), of the dtype and device of `masks`; `masks` themselves where they have that size.

    Raises:
        InputError: a size below one pixel.

    Example:
        >>> resize_masks(torch.tensor([[[1.0, 0.0, 0.0]]]), (1, 2))
        tensor([[[0.6667, 0.0000]]])
    """
    for axis, n_out in ((1, size[0]), (2, size[1])):
        n_in = masks.shape[axis]
        if n_in == n_out:
            continue
        if n_out < 1:
            raise InputError(f"resize_masks: size {size}; expected at least 1x1")
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


def fit_masks(values: np.ndarray[Any, Any], count: int, photo_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return the masks of a photo, shrunk to a size, from a region map or soft masks of about the photo's aspect.

    Args:
        values: region map, (h, w) int16, -1 for no region, or soft masks, (R, h, w) float32 in [0, 1].
        count: number of regions R.
        photo_size: size of the photo, (H, W). The values are resized to it first, a region map by nearest neighbours,
            soft masks by bilinear interpolation.
        size: size of the result, (height, width).

    Returns:
        (R, height, width) float32.
    """
    given_size = values.shape[-2], values.shape[-1]
    if values.dtype == np.float32:
        masks = torch.from_numpy(values)
        if given_size != photo_size:
            masks = F.interpolate(masks[None], photo_size, mode="bilinear", antialias=True)[0].clamp_(0, 1)
        return resize_masks(masks, size)
    if given_size != photo_size:
        rows, columns = (
            ((np.arange(n) + 0.5) * given / n).astype(int) for n, given in zip(photo_size, given_size, strict=True)
        )
        values = values[rows][:, columns]
    masks = torch.empty(count, *size, dtype=torch.float32)
    for number in range(count):  # one by one: a mask of 12 megapixels takes 48 MB
        masks[number] = resize_masks(torch.from_numpy(values == number).float()[None], size)[0]
    return masks


def visible_masks(masks: Tensor, alpha: Tensor | None) -> Tensor:
    """Multiply shrunk masks (R, h, w) by the photo's alpha (H, W); None hides nothing.

    A region that alpha hides completely keeps its mask, because it would be empty otherwise.
    """
    if alpha is None:
        return masks
    visible = masks * resize_masks(alpha[None], (masks.shape[1], masks.shape[2]))
    return torch.where(visible.sum((1, 2), keepdim=True) >= 1, visible, masks)


def enlarge_masks(masks: Tensor, size: tuple[int, int], alpha: Tensor | None) -> Tensor:
    """Enlarge the masks of a shrunk photo to its own size: each pixel belongs to the region that has most of it.

    Args:
        masks: masks of the shrunk photo, (R, h, w), in [0, 1], as `visible_masks` returns them.
        size: size of the photo, (H, W).
        alpha: alpha of the photo, (H, W), in [0, 1]. None: nothing is hidden.

    Returns:
        (R, H, W) float32, 0 or 1. A region that alpha hides completely keeps its pixels; it would be empty
        otherwise.
    """
    covered = masks.sum(0, keepdim=True)
    visible = torch.ones_like(masks[:1])
    if alpha is not None:
        visible = resize_masks(alpha[None], (masks.shape[1], masks.shape[2]))
    unassigned = torch.maximum(visible, covered) - covered
    shares = F.interpolate(torch.cat([unassigned, masks])[None], size, mode="bilinear")[0]
    enlarged = masks_of_map(shares.max(0).indices - 1, len(masks))
    if alpha is None:
        return enlarged
    opaque = enlarged * (alpha >= 0.5)
    return torch.where(opaque.sum((1, 2), keepdim=True) > 0, opaque, enlarged)


def masks_by_layer(
    masks: Tensor,
    size: tuple[int, int],
    layers: Sequence[str],
    sizes: Mapping[str, tuple[int, int]],
    fade: bool = True,
) -> dict[str, Tensor]:
    """Return the masks of a photo at layers of an encoder.

    Args:
        masks: masks of the photo, (R, H, W), in [0, 1], of any size.
        size: size of the encoder's input, (height, width).
        layers: names of layers.
        sizes: sizes of these layers, {layer: (h, w)}.
        fade: whether masks fade at the photo's border, as in `layer_masks`; if not, they are only resized.

    Returns:
        {layer: (R, h, w)}.
    """
    masks = resize_masks(masks, size)
    if not fade:
        return {layer: resize_masks(masks, sizes[layer]) for layer in layers}
    return layer_masks(masks, layers, {"relu1_1": size} | dict(sizes))


def layer_masks(masks: Tensor, layers: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """Shrink masks as the paper does alongside VGG-19.

    Each convolution becomes a 3x3 mean with zero padding and divisor 9, so masks fade at the photo's border. Each
    pooling becomes `resize_masks` to the pooled size.

    Args:
        masks: masks of the photo, (R, H, W), in [0, 1].
        layers: names relu1_1 to relu5_4, or conv1_1 to conv5_4 (the same masks).
        sizes: sizes of some layers of the encoder, {layer: (h, w)}, which show whether its poolings round up or down;
            up is assumed if both fit.

    Returns:
        {layer: (R, h, w)}.

    Raises:
        InputError: an unknown layer, and sizes that no 2x2 poolings of these masks have.

    Example:
        >>> layer_masks(torch.ones(1, 6, 7), ["relu2_1"], {})["relu2_1"].shape
        torch.Size([1, 3, 4])
    """
    positions = {layer: Layer.parse(layer) for layer in layers}
    block_sizes = _block_sizes((masks.shape[1], masks.shape[2]), {n: s for n, s in sizes.items() if is_layer(n)})
    masks_at: dict[Layer, Tensor] = {}
    last = max(positions.values(), default=Layer(0, 0))
    for block, count in enumerate(BLOCKS, 1):
        if block > last.block:
            break
        if block > 1:
            masks = resize_masks(masks, block_sizes[block - 1])
        for number in range(1, count + 1):
            if (block, number) > last:
                break
            masks = F.avg_pool2d(masks[None], 3, stride=1, padding=1, count_include_pad=True)[0]
            if (block, number) in positions.values():
                masks_at[Layer(block, number)] = masks
    return {layer: masks_at[position] for layer, position in positions.items()}


def _block_sizes(size: tuple[int, int], known: Mapping[str, tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the (h, w) of the five blocks of a VGG-19, from the photo's, with poolings that give the known sizes."""
    for rounding in (1, 0):  # up, down
        chain = [size]
        for _ in BLOCKS[1:]:
            height, width = chain[-1]
            chain.append(((height + rounding) // 2, (width + rounding) // 2))
        if all(tuple(given) == chain[Layer.parse(layer).block - 1] for layer, given in known.items()):
            return chain
    raise InputError(f"layer sizes {dict(known)} are not those of 2x2 poolings of masks of {size}")
