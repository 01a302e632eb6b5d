"""Every method of the field's survey by name, called alike: presets of the optimisation, and transfers of colour."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from fastphoto.colour.match import monge_kantorovich
from fastphoto.errors import InputError
from fastphoto.methods.patch_search import correspondence, warp
from fastphoto.methods.pitie import pitie_transfer
from fastphoto.methods.reinhard import reinhard_transfer
from fastphoto.methods.time_of_day import frames_of_style, time_of_day_transfer
from fastphoto.optimisation.presets import preset_settings
from fastphoto.pipeline import Progress, transfer
from fastphoto.regions.pair import PhotoPair

Recolour = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(content (3, h, w), style (3, h', w'), content masks (R, h, w), style masks (R, h', w')) -> result (3, h, w)"""


@dataclass(frozen=True)
class Method:
    """One way to make a photo take on the look of another: a preset, perhaps changed, or a transfer of colour."""

    title: str
    source: str
    """Who published it, and where."""
    regions: bool
    """Whether it moves the look region by region; if not, all that a photo's alpha does not hide is one region."""
    preset: str | None = None
    """Of the optimisation; None for a transfer of colour."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the preset."""
    recolour: Recolour | None = None
    """What a method without an optimisation does."""
    redraw: Callable[[PhotoPair], PhotoPair] | None = None
    """What becomes of a pair's regions before the method sees them."""

    def described(self) -> dict[str, Any]:
        """All that the method was told, by name, for a report."""
        told: dict[str, Any] = {"source": self.source, "regions": self.regions}
        if self.preset is None:
            return told
        return told | {"preset": self.preset} | asdict(preset_settings(self.preset, **self.settings))


def apply_method(
    method: str | Method,
    pair: PhotoPair,
    *,
    matched_frame: Tensor | None = None,
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callable[[Progress], bool | None] | None = None,
) -> Tensor:
    """The result of a method, (3, h, w) in [0, 1], at the size that a pair was prepared at.

    method: the name of one of `METHODS`, or a method of one's own. pair: see `fastphoto.photo_pair.prepare_pair`.
    matched_frame: (3, h', w'), for "time-of-day" only: the style's scene at the content's time of day, in the style's
    size; None: made from the style, see `frames_of_style`. The other arguments are those of `fastphoto.transfer`, and
    of no effect on transfers of colour, which run on the CPU.

    Raises InputError for an unknown name and a matched frame of another size.
    """
    method = find_method(method) if isinstance(method, str) else method
    pair = method.redraw(pair) if method.redraw is not None else pair
    names, masks = pair.names, (pair.content_masks, pair.style_masks)
    if not method.regions:
        seen = (pair.content, pair.content_alpha), (pair.style, pair.style_alpha)
        names = ("photo",)
        masks = tuple(torch.ones_like(pixels[:1]) if alpha is None else alpha for pixels, alpha in seen)
    if method.preset is not None:
        named = [dict(zip(names, m.numpy(), strict=True)) for m in masks]
        return transfer(
            pair.content,
            pair.style,
            *named,
            preset=method.preset,
            encoder=encoder,
            weights=weights,
            size=max(*pair.content.shape, *pair.style.shape),  # neither is shrunk again
            device=device,
            seed=seed,
            callback=callback,
            **method.settings,
        )
    assert method.recolour is not None
    if method is METHODS["time-of-day"] and matched_frame is not None:
        return _hallucinated(pair.content, pair.style, *masks, matched_frame=matched_frame)
    return method.recolour(pair.content, pair.style, *masks)


def find_method(name: str) -> Method:
    """One of `METHODS`; raises InputError for an unknown name."""
    if name not in METHODS:
        raise InputError(f"method {name!r}: unknown; give some of {', '.join(METHODS)}")
    return METHODS[name]


def _hallucinated(
    content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor, matched_frame: Tensor | None = None
) -> Tensor:
    """The content at the style's time of day, by a frame that matches it and one that does not."""
    if matched_frame is None:
        matched, target = frames_of_style(content, style, content_masks, style_masks)
    elif matched_frame.shape == style.shape:
        matched, target = matched_frame, style
    else:
        got, wanted = tuple(matched_frame.shape), tuple(style.shape)
        raise InputError(f"matched frame: {got} is not the style's {wanted}; give two frames of one camera")
    places = correspondence(content, matched, content_masks, style_masks)
    return time_of_day_transfer(content, warp(matched, places), warp(target, places))


_REINHARD = "Reinhard, Ashikhmin, Gooch and Shirley, Color Transfer between Images, 2001"
_PITIE = "Pitié, Kokaram and Dahyot, Automated colour grading using colour distribution transfer, 2007"
_KANTOROVICH = "Pitié and Kokaram, The linear Monge-Kantorovitch linear colour mapping, 2007"
_GATYS = "Gatys, Ecker and Bethge, Image Style Transfer Using Convolutional Neural Networks, CVPR 2016"
_published_kantorovich = partial(monge_kantorovich, gain=math.inf, space=torch.eye(3))

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
            recolour=_hallucinated,
        ),
    }
)
"""Method by name; the first is ours."""
