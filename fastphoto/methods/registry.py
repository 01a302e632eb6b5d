"""Every method of the field's survey by name, called alike: presets of the optimisation, and transfers of colour.

Example:
    >>> list(METHODS)[:3]
    ['fastphoto', 'dpst', 'gatys']
    >>> METHODS["reinhard-regions"].by_region
    True
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from fastphoto.colour.match import monge_kantorovich
from fastphoto.encoders.encoder import Encoder
from fastphoto.errors import InputError
from fastphoto.methods.patch_search import correspondence, warp
from fastphoto.methods.pitie import pitie_transfer
from fastphoto.methods.reinhard import reinhard_transfer
from fastphoto.methods.time_of_day import frames_of_style, time_of_day_transfer
from fastphoto.optimisation.memory import check_transfer
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.progress import Callback
from fastphoto.pipeline import transfer
from fastphoto.regions.pair import PhotoPair
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.host_state import apart_from_host
from fastphoto.session import checked_seed, load_network

Recolour = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""A transfer of colour: (content (3, h, w), style (3, h', w'), content masks (R, h, w), style masks (R, h', w')) ->
result (3, h, w)."""
FrameRecolour = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""A `Recolour` with a matched frame (3, h', w') as its fifth argument."""


@dataclass(frozen=True)
class RunOptions:
    """How a method runs: the options of `fastphoto.transfer` that change no setting of the method.

    Transfers of colour ignore them; they use no network and run on the CPU.

    Example:
        >>> RunOptions(seed=7)
        RunOptions(encoder='embedded', weights=None, device='auto', seed=7)
    """

    encoder: str = "embedded"
    """Name of the encoder: "embedded", "vgg19-16x" or "vgg19"."""
    weights: str | os.PathLike[str] | None = None
    """Path of the encoder's weight file; None: use the cached file, or download it."""
    device: str | torch.device = "auto"
    """Device of the optimisation: "auto", "cpu", "cuda", "cuda:1", ..."""
    seed: int = 0
    """Seed of the noise that some presets start from."""


_DEFAULT_OPTIONS = RunOptions()


@dataclass(frozen=True)
class Method:
    """A method that gives one photo the look of another: a preset of the optimisation, or a transfer of colour.

    A method has either a `preset` or a `recolour` function.

    Example:
        >>> from dataclasses import replace
        >>> short = replace(METHODS["dpst"], title="DPST, 100 steps", settings={"steps": 100})
        >>> short.as_dict()["steps"]
        (100,)
    """

    title: str
    source: str
    """Authors, title and year of the publication."""
    by_region: bool
    """Whether each region gets a look of its own; if not, all visible pixels of a photo are one region."""
    preset: str | None = None
    """Name of the preset; None for a transfer of colour."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the preset's settings."""
    recolour: Recolour | None = None
    """The transfer of colour; None for a preset."""
    redraw: Callable[[PhotoPair], PhotoPair] | None = None
    """Changes a pair's regions before the method runs."""
    recolour_with_frame: FrameRecolour | None = None
    """The transfer of colour for a given matched frame; None: the method ignores frames."""

    def as_dict(self) -> dict[str, Any]:
        """Return the source, whether the method works by region, the preset and all of its settings, by name."""
        described: dict[str, Any] = {"source": self.source, "regions": self.by_region}
        if self.preset is None:
            return described
        return described | {"preset": self.preset} | asdict(preset_settings(self.preset, **self.settings))


