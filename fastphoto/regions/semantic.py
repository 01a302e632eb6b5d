"""Regions by a semantic network: what both photos show, in kinds of region that they share."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.guided import guided_filter
from fastphoto.errors import FileError, InputError
from fastphoto.photos.resize import resize
from fastphoto.regions.ade20k import kinds_of_labels
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE

DEFAULT_MODEL = "openmmlab/upernet-convnext-tiny"

LEAST_SHARE = 0.01  # of a photo's pixels, below which a kind of region is none
MAXIMUM_KINDS = len(PALETTE)  # that both photos have: masks are painted in as many colours
_LEAST_ISLAND = 0.001  # of a photo's pixels, below which a piece joins what surrounds it
_WORKING_SIDE = 1000  # pixels of the longer side at most, where borders are found
_BORDER = 0.015  # of the longer side: the radius of the guided filter, which moves borders by a third of it at most
_STRIDE = 32  # pixels that the sides of a network's input are a multiple of

_FILES = ("config.json", "preprocessor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@torch.no_grad()
def semantic_regions(
    content: Tensor, style: Tensor, *, model: str = DEFAULT_MODEL, device: str | torch.device = "cpu", size: int = 512
) -> tuple[RegionMasks, RegionMasks]:
    """The regions of both photos that a semantic network finds, named by kind: "sky", "water", "buildings", ...

    content: (3, H, W), style: (3, h, w), sRGB in [0, 1]. model: a network for semantic segmentation that is trained on
    ADE20K, of any architecture that `transformers.AutoModelForSemanticSegmentation` knows: its name on the Hugging Face
    Hub, or a folder with config.json, preprocessor_config.json and weights. It is looked for in the Hub's cache and
    downloaded where it is not there; code that comes with a model is never run. size: the network sees about
    size x size pixels, in the photo's own aspect; of no effect on networks that take images of one size only.

    The weights have licences of their own. By their model cards the default's is MIT and that of
    microsoft/beit-base-finetuned-ade-640-640 Apache-2.0; nvidia/segformer-* are for non-commercial use only. The
    photos of ADE20K, which all were trained on, are for research.

    Returns the labels of content and style, as `shared_regions` makes them. Raises InputError where transformers is
    missing, and for a model that is not for ADE20K's categories; FileError for one that cannot be found or read.
    """
    if isinstance(size, bool) or not isinstance(size, Integral) or size < _STRIDE:
        raise InputError(f"size: must be a whole number of {_STRIDE} pixels or more, got {size!r}")
    photos = [photo.detach().float().cpu() for photo in (content, style)]
    with _quiet():
        network, processor = _load(str(model))
        kinds = kinds_of_labels(network.config.id2label)
        network.to(device)
        logits = [_logits(network, processor, photo, size) for photo in photos]
    if not all(found.isfinite().all() for found in logits):
        raise FileError(f"semantic model {model}: gives NaN or infinite scores; download it again")
    scores = [torch.stack([found[members].logsumexp(0) for members in kinds.values()]) for found in logits]
    return shared_regions(scores[0], scores[1], photos[0], photos[1], tuple(kinds))


@torch.no_grad()
def shared_regions(
    content_scores: Tensor, style_scores: Tensor, content: Tensor, style: Tensor, names: Sequence[str]
) -> tuple[RegionMasks, RegionMasks]:
    """Scores of kinds of region to the regions that both photos have.

    content_scores, style_scores: (K, h, w), logarithms of scores of K kinds, of any size: a network's logits, or for
    a kind of several categories the logarithm of the sum of their exponentials. content, style: the photos, (3, H, W),
    sRGB in [0, 1]. names: of the kinds.

    Kinds that hold too little of the style are given up first, and the content's pixels go to the best of the others,
    as Luan et al. constrain the content's labels to those of the style; then the kinds that hold too little of either
    photo, smallest first, and as many more as leave nine. Borders are moved to the photos' edges and small islands join
    what surrounds them.

    Returns the labels of content and style, masks of 0 and 1 at the photos' sizes: the same names in both, at least
    one; every pixel is of one region, and every region has at least a hundredth of either photo.
    """
    pairs = (content_scores, content), (style_scores, style)
    kept = (_shares(style_scores.argmax(0), len(names)) >= LEAST_SHARE).nonzero()[:, 0]
    for find in (_regions, _refined_regions):  # most are given up before the costly step
        while True:
            found = [find(scores[kept], photo) for scores, photo in pairs]
            shares = torch.stack([_shares(regions, len(kept)) for regions in found]).amin(0)
            if len(kept) == 1 or (shares.min() >= LEAST_SHARE and len(kept) <= MAXIMUM_KINDS):
                break
            kept = kept[torch.arange(len(kept)) != shares.argmin()]
    shared = tuple(names[kind] for kind in kept)
    content_masks, style_masks = (
        _masks(regions, len(kept), photo) for regions, photo in zip(found, (content, style), strict=True)
    )
    return RegionMasks(shared, content_masks), RegionMasks(shared, style_masks)


def _shares(regions: Tensor, count: int) -> Tensor:
    return torch.bincount(regions.flatten(), minlength=count) / regions.numel()


def _regions(scores: Tensor, photo: Tensor) -> Tensor:
    return scores.argmax(0)


def _refined_regions(scores: Tensor, photo: Tensor) -> Tensor:
    """(h, w): the best kind of every pixel of the photo, shrunk if it is large, with borders at its edges."""
    height, width = photo.shape[1:]
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    probabilities = F.interpolate(scores.softmax(0)[None], size, mode="bilinear", antialias=True)[0]
    refined = guided_filter(probabilities, resize(photo, size), max(1, round(_BORDER * max(size))))
    return _without_islands(refined.argmax(0))


def _without_islands(regions: Tensor) -> Tensor:
    """(H, W) numbers of regions, where pieces that are small take the number of the nearest pixel of a larger one."""
    numbers, least = regions.numpy(), _LEAST_ISLAND * regions.numel()
    small = np.zeros(numbers.shape, bool)
    for region in np.unique(numbers):
        piece, _ = ndimage.label(numbers == region)
        small |= (np.bincount(piece.ravel()) < least)[piece] & (piece > 0)
    if small.all():
        return torch.full_like(regions, int(regions.flatten().mode().values))
    rows, columns = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    return torch.from_numpy(numbers[rows, columns])


def _masks(regions: Tensor, count: int, photo: Tensor) -> Tensor:
    """(R, H, W) float32, 0 or 1, at the photo's size, each pixel as the nearest of the regions (h, w)."""
    rows, columns = (
        (torch.arange(n) + 0.5).mul(old / n).long() for n, old in zip(photo.shape[1:], regions.shape, strict=True)
    )
    regions = regions[rows][:, columns]
    masks = torch.empty(count, *regions.shape)
    for region in range(count):
        masks[region] = regions == region
    return masks


