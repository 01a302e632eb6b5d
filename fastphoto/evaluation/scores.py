"""Scores: the measures of a result as ratios to those of a reference.

Example:
    >>> score_measures(PUBLISHED)
    Scores(stains=1.0, look=1.0, photorealism=1.0, style=1.0)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastphoto.encoders.encoder import load_encoder
from fastphoto.errors import InputError
from fastphoto.evaluation.measures import Measures, ReferencePair
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge, same_aspect
from fastphoto.regions.masks import MaskSource, region_map
from fastphoto.regions.pair import prepare_pair
from fastphoto.regions.resizing import resize_masks
from fastphoto.runtime.host_state import apart_from_host


@dataclass(frozen=True)
class Scores:
    """Ratios of measures to those of a reference: 1.0 equals it, lower is better; those that agree with the eye first.

    `invented` has no ratio, because many a good result has none of it: compare its measure.

    Example:
        >>> score_measures(replace(PUBLISHED, affine=2 * PUBLISHED.affine))
        Scores(stains=1.0, look=1.0, photorealism=1.5, style=1.0)
    """

    stains: float
    """(stains + 0.2) / (the reference's + 0.2): which is the better photograph. The 0.2 delta E leave a ratio to a
    reference without stains, such as a grey one."""
    look: float
    """Ratio of look: which is nearer to the style's colours."""
    photorealism: float
    """Mean of the ratios of affine and of 1 - edge, the distances that the published method keeps small."""
    style: float
    """Mean of the ratios of gram, look and contrast, the distances that the published method aims at. A low one can be
    bought with stains, so that it says nothing of quality by itself."""


@dataclass(frozen=True)
class Evaluation:
    """The measures and scores of one result."""

    measures: Measures
    scores: Scores


PUBLISHED_SIZE = 350
"""Long side in pixels that photos and results were shrunk to for `PUBLISHED`."""

# Medians over the results that Luan et al. (2017) published for 24 of their 60 pairs (1 3 4 5 7 8 9 11 12 13 15 16 17
# 19 20 21 24 25 28 33 40 47 55 60), read and shrunk to `PUBLISHED_SIZE` as `evaluate` does, and measured with
# the normalised VGG-19 for relu1_1 to relu3_1 and with vgg19-16x for relu4_1 and relu5_1.
PUBLISHED = Measures(
    stains=3.416, look=3.340, invented=0.2146, affine=2.223, edge=0.6028, ssim=0.4598, contrast=0.4544, gram=0.2779
)
"""Medians of the published results at a long side of 350 pixels; `gram` is that of VGG-19, see `published`."""
PUBLISHED_GRAM: Mapping[str, float] = {"embedded": 0.2009, "vgg19-16x": 0.2009}
"""Medians of gram where all layers are those of one encoder, by its name; equal to four digits by chance."""


_STAINS_OFFSET = 0.2  # delta E: a fifth of what the unchanged content has


def published(encoder: str) -> Measures:
    """Return `PUBLISHED` with the gram of one encoder: the reference of `evaluate` if none is given.

    Args:
        encoder: name of the encoder that measures all layers: "embedded" or "vgg19-16x".

    Returns:
        The medians of the published results.

    Raises:
        InputError: an encoder that the published results were not measured with.

    Example:
        >>> published("embedded").gram
        0.2009
    """
    if encoder not in PUBLISHED_GRAM:
        raise InputError(
            f"encoder {encoder!r}: the published results were measured with {' and '.join(PUBLISHED_GRAM)} only; "
            "give a result as the reference"
        )
    return replace(PUBLISHED, gram=PUBLISHED_GRAM[encoder])


def score_measures(measures: Measures, reference: Measures = PUBLISHED) -> Scores:
    """Score measures by their ratios to those of a reference.

    Args:
        measures: measures of the result.
        reference: measures of the reference, of the same size and with the same encoders.

    Returns:
        The scores; 1.0 equals the reference, lower is better.

    Raises:
        InputError: a reference with a distance of zero, to which there is no ratio.

    Example:
        >>> score_measures(replace(PUBLISHED, gram=0.0, look=0.0, contrast=0.0)).style
        0.0
    """
    ours, theirs = _distances(measures), _distances(reference)
    if perfect := [name for name, distance in theirs.items() if not distance > 1e-9]:
        raise InputError(f"reference: its {' and '.join(perfect)} leaves nothing to compare with; give another result")
    ratio = {name: ours[name] / theirs[name] for name in ours}
    return Scores(
        stains=(measures.stains + _STAINS_OFFSET) / (reference.stains + _STAINS_OFFSET),
        look=ratio["look"],
        photorealism=(ratio["affine"] + ratio["edge"]) / 2,
        style=(ratio["gram"] + ratio["look"] + ratio["contrast"]) / 3,
    )


def _distances(measures: Measures) -> dict[str, float]:
    """Return the measures whose ratios scores are made of, with `edge` turned round so that lower is always better."""
    return {
        "look": measures.look,
        "affine": measures.affine,
        "edge": 1 - measures.edge,
        "contrast": measures.contrast,
        "gram": measures.gram,
    }


@apart_from_host
def evaluate(
    content: PhotoSource,
    style: PhotoSource,
    results: Mapping[str, PhotoSource],
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    reference: PhotoSource | None = None,
    size: int = PUBLISHED_SIZE,
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
) -> dict[str, Evaluation]:
    """Measure and score results of one pair of photos.

    Every pixel counts for the region it belongs to most. Pixels that a photo's alpha hides do not count, nor do regions
    that the style lacks.

    Args:
        content: photo that the results were made of: a path, PIL image, array, tensor or `Photo`, see
            `fastphoto.read_photo`.
        style: photo that the results take their look from; the same types.
        results: results by name; the same types, of the content's aspect (within 2 %), in any size.
        content_mask: regions of the content, as `fastphoto.transfer` takes them.
        style_mask: regions of the style; give both masks or neither.
        reference: result that scores are ratios to. None: the medians of the paper's published results (`published`),
            which hold for a size of 350.
        size: long side in pixels that photos are shrunk to, at least 16; smaller photos keep theirs. Measures of
            different sizes do not compare.
        encoder: name of the encoder of the Gram matrices: "embedded", "vgg19-16x" or "vgg19".
        weights: path of the encoder's weight file. None: use the cached file, or download it.

    Returns:
        Measures and scores by the results' names, in their order.

    Raises:
        InputError: a result of another aspect, photos without a region in common, an encoder without published medians
            and no reference, or photos and masks that cannot be used.
        FileError: a file that cannot be read.

    Example:
        >>> content, style = torch.rand(3, 32, 48), torch.rand(3, 40, 40)
        >>> results = evaluate(content, style, {"unchanged": content, "mirrored": content.flip(2)})
        >>> results["unchanged"].scores.photorealism < results["mirrored"].scores.photorealism
        True
    """
    if not isinstance(results, Mapping):
        raise InputError(f"results: got {type(results).__name__}; give a mapping of names to results")
    standard = published(encoder) if reference is None else None
    photos = read_photo(content, "content"), read_photo(style, "style")
    small = prepare_pair(*photos, content_mask, style_mask, size, orphans="drop")
    content_regions = _visible_region_map(small.content_masks, photos[0].alpha)
    style_regions = _visible_region_map(small.style_masks, photos[1].alpha)
    pair = ReferencePair(small.content, small.style, content_regions, style_regions, [load_encoder(encoder, weights)])
    if reference is not None:
        standard = pair.measure(_read_result(reference, "reference", photos[0], pair.size))
    assert standard is not None
    measured = {
        name: pair.measure(_read_result(result, f"result {name}", photos[0], pair.size))
        for name, result in results.items()
    }
    return {name: Evaluation(measures, score_measures(measures, standard)) for name, measures in measured.items()}


def _visible_region_map(masks: Tensor, alpha: Tensor | None) -> Tensor:
    """Return the region map (h, w) of masks (R, h, w); -1 where the photo's alpha (H, W) hides it."""
    regions = region_map(masks)
    if alpha is None:
        return regions
    return torch.where(resize_masks(alpha[None], (masks.shape[1], masks.shape[2]))[0] < 0.5, -1, regions)


def _read_result(source: PhotoSource, role: str, content: Photo, size: tuple[int, int]) -> Tensor:
    """Return a result (3, h, w) at the size that the content is measured at."""
    photo = read_photo(source, role)
    (height, width), (content_height, content_width) = photo.size, content.size
    if not same_aspect(photo.size, content.size):
        raise InputError(
            f"{photo.name}: {width}x{height} pixels do not fit the content's {content_width}x{content_height}; "
            "give a result of the content's aspect"
        )
    return enlarge(photo.pixels, size)
