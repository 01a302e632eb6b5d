"""The whole transfers that are timed: photos, weights, losses, and the same problem posed to the baselines."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from baselines import Problem
from PIL import Image
from plain_ops import random_weights
from safetensors.torch import save_file
from torch import Tensor

import fastphoto
from fastphoto.colour.match import match_colours
from fastphoto.encoders.encoder import EMBEDDED
from fastphoto.encoders.weights import EncoderWeights, read_weights
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.photos.read import read_photo
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks


def weights_file(name: str, folder: Path, shape: str | None = None) -> Path | None:
    """A file for transfer(weights=...): FASTPHOTO_VGG19 if that is set, else random weights written into the folder.

    shape: whose widths the random weights have, if not those of the encoder itself.
    """
    if name == "embedded":
        return None
    if name == "vgg19" and shape is None and (given := os.environ.get("FASTPHOTO_VGG19")):
        return Path(given)
    path = folder / f"random-{shape or name}.safetensors"
    if not path.exists():
        weights = random_weights(shape or name)
        tensors = {"normalise.weight": weights.normalise[0].contiguous(), "normalise.bias": weights.normalise[1]}
        for layer, (weight, bias) in weights.convolutions.items():
            tensors |= {f"{layer}.weight": weight, f"{layer}.bias": bias}
        save_file(tensors, path, {"padding": weights.padding, "pooling": weights.pooling, "source": "random"})
    return path


def encoder_weights(name: str, file: Path | None) -> EncoderWeights:
    """Those that an encoder has when given the file, if any."""
    if name == "embedded":
        return read_weights(EMBEDDED)
    return random_weights(name) if file is None else read_weights(file)


def demo_pair() -> Path:
    """The folder of a pair that comes with the package."""
    return Path(fastphoto.__file__).parent / "photos" / "demo" / "mountains-as-desert"


def written_pair(long_side: int, folder: Path) -> Path:
    """A folder like `demo_pair()` inside the given one, whose content has this long side; made once."""
    made = folder / f"pair-{long_side}"
    if not (made / "style_mask.png").exists():
        made.mkdir(parents=True, exist_ok=True)
        with Image.open(demo_pair() / "content.jpg") as photo, Image.open(demo_pair() / "content_mask.png") as mask:
            size = tuple(round(side * long_side / max(photo.size)) for side in photo.size)
            photo.resize(size, Image.Resampling.BICUBIC).save(made / "content.jpg", quality=95)
            mask.resize(size, Image.Resampling.NEAREST).save(made / "content_mask.png")
        for name in ("style.jpg", "style_mask.png"):
            shutil.copy(demo_pair() / name, made / name)
    return made


def command(pair: Path, output: Path, *options: str) -> list[str]:
    """`fastphoto transfer` of a folder's photos and masks, run by this Python."""
    words = [sys.executable, "-c", "import sys; from fastphoto.cli.command import main; sys.exit(main())", "transfer"]
    words += [str(pair / "content.jpg"), str(pair / "style.jpg"), "-o", str(output)]
    for role in ("content", "style"):
        words += [f"--{role}-mask", str(pair / f"{role}_mask.png")]
    return [*words, *options]


def photos(long_side: int) -> dict[str, Any]:
    """The arguments of transfer() for a pair that comes with the package, at any size, by enlarging if need be."""
    found: dict[str, Any] = {}
    for role in ("content", "style"):
        photo = read_photo(demo_pair() / f"{role}.jpg", role)
        scale = long_side / max(photo.size)
        size = round(photo.size[0] * scale), round(photo.size[1] * scale)
        masks = read_masks(demo_pair() / f"{role}_mask.png", photo.size, role)
        found[role] = F.interpolate(photo.pixels[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        # By name, so that both photos' regions are matched.
        resized = resize_masks(masks.masks, size)
        found[f"{role}_mask"] = {name: mask.numpy() for name, mask in zip(masks.names, resized, strict=True)}
    return found


def settings_of(normalisation: str) -> dict[str, Any]:
    """The losses of a preset, without the projection, which no baseline has; solver and start are those of "fast"."""
    if normalisation == "relative":
        return {"projection": False}
    names = ("content_layers", "content_weight", "content_target", "style_weights", "photorealism_weight", "epsilon")
    chosen = {name: getattr(PRESETS["paper"], name) for name in (*names, "total_variation_weight", "gamut_weight")}
    return chosen | {"normalisation": "published", "projection": False}


def problem_of(
    pair: Mapping[str, Any], normalisation: str, weights: EncoderWeights, device: torch.device | str = "cpu"
) -> Problem:
    """The photos, regions, start image and losses of `transferred(pair, ...)` for the baselines."""
    settings = preset_settings("fast", **settings_of(normalisation))
    names = [name for name in pair["content_mask"] if name in pair["style_mask"]]
    masks = [
        torch.from_numpy(np.stack([pair[f"{role}_mask"][name] for name in names])).float().to(device)
        for role in ("content", "style")
    ]
    content, style = pair["content"].to(device), pair["style"].to(device)
    start = match_colours(content, style, *masks, settings.colour_gain, settings.curve_slope)
    return Problem(content, style, start, *masks, settings, weights)


def transferred(
    pair: Mapping[str, Any], encoder: str, weights: Path | None, device: torch.device | str, **changes: Any
) -> Tensor:
    """fastphoto.transfer() of the pair at its own size, with the start image of `problem_of`."""
    changes = {"size": max(pair["content"].shape[1:]), "border_radius": 0} | changes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fastphoto.transfer(**pair, encoder=encoder, weights=weights, device=device, **changes)
