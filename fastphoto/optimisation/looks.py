"""The making of a `Look` from a style photo: what its colours and activations are like, region by region."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.colour.statistics import sample_pixels
from fastphoto.encoders.encoder import Encoder
from fastphoto.errors import InputError
from fastphoto.optimisation.levels import RECOLOURING_SIDE
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.style_losses import region_moments_of
from fastphoto.photos.photo import Photo
from fastphoto.photos.resize import fit_size, resize, shrunk_size
from fastphoto.regions.look import SIDE, Look
from fastphoto.regions.mask_forms import OpenedMask
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import masks_by_layer, visible_masks
from fastphoto.regions.scenes import SCENE_KINDS, kind_map, kind_scores, shares_and_sureness

_LEAST_COLOURS = 8  # of a region, however small: less than the share that makes a kind of scene a region


def check_for_look(settings: Settings, look: Look | None, encoder: str) -> None:
    """Raise InputError if a look does not hold, or could not hold, what these settings need of a style."""
    needs_photo = settings.unknowns != "recolouring" or (
        bool(settings.style_layers) and any(settings.style_weights) and settings.style_statistic != "moments"
    )
    if needs_photo:
        raise InputError('look: it serves presets that recolour, with style_statistic="moments"; give the style photo')
    if look is not None and any(settings.steps):
        missing = [layer for layer in (*settings.style_layers, *settings.content_layers) if layer not in look.means]
        if encoder != look.encoder or missing:
            raise InputError(
                f"look: it has activations of the encoder {look.encoder} in {', '.join(look.means)}; use these, or "
                "give the style photo"
            )


def make_look(
    style: Photo, style_mask: OpenedMask | None, size: int, settings: Settings, encoder: Encoder, name: str
) -> Look:
    """Return the look of a style photo.

    Args:
        style: style photo.
        style_mask: its regions; None: the kinds of scene that the network in the package sees.
        size: long side in pixels of the transfers that it is for.
        settings: style layers, and how masks shrink to them.
        encoder: network of the activations.
        name: name of the network.
    """
    pixels = resize(style.pixels, fit_size(*style.size, size, style.name))
    small = pixels.shape[1], pixels.shape[2]
    if style_mask is None:
        scores = kind_scores(pixels)
        names, sureness = tuple(SCENE_KINDS), shares_and_sureness(scores)[1]
        regions = kind_map(scores, pixels)
        masks = (regions == torch.arange(len(names))[:, None, None]).float()
    else:
        read = read_masks(style_mask, style.size, "style", shrunk=small)
        names, masks = read.names, read.masks
        sureness = torch.ones(len(names), dtype=torch.float32)
    masks = visible_masks(masks, style.alpha)
    numbers = masks.max(0).indices.where(masks.amax(0) >= 0.5, torch.tensor(-1, dtype=torch.int64))
    if style.alpha is not None:
        hidden = visible_masks(torch.ones_like(masks[:1]), style.alpha)[0] < 0.5
        numbers = numbers.masked_fill(hidden, -2)
    chosen = _sampled(numbers)
    level = resize(pixels, shrunk_size(small, round(RECOLOURING_SIDE * max(small) / max(size, max(small))), 16))
    features = encoder(level, settings.style_layers)
    sizes = {layer: (values.shape[1], values.shape[2]) for layer, values in features.items()}
    by_layer = masks_by_layer(
        masks, (level.shape[1], level.shape[2]), settings.style_layers, sizes, settings.normalisation != "gatys"
    )
    moments = {layer: region_moments_of(values, by_layer[layer]).chunk(2, 1) for layer, values in features.items()}
    return Look(
        names,
        style_mask is None,
        sureness,
        pixels.flatten(1)[:, chosen].view(3, SIDE, SIDE),
        numbers.flatten()[chosen].clamp_min(-1).view(SIDE, SIDE),
        name,
        {layer: mean for layer, (mean, _) in moments.items()},
        {layer: deviation for layer, (_, deviation) in moments.items()},
    )


def _sampled(numbers: Tensor) -> Tensor:
    """Return the indices of SIDE^2 pixels, evenly spread in each region of a map (h, w); -2 marks hidden pixels."""
    flat, total = numbers.flatten(), SIDE**2
    regions = [region for region in flat.unique().tolist() if region != -2] or [-2]
    members = {region: (flat == region).nonzero()[:, 0] for region in regions}
    visible = sum(map(len, members.values()))
    shared = total - _LEAST_COLOURS * len(members)
    counts = {region: _LEAST_COLOURS + shared * len(m) // visible for region, m in members.items()}
    largest = max(counts, key=counts.__getitem__)
    counts[largest] += total - sum(counts.values())
    chosen = []
    for region, pixels in members.items():
        times = -(-counts[region] // len(pixels))  # a region of few pixels has them several times
        chosen.append(sample_pixels(pixels.repeat(times) if times > 1 else pixels, counts[region]))
    return torch.cat(chosen).sort().values