@apart_from_host
def apply_method(
    method: str | Method,
    pair: PhotoPair,
    *,
    options: RunOptions = _DEFAULT_OPTIONS,
    matched_frame: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Run a method on a pair of photos, at the size that the pair was prepared at.

    Args:
        method: name of one of `METHODS`, or a `Method`.
        pair: photos and regions, as `fastphoto.regions.pair.prepare_pair` returns them.
        options: encoder, device and seed of an optimisation; transfers of colour ignore them.
        matched_frame: frame (3, h', w') in [0, 1], of the style's size, that shows the style's scene at the content's
            time of day; only "time-of-day" uses it. None: made from the style, see `frames_of_style`.
        callback: function that receives a `Progress` after each step of an optimisation; returning True ends the
            optimisation with the best image so far.

    Returns:
        The result (3, h, w), of the size of `pair.content`, in [0, 1].

    Raises:
        InputError: an unknown name, a matched frame of another size, or options that `fastphoto.transfer` refuses.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> from fastphoto.regions.pair import prepare_pair
        >>> content, style = read_photo(torch.rand(3, 32, 48)), read_photo(torch.rand(3, 40, 40))
        >>> pair = prepare_pair(content, style, None, None, 350)
        >>> apply_method("reinhard", pair).shape
        torch.Size([3, 32, 48])
    """
    method = find_method(method) if isinstance(method, str) else method
    pair = method.redraw(pair) if method.redraw is not None else pair
    names, *masks = (pair.names, pair.content_masks, pair.style_masks) if method.by_region else _whole_photos(pair)
    if method.preset is not None:
        named = [dict(zip(names, m.numpy(), strict=True)) for m in masks]
        return transfer(
            pair.content,
            pair.style,
            *named,
            preset=method.preset,
            encoder=options.encoder,
            weights=options.weights,
            size=max(*pair.content.shape, *pair.style.shape),  # so that neither photo is shrunk again
            device=options.device,
            seed=options.seed,
            callback=callback,
            **method.settings,
        )
    assert method.recolour is not None
    content_masks, style_masks = masks
    if matched_frame is not None and method.recolour_with_frame is not None:
        return method.recolour_with_frame(pair.content, pair.style, content_masks, style_masks, matched_frame)
    return method.recolour(pair.content, pair.style, content_masks, style_masks)


def check_run(jobs: Iterable[tuple[Method, PhotoPair]], options: RunOptions) -> None:
    """Check what methods need before the first of them runs: device, seed, encoder with its layers, and memory.

    The encoder's weights are read, and downloaded if they are missing, only if one of the methods is an optimisation.

    Args:
        jobs: methods, each with a pair that it is to run on.
        options: options that all of them run with.

    Raises:
        InputError: options that `fastphoto.transfer` refuses, and a pair that would not fit in memory.
        FileError: weights that cannot be read, downloaded or verified.
    """
    device = choose_device(options.device)
    checked_seed(options.seed)
    networks: dict[str, Encoder] = {}  # by precision
    for method, pair in jobs:
        if method.preset is None:
            continue
        settings = preset_settings(method.preset, **method.settings)
        precision = settings.precision
        if precision not in networks:
            networks[precision] = load_network(options.encoder, options.weights, device, precision)
        networks[precision].check([*settings.content_layers, *settings.style_layers])
        size = pair.content.shape[1], pair.content.shape[2]
        check_transfer(size, len(pair.names) if method.by_region else 1, networks[precision], settings, device)


def find_method(name: str) -> Method:
    """Return the method of `METHODS` with this name; raises InputError for an unknown name."""
    if name not in METHODS:
        raise InputError(f"method {name!r}: unknown; give some of {', '.join(METHODS)}")
    return METHODS[name]


def _whole_photos(pair: PhotoPair) -> tuple[tuple[str, ...], Tensor, Tensor]:
    """Return one name and its masks (1, h, w), (1, h', w'): all visible pixels of a photo are one region."""
    content_mask = torch.ones_like(pair.content[:1]) if pair.content_alpha is None else pair.content_alpha
    style_mask = torch.ones_like(pair.style[:1]) if pair.style_alpha is None else pair.style_alpha
    return ("photo",), content_mask, style_mask


def _hallucinate(content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor) -> Tensor:
    """Transfer the style's time of day, with two frames that are made from the style."""
    frames = frames_of_style(content, style, content_masks, style_masks)
    return _hallucinate_from_frames(content, *frames, content_masks, style_masks)


def _hallucinate_with_frame(
    content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor, matched_frame: Tensor
) -> Tensor:
    """Transfer the style's time of day, with a frame of the content's time of day; the style is the other frame."""
    if matched_frame.shape != style.shape:
        got, expected = tuple(matched_frame.shape), tuple(style.shape)
        raise InputError(f"matched frame: {got} is not the style's {expected}; give two frames of one camera")
    return _hallucinate_from_frames(content, matched_frame, style, content_masks, style_masks)


def _hallucinate_from_frames(
    content: Tensor, matched: Tensor, target: Tensor, content_masks: Tensor, frame_masks: Tensor
) -> Tensor:
    positions = correspondence(content, matched, content_masks, frame_masks)
    return time_of_day_transfer(content, warp(matched, positions), warp(target, positions))


_REINHARD = "Reinhard, Ashikhmin, Gooch and Shirley, Color Transfer between Images, 2001"
_PITIE = "Pitié, Kokaram and Dahyot, Automated colour grading using colour distribution transfer, 2007"
_KANTOROVICH = "Pitié and Kokaram, The linear Monge-Kantorovitch linear colour mapping, 2007"
_GATYS = "Gatys, Ecker and Bethge, Image Style Transfer Using Convolutional Neural Networks, CVPR 2016"
_RGB = torch.eye(3, dtype=torch.float32, device="cpu")
_published_kantorovich = partial(monge_kantorovich, gain=math.inf, space=_RGB)

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "fastphoto": Method("fastphoto", "this package", True, "fast"),
        "dpst": Method(
            "Deep Photo Style Transfer",
            "Luan, Paris, Shechtman and Bala, Deep Photo Style Transfer, CVPR 2017",
            True,
            "paper",
        ),
        "gatys": Method("Neural style", _GATYS, False, "gatys"),
        "gatys-photo": Method("Neural style, from the content", _GATYS, False, "gatys-photo"),
        "cnnmrf": Method(
            "CNNMRF",
            "Li and Wand, Combining Markov Random Fields and Convolutional Neural Networks, CVPR 2016",
            False,
            "cnnmrf",
        ),
        "reinhard": Method("Reinhard", _REINHARD, False, recolour=reinhard_transfer),
        "reinhard-regions": Method("Reinhard, by region", _REINHARD, True, recolour=reinhard_transfer),
        "pitie": Method("Pitié", _PITIE, False, recolour=pitie_transfer),
        "pitie-regions": Method("Pitié, by region", _PITIE, True, recolour=pitie_transfer),
        "monge-kantorovich": Method("Monge-Kantorovich", _KANTOROVICH, False, recolour=_published_kantorovich),
        "monge-kantorovich-regions": Method(
            "Monge-Kantorovich, by region", _KANTOROVICH, True, recolour=_published_kantorovich
        ),
        "time-of-day": Method(
            "Time of day",
            "Shih, Paris, Durand and Freeman, Data-driven Hallucination of Different Times of Day, 2013; frames made "
            "from the style unless a matched frame is given",
            True,
            recolour=_hallucinate,
            recolour_with_frame=_hallucinate_with_frame,
        ),
    }
)
"""Methods by name, in the order of reports; the first is this package's own."""
