"""A semantic network of Hugging Face transformers, and its scores for the kinds of region in photos."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import FileError, InputError
from fastphoto.regions.ade20k import kinds_of_labels

DEFAULT_MODEL = "openmmlab/upernet-convnext-tiny"
_STRIDE = 32  # pixels; the sides of a network's input are multiples of it
_FILES = ("config.json", "preprocessor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_LISTED_FILES = f"{', '.join(_FILES)} and {' or '.join(_WEIGHTS)}"


@torch.no_grad()
def score_kinds(
    photos: Sequence[Tensor], model: str, device: str | torch.device, size: int
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Score each kind of region at each pixel of some photos, by a semantic network.

    Args:
        photos: photos, each (3, H, W) float32, on the CPU, sRGB in [0, 1].
        model: name on the Hugging Face Hub, or folder, of a network trained on ADE20K; see `semantic_regions`.
        device: device that the network runs on.
        size: square root of the network's input area in pixels, about; the input has the photo's aspect. At least 32.
            Networks for images of one size ignore it.

    Returns:
        The K kinds of region, see `fastphoto.regions.ade20k.KINDS`, and for each photo scores (K, h, w) on the CPU: the
        log-sum-exp of the logits of each kind's categories.

    Raises:
        InputError: an unusable size, a missing transformers, or a model without the categories of ADE20K.
        FileError: a model that cannot be found or read, or that gives NaN.
    """
    if isinstance(size, bool) or not isinstance(size, Integral) or size < _STRIDE:
        raise InputError(f"size: must be a whole number of {_STRIDE} pixels or more, got {size!r}")
    with _quiet():
        network, processor = _load(model)
        kinds = kinds_of_labels(network.config.id2label)
        network.to(device)
        logits = [_logits(network, processor, photo, size) for photo in photos]
    if not all(values.isfinite().all() for values in logits):
        raise FileError(f"semantic model {model}: gives NaN or infinite scores; download it again")
    scores = [torch.stack([values[members].logsumexp(0) for members in kinds.values()]) for values in logits]
    return tuple(kinds), scores


def _logits(network: Any, processor: Any, photo: Tensor, size: int) -> Tensor:
    """Return the logits of the network's labels, (labels, h, w) on the CPU."""
    height, width = photo.shape[1:]
    fixed = getattr(network.config, "image_size", None)
    if fixed is not None and fixed == dict(processor.size).get("height"):
        sides = [fixed, fixed]  # such a network has a learned embedding for each position
    else:
        scale = size / math.sqrt(height * width)
        sides = [max(_STRIDE, round(n * scale / _STRIDE) * _STRIDE) for n in (height, width)]
    resized = F.interpolate(photo[None], sides, mode="bicubic", antialias=True)[0].clamp_(0, 1)
    already_done = dict.fromkeys(("do_resize", "do_rescale", "do_center_crop"), False)
    inputs = processor(images=[resized], return_tensors="pt", **already_done).to(network.device)
    logits: Tensor = network(**inputs).logits[0].float().cpu()
    return logits


def _load(model: str) -> tuple[Any, Any]:
    """Return the network, ready to run, and the processor that turns a photo into its input."""
    try:
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForSemanticSegmentation
    except ImportError as error:
        raise InputError("semantic regions need transformers: pip install fastphoto[segment]") from error
    folder = Path(model) if Path(model).is_dir() else _from_hub(model)
    for name in _FILES:
        if not (folder / name).is_file():
            raise FileError(f"semantic model {model}: no {name} in the folder; copy all files of a model into it")
    offline = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **offline)
    except Exception as error:  # transformers documents no set of exceptions for broken files
        raise _unusable(model, "config.json cannot be read", error) from error
    try:
        kinds_of_labels(config.id2label)
    except InputError as error:
        raise InputError(f"semantic model {model}: {error}") from error
    try:
        network, info = AutoModelForSemanticSegmentation.from_pretrained(
            folder, config=config, output_loading_info=True, weights_only=True, **offline
        )
        processor = AutoImageProcessor.from_pretrained(folder, **offline)
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
    """Return the folder of a Hub model in the Hub's cache, downloaded if it is not there."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

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
        # One short request first, because a download tries for 20 seconds if there is no connection.
        offered = {file.rfilename for file in HfApi().model_info(model, timeout=10).siblings or ()}
        available = [weights for weights in _WEIGHTS if weights in offered]
        if not available or not offered.issuperset(_FILES):
            raise FileError(f"semantic model {model}: is missing some of {_LISTED_FILES}")
        return folder(available[0], offline=False)
    except FileError:
        raise
    except Exception as error:  # three libraries raise exceptions of their own
        raise FileError(
            f"semantic model {model}: neither a folder nor in the cache, and not downloaded ({_first_line(error)}); "
            f"download {_LISTED_FILES} from https://huggingface.co/{model}, put them in a folder, and pass that folder "
            "as the model"
        ) from error


def _unusable(model: str, cause: str, error: Exception) -> FileError:
    return FileError(f"semantic model {model}: {cause} ({_first_line(error)}); download it again or give another")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0].strip().rstrip(".:;")[:200] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence log lines and progress bars of the libraries, and restore their settings afterwards."""
    try:
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )
        from transformers.utils import logging as transformers_logging
    except ImportError:  # `_load` reports it
        yield
        return
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    loading_bars, download_bars = transformers_logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        transformers_logging.disable_progress_bar()
        disable_progress_bars()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if loading_bars:
            transformers_logging.enable_progress_bar()
        if download_bars:
            enable_progress_bars()
        else:
            disable_progress_bars()
