"""transfer() and invert(): read photos of any type, optimise, and return the result as the same type."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from numbers import Integral
from typing import Any, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.errors import InputError
from fastphoto.optimisation.memory import check_transfer, out_of_memory_refused
from fastphoto.optimisation.optimise import optimise
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.progress import Callback
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind
from fastphoto.regions.find import RegionSource, region_finder
from fastphoto.regions.masks import MaskSource
from fastphoto.regions.pair import prepare_pair, warn_of_one_colour
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.host_state import apart_from_host

_TENSOR_CORE_CHANNELS = 8  # convolutions on a GPU are fast for multiples of this many channels

Path = str | os.PathLike[str]
Kind = TypeVar("Kind", Image.Image, "np.ndarray[Any, Any]", Tensor)


@overload
def transfer(
    content: Path,
    style: PhotoSource,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str = "fast",
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Image.Image: ...
@overload
def transfer(
    content: Photo,
    style: PhotoSource,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str = "fast",
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Tensor: ...
@overload
def transfer(
    content: Kind,
    style: PhotoSource,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str = "fast",
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Kind: ...


@apart_from_host
def transfer(
    content: PhotoSource,
    style: PhotoSource,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str = "fast",
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Image.Image | np.ndarray[Any, Any] | Tensor:
    """Make the content photo take on the look of the style photo, region by region, and stay a photograph.

    Args:
        content: photo to change: a path, PIL image, numpy array (H, W[, C]) of uint8, uint16 or float in [0, 1], tensor
            ([1, ]C, H, W), or `Photo`; see `fastphoto.read_photo`.
        style: photo whose look the result takes on; the same types.
        content_mask: regions of the content, matched with the style's by name or colour: a mask image (nine-colour
            palette or class numbers), region map, or mapping from names to masks; see `fastphoto.read_masks`.
        style_mask: regions of the style; give both masks or neither.
        regions: source of the regions: "masks" (the given masks; without masks the whole photo is one region), "none"
            (the whole photo is one region), "auto" (found in both photos by the network in the package, see
            `fastphoto.find_regions`) or "semantic" (found by a large network); the last three take no masks. None:
            "masks" if masks are given; otherwise "auto" for presets that start from the recoloured content, and "none"
            for the others, which are published methods. The logger "fastphoto" tells what "auto" found.
        segmentation_model: network for regions="semantic": a Hugging Face Hub name or a local folder. None: the default
            model.
        preset: name in `fastphoto.PRESETS`.
        encoder: name of the encoder: "embedded" (in the package, works offline), "vgg19-16x" or "vgg19".
        weights: path of the encoder's weight file. None: use the cached file, or download it.
        size: long side in pixels to optimise at, 16 or more. The result has the content's own size.
        device: device to run on: "auto", "cpu", "cuda", "cuda:1", ...
        seed: seed of the noise start; nothing else is random.
        callback: function that receives a `Progress` after each step; returning True ends the run with the best image
            so far.
        settings: fields of `fastphoto.Settings`, to change the preset.

    Returns:
        The result as the type of `content` (a PIL image for a path, pixels (3, H, W) for a `Photo`), at the content's
        own size.

    Raises:
        InputError: arguments, masks or photos that cannot be used, or sizes that would not fit in memory.
        FileError: a file that cannot be read.
        FastPhotoError: losses stay non-finite.

    Example:
        >>> content, style = np.full((32, 48, 3), 90, np.uint8), np.full((40, 40, 3), 200, np.uint8)
        >>> result = transfer(content, style, steps=0)
        >>> result.shape, result.dtype, int(result.mean())
        ((32, 48, 3), dtype('uint8'), 200)
    """
    chosen = preset_settings(preset, **settings)
    device = choose_device(device)
    seed = checked_seed(seed)
    if regions is None:
        given = content_mask is not None or style_mask is not None or segmentation_model is not None
        regions = "masks" if given else "auto" if chosen.start == "colour" else "none"
    finder = region_finder(regions, content_mask, style_mask, segmentation_model)
    photo, style_photo = read_photo(content, "content"), read_photo(style, "style")
    pair = prepare_pair(photo, style_photo, content_mask, style_mask, size, chosen.orphans)
    network = load_network(encoder, weights, device, chosen.precision)
    network.check([*chosen.content_layers, *chosen.style_layers])
    optimised_size = pair.content.shape[1], pair.content.shape[2]
    check_transfer(optimised_size, len(pair.names), network, chosen, device)
    with out_of_memory_refused(optimised_size):
        pair = finder(pair, device)
    warn_of_one_colour(pair)
    check_transfer(optimised_size, len(pair.names), network, chosen, device)  # again: there may be more regions
    with out_of_memory_refused(optimised_size), torch.no_grad(), _convolution_flags(device, chosen.precision):
        pixels = optimise(pair, photo.pixels, chosen, network, device, seed=seed, callback=callback)
        pixels = pixels.clamp_(0, 1).cpu()
    return pixels if isinstance(content, Photo) else to_source_kind(photo, pixels)


@overload
def invert(
    photo: Path,
    layer: str = "relu4_1",
    *,
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 350,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Image.Image: ...
@overload
def invert(
    photo: Photo,
    layer: str = "relu4_1",
    *,
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 350,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Tensor: ...
@overload
def invert(
    photo: Kind,
    layer: str = "relu4_1",
    *,
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 350,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Kind: ...


def invert(
    photo: Any,
    layer: str = "relu4_1",
    *,
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = 350,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Any:
    """Make an image from the activations of a photo in one layer of the encoder (Mahendran and Vedaldi, CVPR 2015).

    Start from noise and minimise |F(x) - F(photo)|^2 over the layer's activations F, plus `total_variation_weight`
    times sum (dx^2 + dy^2)^(beta / 2) with beta = `total_variation_power`. This is the preset "inversion".

    Args:
        photo: photo to invert, of any type that `transfer` takes.
        layer: name of the layer, "relu1_1" to "relu5_1".
        encoder: name of the encoder, as in `transfer`.
        weights: path of the encoder's weight file, as in `transfer`.
        size: long side in pixels to optimise at.
        device: device to run on, as in `transfer`.
        seed: seed of the noise.
        callback: function that receives a `Progress` after each step, as in `transfer`.
        settings: changes of the preset "inversion".

    Returns:
        The image, as the type of `photo` and at its size.

    Raises:
        InputError, FileError, FastPhotoError: as `transfer`.

    Example:
        >>> invert(torch.rand(3, 32, 32), "relu1_1", steps=1).shape
        torch.Size([3, 32, 32])
    """
    changes = {"content_layers": layer} | settings
    return transfer(
        photo,
        photo,
        preset=changes.pop("preset", "inversion"),
        encoder=encoder,
        weights=weights,
        size=size,
        device=device,
        seed=seed,
        callback=callback,
        **changes,
    )


def checked_seed(seed: Any) -> int:
    """Return a seed as an int; raises InputError for anything but a whole number from 0 to 2^63 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**63:
        raise InputError(f"seed: must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    return int(seed)


def load_network(name: str, weights: Path | None, device: torch.device, precision: str) -> Encoder:
    """Return an encoder on its device, with activations of the type that the precision names."""
    if device.type == "cpu":
        if precision == "bfloat16":
            raise InputError("precision: bfloat16 is for CUDA devices; give auto or float32")
        return load_encoder(name, weights)
    dtype = torch.bfloat16 if precision in ("auto", "bfloat16") else torch.float32
    return load_encoder(name, weights, dtype=dtype, channel_multiple=_TENSOR_CORE_CHANNELS).to(device)


def _convolution_flags(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return a context in which cuDNN chooses the same algorithms in every run, and allows TF32 only if asked for."""
    if device.type == "cpu":
        return nullcontext()
    tf32 = precision == "tf32"
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
