"""Scores: the measures of a result as ratios to those of a reference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastphoto.encoders.encoder import load_encoder
from fastphoto.errors import InputError
from fastphoto.evaluation.measures import Measures, ReferencePair
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge
from fastphoto.regions.pair import prepare_pair
from fastphoto.regions.resizing import resize_masks

_ASPECT_TOLERANCE = 0.02  # of the ratio of two aspects, that of masks


@dataclass(frozen=True)
class Scores:
    """Ratios to a reference: 1.0 equals it, lower is better."""

    style: float
    """Mean of the ratios of gram, colour and contrast."""
    photorealism: float
    """Mean of the ratios of affine and of 1 - edge."""


@dataclass(frozen=True)
class Evaluation:
    """One result, measured and scored."""

    measures: Measures
    scores: Scores


# Medians over the results that Luan et al. (2017) published for 24 of their 60 pairs (1 3 4 5 7 8 9 11 12 13 15 16 17
# 19 20 21 24 25 28 33 40 47 55 60), read and shrunk to a long side of 350 pixels as `evaluate` does, and measured with
# the normalised VGG-19 for relu1_1 to relu3_1 and with vgg19-16x for relu4_1 and relu5_1.
PUBLISHED = Measures(gram=0.2779, colour=3.340, contrast=0.4544, affine=2.223, edge=0.6028, ssim=0.4598)
"""Medians of the published results at a long side of 350 pixels; `gram` is that of VGG-19, see `published`."""
PUBLISHED_GRAM: Mapping[str, float] = {"embedded": 0.2009, "vgg19-16x": 0.2009}
"""The median of gram where all layers are those of one encoder, by its name; equal to four digits by chance."""


def published(encoder: str) -> Measures:
    """`PUBLISHED` with the gram of an encoder by itself: what `evaluate` compares with where no reference is given.

    Raises InputError for an encoder whose gram of the published results is not known.
    """
    if encoder not in PUBLISHED_GRAM:
        raise InputError(
            f"encoder {encoder!r}: the published results were measured with {' and '.join(PUBLISHED_GRAM)} only; "
            "give a result as the reference"
        )
    return replace(PUBLISHED, gram=PUBLISHED_GRAM[encoder])


def score_measures(measures: Measures, reference: Measures = PUBLISHED) -> Scores:
    """Measures as ratios to those of a reference.

    Raises InputError where the reference's own distance is zero, so that there is no ratio to it.
    """
    ours, theirs = _distances(measures), _distances(reference)
    if perfect := [name for name, distance in theirs.items() if not distance > 1e-9]:
        raise InputError(f"reference: its {' and '.join(perfect)} leaves nothing to compare with; give another result")
    ratio = {name: ours[name] / theirs[name] for name in ours}
    return Scores(
        style=(ratio["gram"] + ratio["colour"] + ratio["contrast"]) / 3,
        photorealism=(ratio["affine"] + ratio["edge"]) / 2,
    )


def _distances(measures: Measures) -> dict[str, float]:
    """The measures that scores are made of, all so that lower is better."""
    return {
        "gram": measures.gram,
        "colour": measures.colour,
        "contrast": measures.contrast,
        "affine": measures.affine,
        "edge": 1 - measures.edge,
    }


def evaluate(
    content: PhotoSource,
    style: PhotoSource,
    results: Mapping[str, PhotoSource],
    content_mask: Any = None,
    style_mask: Any = None,
    *,
    reference: PhotoSource | None = None,
    size: int = 350,
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
) -> dict[str, Evaluation]:
    """Measure and score results of one pair of photos.

    Args:
        content, style, content_mask, style_mask: as `fastphoto.transfer` takes them. Every pixel counts for the region
            it belongs to most; pixels that a photo's alpha hides, and regions that the style lacks, for none.
        results: name -> what `fastphoto.images.read_photo` takes; of the content's aspect (within 2 %), in any size.
        reference: the result that scores are ratios to; None for the medians of the paper's published results
            (`published`), which hold for a size of 350.
        size: long side in pixels that photos are shrunk to, at least 16; smaller photos keep theirs. Measures of
            different sizes do not compare.
        encoder, weights: of the Gram matrices, as `fastphoto.transfer` takes them.

    Returns:
        {name: Evaluation}, in the order of the results.

    Raises:
        InputError: a result of another aspect, photos without a region in common, an encoder without published medians
            and no reference, and what cannot be read. FileError: files that cannot be read.
    """
    if not isinstance(results, Mapping):
        raise InputError(f"results: got {type(results).__name__}; give a mapping of names to results")
    standard = published(encoder) if reference is None else None
    photos = read_photo(content, "content"), read_photo(style, "style")
    small = prepare_pair(*photos, content_mask, style_mask, size, orphans="drop")
    labels = [
        _numbers(masks, photo.alpha)
        for masks, photo in zip((small.content_masks, small.style_masks), photos, strict=True)
    ]
    pair = ReferencePair(small.content, small.style, labels[0], labels[1], [load_encoder(encoder, weights)])
    if reference is not None:
        standard = pair.measure(_result(reference, "reference", photos[0], pair.size))
    assert standard is not None
    measured = {name: pair.measure(_result(r, f"result {name}", photos[0], pair.size)) for name, r in results.items()}
    return {name: Evaluation(measures, score_measures(measures, standard)) for name, measures in measured.items()}


def _numbers(masks: Tensor, alpha: Tensor | None) -> Tensor:
    """(H, W): the region that each pixel belongs to most, -1 where that is none."""
    numbers = torch.cat([1 - masks.sum(0, keepdim=True), masks]).argmax(0) - 1
    if alpha is None:
        return numbers
    return torch.where(resize_masks(alpha[None], (masks.shape[1], masks.shape[2]))[0] < 0.5, -1, numbers)


def _result(source: PhotoSource, role: str, content: Photo, size: tuple[int, int]) -> Tensor:
    """A result (3, h, w) at the size that the content is measured at."""
    photo = read_photo(source, role)
    (height, width), (content_height, content_width) = photo.size, content.size
    if abs(np.log(height * content_width / (width * content_height))) > _ASPECT_TOLERANCE:
        raise InputError(
            f"{photo.name}: {width}x{height} pixels do not fit the content's {content_width}x{content_height}; "
            "give a result of the content's aspect"
        )
    return enlarge(photo.pixels, size)
