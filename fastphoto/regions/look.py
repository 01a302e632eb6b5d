"""The type `Look`: what a transfer needs to know of a style photo, by region, in place of the photo."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fastphoto.errors import FileError, error_text
from fastphoto.photos.input_files import FileSource, opened_file, source_name
from fastphoto.runtime.files import write_file
from fastphoto.runtime.host_state import apart_from_host

SIDE = 32  # pixels: a look keeps SIDE^2 colours of the style
_PAIRS = 64  # pairs of activations that stand for the moments of all regions
_FORMAT = "fastphoto look 1"
_MOST_BYTES = 2**22


@dataclass(frozen=True, eq=False)
class Look:
    """Statistics of a style photo: sampled colours of each region, and moments of its activations.

    Regions are those of a mask, or kinds of scene (`fastphoto.regions.scenes.SCENE_KINDS`).
    """

    names: tuple[str, ...]  # of the K regions
    of_scene: bool  # whether the regions are kinds of scene
    sureness: Tensor  # (K,), [0, 1]: mean probability of each kind where it is the best; 1 for those of a mask
    colours: Tensor  # (3, SIDE, SIDE), sRGB in [0, 1], as many of each region as it has of the photo
    region_map: Tensor  # (SIDE, SIDE) int64: the region of each colour, -1 for none
    encoder: str  # name of the encoder of the activations
    means: Mapping[str, Tensor]  # {layer: (K, C)}
    deviations: Mapping[str, Tensor]  # {layer: (K, C)}

    def masks(self) -> Tensor:
        """Return the masks of the regions, (K, SIDE, SIDE), 0 or 1."""
        return (self.region_map == torch.arange(len(self.names))[:, None, None]).float()

    def scores(self) -> Tensor:
        """Return log-probabilities of the regions (K, SIDE, SIDE), as if the colours were a photo's pixels."""
        count = len(self.names)
        sure = self.sureness.clamp(1e-3, 1 - 1e-3)
        others = ((1 - sure) / max(count - 1, 1)).log()
        table = torch.where(torch.eye(count, dtype=torch.bool), sure.log(), others[:, None])  # (region, kind)
        nothing = torch.full((1, count), -math.log(count), dtype=torch.float32)
        return torch.cat([table, nothing])[self.region_map].permute(2, 0, 1).contiguous()

    def activations(self, layer: str) -> Tensor:
        """Return activations (C, 1, P) that have the moments of the style's in every region."""
        regions = self._region_of_activation()
        sign = torch.tensor([1.0, -1.0], dtype=torch.float32).repeat(len(regions) // 2)[:, None]
        values = self.means[layer][regions] + sign * self.deviations[layer][regions]
        return values.T[:, None].contiguous()

    def activation_masks(self, masks: Tensor) -> Tensor:
        """Return masks (R, SIDE, SIDE) of unions of regions as masks (R, 1, P) of `activations`."""
        flat = self.region_map.flatten()
        first = torch.stack([(flat == region).nonzero()[0, 0] for region in self._present()])
        row = {region: number for number, region in enumerate(self._present())}
        rows = [row[region] for region in self._region_of_activation().tolist()]
        numbers = torch.tensor(rows, dtype=torch.int64)
        return masks.flatten(1)[:, first.to(masks.device)[numbers.to(masks.device)]][:, None]

    def _present(self) -> list[int]:
        return sorted(set(self.region_map.flatten().tolist()) - {-1})

    def _region_of_activation(self) -> Tensor:
        """Return the region of each activation, (P,), in pairs."""
        counts = {region: int((self.region_map == region).sum()) for region in self._present()}
        total = sum(counts.values())
        pairs = [[region] * 2 * max(1, round(_PAIRS * count / total)) for region, count in counts.items()]
        return torch.tensor([region for each in pairs for region in each], dtype=torch.int64)


def write_look(path: str | os.PathLike[str], look: Look) -> None:
    """Write a look to a file of some ten kilobytes, so that the file is complete or untouched.

    Raises:
        FileError: the file cannot be written.
    """
    tensors = {
        "sureness": look.sureness,
        "colours": (look.colours * 255).round().to(torch.uint8),
        "region_map": look.region_map.to(torch.int8),
    }
    for layer, means in look.means.items():
        tensors[f"{layer}.mean"] = means.half()
        tensors[f"{layer}.deviation"] = look.deviations[layer].half()
    facts = {"format": _FORMAT, "names": look.names, "of_scene": look.of_scene, "encoder": look.encoder}
    # One entry of metadata: safetensors writes several in any order.
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"look": json.dumps(facts)})
    write_file(path, lambda file: file.write(data))


@apart_from_host
def read_look(source: FileSource, role: str = "style") -> Look:
    """Read a look from a file that `write_look` wrote.

    Args:
        source: path, content or binary stream of the file.
        role: name in messages of a source that has no path.

    Raises:
        FileError: the file cannot be read, or is no look.

    Example:
        >>> read_look("dusk.fastphoto").names  # doctest: +SKIP
        ('sky', 'water', 'vegetation', 'mountains', 'ground', 'buildings', 'interior', 'people', 'objects')
    """
    name = source_name(source, role)
    with opened_file(source, name) as file:
        data = file.read(_MOST_BYTES)
    try:
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["look"])
        if facts["format"] != _FORMAT:
            raise ValueError(f"its format is {facts['format']!r}")
        tensors = load(data)
        layers = sorted(key.split(".")[0] for key in tensors if key.endswith(".mean"))
        means = {layer: tensors[f"{layer}.mean"].float() for layer in layers}
        deviations = {layer: tensors[f"{layer}.deviation"].float() for layer in means}
        look = Look(
            tuple(map(str, facts["names"])),
            bool(facts["of_scene"]),
            tensors["sureness"].float(),
            tensors["colours"].to(torch.uint8).float() / 255,
            tensors["region_map"].long(),
            str(facts["encoder"]),
            means,
            deviations,
        )
        _check(look)
    except (SafetensorError, ValueError, LookupError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise FileError(f"{name}: no look that `fastphoto look` wrote ({error_text(error)})") from None
    return look


def is_look(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether a source of a style is the path of a look, by its extension."""
    return isinstance(source, (str, os.PathLike)) and os.fspath(source).lower().endswith(".fastphoto")


def _check(look: Look) -> None:
    """Raise ValueError if the parts do not fit."""
    count = len(look.names)
    shapes = look.sureness.shape, look.colours.shape, look.region_map.shape
    if shapes != ((count,), (3, SIDE, SIDE), (SIDE, SIDE)):
        raise ValueError("wrong shapes")
    if count < 1 or look.region_map.min() < -1 or look.region_map.max() >= count or look.region_map.max() < 0:
        raise ValueError("wrong regions")
    for layer, means in look.means.items():
        deviations = look.deviations[layer]
        if means.ndim != 2 or len(means) != count or deviations.shape != means.shape:
            raise ValueError(f"wrong shapes of {layer}")
        if not (torch.isfinite(means).all() and torch.isfinite(deviations).all()):
            raise ValueError(f"{layer} is not finite")
