"""The whole transfers that are timed: photos, weights, losses, and the same problem for the baselines."""

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
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import fastphoto
from benchmarks.baselines.network import random_weights
from benchmarks.baselines.problem import Problem
from benchmarks.workloads import partition
from fastphoto.colour.match import match_colours
from fastphoto.encoders.encoder import EMBEDDED, Encoder
from fastphoto.encoders.weights import EncoderWeights, read_weights
from fastphoto.optimisation.levels import Level
from fastphoto.optimisation.objective import Objective
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.targets import level_objective
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks

NINE = 9  # regions that the published program goes through, present or not


def weights_file(name: str, folder: Path, shape: str | None = None) -> Path | None:
    """Return a file for transfer(weights=...), or None for the embedded encoder.

    Args:
        name: "vgg19" or "embedded". VGG-19's is the file that the variable FASTPHOTO_VGG19 names; without it, one with
            random weights, which cost what the trained ones cost.
        folder: folder for random weights.
        shape: name of the encoder whose widths the random weights get; None: `name` itself.
    """
    if name == "embedded":
        return None
    if name == "vgg19" and shape is None and (path := os.environ.get("FASTPHOTO_VGG19")):
        return Path(path)
    file = folder / f"random-{shape or name}.safetensors"
    if not file.exists():
        weights = random_weights(shape or name)
        tensors = {"normalise.weight": weights.normalise[0].contiguous(), "normalise.bias": weights.normalise[1]}
        for layer, (weight, bias) in weights.convolutions.items():
            tensors |= {f"{layer}.weight": weight, f"{layer}.bias": bias}
        save_file(tensors, file, {"padding": weights.padding, "pooling": weights.pooling, "source": "random"})
    return file


def encoder_weights(name: str, file: Path | None) -> EncoderWeights:
    """Return the weights of an encoder from its file of `weights_file`; None: the embedded ones, or random ones."""
    if name == "embedded":
        return read_weights(EMBEDDED)
    return random_weights(name) if file is None else read_weights(file)


def demo_pair() -> Path:
    """Return the folder of the pair in the package that everything is timed on."""
    return next(pair for pair in demo_pairs() if pair.name == "mountains-as-desert")


def write_demo_pair(long_side: int, folder: Path, of: Path | None = None) -> Path:
    """Write a pair with another long side of the content into a subfolder, once, and return the subfolder.

    Args:
        long_side: long side of the content; the style keeps its size.
        folder: where the subfolder lies.
        of: folder of a pair of the package; None: that of `demo_pair`.
    """
    of = of or demo_pair()
    pair = folder / f"{of.name}-{long_side}"
    if not (pair / "style_mask.png").exists():
        pair.mkdir(parents=True, exist_ok=True)
        with Image.open(of / "content.jpg") as photo, Image.open(of / "content_mask.png") as mask:
            size = tuple(round(side * long_side / max(photo.size)) for side in photo.size)
            photo.resize(size, Image.Resampling.BICUBIC).save(pair / "content.jpg", quality=95)
            mask.resize(size, Image.Resampling.NEAREST).save(pair / "content_mask.png")
        for name in ("style.jpg", "style_mask.png"):
            shutil.copy(of / name, pair / name)
    return pair


def write_numbered_masks(pair: Path, regions: int) -> None:
    """Write masks with the numbers of so many regions for the photos of a pair's folder."""
    for role in ("content", "style"):
        with Image.open(pair / f"{role}.jpg") as photo:
            masks = partition(regions, photo.height, photo.width)
        Image.fromarray(masks.argmax(0).numpy().astype(np.uint8)).save(pair / f"{role}_mask.png")


def transfer_command(pair: Path, output: Path, *options: str) -> list[str]:
    """Return the command `fastphoto transfer` for the photos and masks in a folder, run by this Python."""
    words = [sys.executable, "-c", "import sys; from fastphoto.cli.command import main; sys.exit(main())", "transfer"]
    words += [str(pair / "content.jpg"), str(pair / "style.jpg"), "-o", str(output)]
    for role in ("content", "style"):
        words += [f"--{role}-mask", str(pair / f"{role}_mask.png")]
    return [*words, *options]


def demo_photos(long_side: int) -> dict[str, Any]:
    """Return the demo pair as arguments of transfer(): both photos at this long side, enlarged if need be."""
    arguments: dict[str, Any] = {}
    for role in ("content", "style"):
        photo = read_photo(demo_pair() / f"{role}.jpg", role)
        scale = long_side / max(photo.size)
        size = round(photo.size[0] * scale), round(photo.size[1] * scale)
        masks = read_masks(demo_pair() / f"{role}_mask.png", photo.size, role)
        arguments[role] = F.interpolate(photo.pixels[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        # By name, so that regions are matched between the photos.
        resized = resize_masks(masks.masks, size)
        arguments[f"{role}_mask"] = {name: mask.numpy() for name, mask in zip(masks.names, resized, strict=True)}
    return arguments


def comparable_settings(normalisation: str) -> dict[str, Any]:
    """Return preset and settings for losses that the baselines have too: "painterly" without the projection.

    Args:
        normalisation: "relative" for the losses of the preset "painterly", "published" for the losses of "paper". Both
            use the solver and the start image of "painterly".
    """
    comparable = {"preset": "painterly", "projection": False}
    if normalisation == "relative":
        return comparable
    names = ("content_layers", "content_weight", "content_target", "style_weights", "photorealism_weight", "epsilon")
    chosen = {name: getattr(PRESETS["paper"], name) for name in (*names, "total_variation_weight", "gamut_weight")}
    return chosen | comparable | {"normalisation": "published"}


def baseline_problem(
    pair: Mapping[str, Any], normalisation: str, weights: EncoderWeights, device: torch.device | str = "cpu"
) -> Problem:
    """Return the problem that `run_transfer` solves, for the baselines: photos, regions, start image and losses."""
    settings = preset_settings(**comparable_settings(normalisation))
    names = [name for name in pair["content_mask"] if name in pair["style_mask"]]
    masks = [
        torch.from_numpy(np.stack([pair[f"{role}_mask"][name] for name in names])).float().to(device)
        for role in ("content", "style")
    ]
    content, style = pair["content"].to(device), pair["style"].to(device)
    start = match_colours(content, style, *masks, settings.colour_gain, settings.curve_slope)
    return Problem(content, style, start, *masks, settings, weights)


def native_objective(problem: Problem) -> Objective:
    """Return fastphoto's own objective for a problem, at its full size and with the photorealism loss."""
    names = tuple(str(number) for number in range(len(problem.content_masks)))
    pair = PhotoPair(problem.content, problem.style, names, problem.content_masks, problem.style_masks)
    level = Level("photorealism", 0, problem.content, problem.start, problem.style)
    with torch.no_grad():
        encoder = Encoder(problem.weights)
        return level_objective(problem.settings, encoder, pair, level)


def run_transfer(
    pair: Mapping[str, Any], encoder: str, weights: Path | None, device: torch.device | str, **changes: Any
) -> Tensor:
    """Return the result of fastphoto.transfer() at the pair's own size, from the start image of `baseline_problem`."""
    changes = {"size": max(pair["content"].shape[1:]), "border_radius": 0} | changes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fastphoto.transfer(**pair, encoder=encoder, weights=weights, device=device, **changes)