def _logits(network: Any, processor: Any, photo: Tensor, size: int) -> Tensor:
    """(labels, h, w) of a photo (3, H, W), on the CPU."""
    height, width = photo.shape[1:]
    fixed = getattr(network.config, "image_size", None)
    if fixed is not None and fixed == dict(processor.size).get("height"):
        sides = fixed, fixed  # with a place learned for every patch
    else:
        scale = size / math.sqrt(height * width)
        sides = tuple(max(_STRIDE, round(n * scale / _STRIDE) * _STRIDE) for n in (height, width))
    seen = F.interpolate(photo[None], sides, mode="bicubic", antialias=True)[0].clamp_(0, 1)
    as_it_is = dict.fromkeys(("do_resize", "do_rescale", "do_center_crop"), False)
    inputs = processor(images=[seen], return_tensors="pt", **as_it_is).to(network.device)
    return network(**inputs).logits[0].float().cpu()


def _load(model: str) -> tuple[Any, Any]:
    """The network, ready to run, and what makes its input of a photo."""
    try:
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForSemanticSegmentation
    except ImportError as error:
        raise InputError("semantic regions need transformers: pip install fastphoto[segment]") from error
    folder = Path(model) if Path(model).is_dir() else _from_hub(model)
    for name in _FILES:
        if not (folder / name).is_file():
            raise FileError(f"semantic model {model}: no {name} in the folder; copy all files of a model into it")
    own = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **own)
    except Exception as error:  # transformers names no set of exceptions for files that are not what they should be
        raise _unusable(model, "config.json cannot be read", error) from error
    try:
        kinds_of_labels(config.id2label)
    except InputError as error:
        raise InputError(f"semantic model {model}: {error}") from error
    try:
        network, info = AutoModelForSemanticSegmentation.from_pretrained(
            folder, config=config, output_loading_info=True, weights_only=True, **own
        )
        processor = AutoImageProcessor.from_pretrained(folder, **own)
    except MemoryError:
        raise
    except Exception as error:
        raise _unusable(model, "not a network for semantic segmentation that transformers can load", error) from error
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("auxiliary_head."))
    if missing:
        raise FileError(
            f"semantic model {model}: the weights lack {missing[0]} and {len(missing) - 1} more; "
            "give a model that is trained for semantic segmentation"
        )
    return network.float().eval(), processor


def _from_hub(model: str) -> Path:
    """The folder of a model of the Hub in its cache, downloaded if it is not there."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(model)
    except HFValidationError as error:
        raise FileError(
            f"semantic model {model}: no such folder, and no name of the Hub such as {DEFAULT_MODEL}"
        ) from error

    def folder(weights: str, offline: bool) -> Path:
        paths = [hf_hub_download(model, name, local_files_only=offline) for name in (*_FILES, weights)]
        return Path(paths[0]).parent

    try:
        for weights in _WEIGHTS:
            with suppress(FileNotFoundError):
                return folder(weights, offline=True)
        # Asked once: a download tries for 20 seconds to reach a network that is not there.
        offered = {file.rfilename for file in HfApi().model_info(model, timeout=10).siblings}
        weights = next((name for name in _WEIGHTS if name in offered), None)
        if weights is None or not offered.issuperset(_FILES):
            raise FileError(f"semantic model {model}: has not all of {', '.join(_FILES)}, {' or '.join(_WEIGHTS)}")
        return folder(weights, offline=False)
    except FileError:
        raise
    except Exception as error:  # of three libraries
        raise FileError(
            f"semantic model {model}: neither a folder nor in the cache, and not downloaded ({_first_line(error)}); "
            f"put {', '.join(_FILES)} and {' or '.join(_WEIGHTS)} of https://huggingface.co/{model} into a folder and "
            "give its path as the model"
        ) from error


def _unusable(model: str, what: str, error: Exception) -> FileError:
    return FileError(f"semantic model {model}: {what} ({_first_line(error)}); download it again or give another")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0].strip().rstrip(".:;")[:200] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings, log lines or progress bars of the libraries, which are set back afterwards."""
    try:
        from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
        from transformers.utils import logging as bars
    except ImportError:  # which the caller finds out, too, and says
        yield
        return
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    shown, downloads_shown = bars.is_progress_bar_enabled(), not are_progress_bars_disabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        bars.disable_progress_bar()
        disable_progress_bars()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
        if downloads_shown:
            enable_progress_bars()
        else:
            disable_progress_bars()
