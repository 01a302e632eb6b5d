"""transfer() and invert(): one call from any kind of photo to a result of the same kind."""

from __future__ import annotations

import os
from typing import Any, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.progress import Callback
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind
from fastphoto.regions.find import RegionSource
from fastphoto.regions.look import Look
from fastphoto.regions.masks import MaskSource
from fastphoto.runtime.host_state import apart_from_host
from fastphoto.session import AtDeadline, Session

Path = str | os.PathLike[str]
Kind = TypeVar("Kind", Image.Image, "np.ndarray[Any, Any]", Tensor)


@overload
def transfer(
    content: Path,
    style: PhotoSource | Look,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str | None = None,
    settings: Settings | None = None,
    encoder: str | Encoder = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    max_memory: int | None = None,
    callback: Callback | None = None,
    deadline: float | None = None,
    at_deadline: AtDeadline = "best",
    **changes: Any,
) -> Image.Image: ...
@overload
def transfer(
    content: Photo,
    style: PhotoSource | Look,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str | None = None,
    settings: Settings | None = None,
    encoder: str | Encoder = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    max_memory: int | None = None,
    callback: Callback | None = None,
    deadline: float | None = None,
    at_deadline: AtDeadline = "best",
    **changes: Any,
) -> Tensor: ...
@overload
def transfer(
    content: Kind,
    style: PhotoSource | Look,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str | None = None,
    settings: Settings | None = None,
    encoder: str | Encoder = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    max_memory: int | None = None,
    callback: Callback | None = None,
    deadline: float | None = None,
    at_deadline: AtDeadline = "best",
    **changes: Any,
) -> Kind: ...


@apart_from_host
def transfer(
    content: PhotoSource,
    style: PhotoSource | Look,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource | None = None,
    segmentation_model: Path | None = None,
    preset: str | None = None,
    settings: Settings | None = None,
    encoder: str | Encoder = "embedded",
    weights: Path | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    max_memory: int | None = None,
    callback: Callback | None = None,
    deadline: float | None = None,
    at_deadline: AtDeadline = "best",
    **changes: Any,
) -> Image.Image | np.ndarray[Any, Any] | Tensor:
    """Make the content photo take on the look of the style photo, region by region, and stay a photograph.

    Args:
        content: photo to change: a path, PIL image, numpy array (H, W[, C]) of uint8, uint16 or float in [0, 1], tensor
            ([1, ]C, H, W), or `Photo`; see `fastphoto.read_photo`.
        style: photo whose look the result takes on, of the same types; or a look, the path of a .fastphoto file.
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
        preset: name in `fastphoto.PRESETS`; None: "fast".
        settings: all settings at once, in place of a preset.
        encoder: name of the encoder: "embedded" (in the package, works offline), "vgg19-16x" or "vgg19"; or an
            `Encoder`.
        weights: path of the encoder's weight file. None: use the cached file, or download it.
        size: long side in pixels to optimise at, 16 or more. The result has the content's own size.
        device: device to run on: "auto", "cpu", "cuda", "cuda:1", ...
        seed: seed of the noise start; nothing else is random.
        max_memory: bytes that the transfer may take, beyond the photos and the network; None: all that are free.
        callback: function that receives a `Progress` before each part of the work (loading, regions, result) and after
            each step; returning True ends the optimisation with the best image so far.
        deadline: seconds after which the optimisation ends, from when both photos have been read, see
            `fastphoto.Session`; None: no limit.
        at_deadline: what happens then: "best" returns the best image so far, with a `FastPhotoWarning`; "error" raises
            DeadlineError.
        changes: fields of `fastphoto.Settings`, to change the preset or the settings.

    Returns:
        The result as the type of `content` (a PIL image for a path, pixels (3, H, W) for a `Photo`), at the content's
        own size.

    Raises:
        InputError: arguments, masks or photos that cannot be used, or sizes that would not fit in memory.
        FileError: a file that cannot be read.
        DeadlineError: the deadline came first, and `at_deadline` is "error".
        FastPhotoError: losses stay non-finite.

    Example:
        >>> content, style = np.full((32, 48, 3), 90, np.uint8), np.full((40, 40, 3), 200, np.uint8)
        >>> result = transfer(content, style, steps=0)
        >>> result.shape, result.dtype, int(result.mean())
        ((32, 48, 3), dtype('uint8'), 200)
    """
    photo = read_photo(content, "content")
    with Session(
        style,
        style_mask,
        regions=regions,
        segmentation_model=segmentation_model,
        preset=preset,
        settings=settings,
        encoder=encoder,
        weights=weights,
        size=size,
        device=device,
        seed=seed,
        max_memory=max_memory,
        **changes,
    ) as session:
        pixels = session(photo, content_mask, callback=callback, deadline=deadline, at_deadline=at_deadline)
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
