"""The figures of the field's survey, made anew on the photo pairs in the package, in one web page."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from fastphoto.errors import InputError
from fastphoto.methods.ablations import QUESTIONS
from fastphoto.methods.registry import METHODS, Method
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_image
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.reports.comparison import Report, Result, compare_methods
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.reports.page import Page
from fastphoto.runtime.files import make_folder

SIZE = 200
"""Pixels of the long side that the figures are made at by default."""


@dataclass(frozen=True)
class Figure:
    """What a figure shows: methods by name, side by side on some pairs."""

    title: str
    text: str
    methods: Mapping[str, Method]
    pairs: Literal["first", "all", "unrelated"] = "all"
    """The first pair, all pairs, or contents with the styles of other pairs."""
    note: Callable[[Result], str] | None = None
    """What is written below a result; None: its scores."""


def make_survey(
    folder: str | os.PathLike[str],
    figures: Sequence[str] | None = None,
    *,
    size: int = SIZE,
    report: Report | None = None,
    **options: Any,
) -> Path:
    """Make figures of the survey: write `index.html`, one page that loads nothing, and a contact sheet FIGURE.jpg each.

    figures: names in `FIGURES`; None: all. size: pixels of the photos' long sides. options: encoder, weights, device
    and seed, as `fastphoto.transfer` takes them. report: called with FIGURE/METHOD when a method begins, and with each
    of its `Progress`.

    Returns the page's path. Raises InputError for an unknown figure, FileError where writing fails.
    """
    names = list(FIGURES) if figures is None else list(figures)
    if unknown := [name for name in names if name not in FIGURES]:
        raise InputError(f"figure {unknown[0]!r}: unknown; give some of {', '.join(FIGURES)}")
    target = make_folder(folder)
    pairs = _pairs(size)
    page = Page("Photo style transfer: the survey's figures", _INTRODUCTION)
    for name in names:
        figure = FIGURES[name]
        page.section(figure.title, figure.text)
        rows = []
        for pair in pairs[figure.pairs]:
            comparison = compare_methods(pair, figure.methods, report and _named(report, name), **options)
            comparison.show_pictures(page, figure.note)
            comparison.show_table(page)
            rows += comparison.rows()
        write_image(target / f"{name}.jpg", make_contact_sheet(rows), "JPEG", {"quality": 92})
    page.section("Photographs", _CREDITS)
    page.write(target / "index.html")
    return target / "index.html"


def _pairs(size: int) -> dict[str, list[PhotoPair]]:
    """The pairs of the package, prepared, by what a figure asks for."""
    folders = demo_pairs()
    photos = [[read_photo(folder / f"{role}.jpg", role) for role in ("content", "style")] for folder in folders]
    masks = [(folder / "content_mask.png", folder / "style_mask.png") for folder in folders]
    pairs = [prepare_pair(*both, *drawn, size) for both, drawn in zip(photos, masks, strict=True)]
    styles = [style for _, style in photos[1:] + photos[:1]]
    unrelated = [
        prepare_pair(content, style, None, None, size) for (content, _), style in zip(photos, styles, strict=True)
    ]
    return {"first": pairs[:1], "all": pairs, "unrelated": unrelated}


def _named(report: Report, figure: str) -> Report:
    return lambda name, progress: report(f"{figure}/{name}", progress)


_INTRODUCTION = (
    "What the literature on photo style transfer shows in its figures, made anew by one program on the same photos: "
    "every method is a choice of losses, start image and schedule of one optimisation, or a transfer of "
    "colour.\n\nScores are distances, lower is better: style is how far the regions' Gram matrices, colours and local "
    "contrast are from the style's; photorealism how far the result is from a local recolouring of the content, and "
    "how much its edges have changed. A content left as it was is perfectly photorealistic, so that only the two "
    "together say anything. At 350 pixels 1.00 is the median of the results that Deep Photo Style Transfer published; "
    "at other sizes scores compare with one another only."
)
_CREDITS = (
    "Lake Sherburne, Beacon Street at sunset, and hikers on a dune: Budgie Desktop Developers, CC0 1.0. Picos de "
    "Europa: Aitzol Berasategi, 2018, CC BY 4.0; scaled, and recoloured in the results."
)
_ANSWERS = {
    "style-statistic": (
        "Our method with another statistic of the encoder's activations in every region: the mean and deviation of "
        "each channel (Li et al. 2017), the sliced Wasserstein distance of their distributions (Heitz et al. 2021), or "
        "each channel's histogram (Risser et al. 2017); and without any, the start image smoothed."
    ),
    "photorealism": (
        "Our method with another regulariser: the matting Laplacian of larger windows, a bilateral grid of affine "
        "colour maps that is optimised instead of pixels, affine smoothing at the end alone, or nothing at all."
    ),
    "regions": ("Our method with masks that are worse than those drawn by hand, and with none."),
}


def swapped_regions(pair: PhotoPair) -> PhotoPair:
    """Every region of the content with the style of the next one."""
    return replace(pair, content_masks=pair.content_masks.roll(1, 0))


def _similar(result: Result) -> str:
    return f"SSIM to the photo {result.evaluation.measures.ssim:.2f}"


def _variants(method: str, title: str, setting: str, values: Sequence[Any], **settings: Any) -> dict[str, Method]:
    """One method with a setting swept; `title` holds {} where the value goes."""
    base = METHODS[method]
    told = dict(base.settings) | settings
    return {
        f"{setting}={value}": replace(base, title=title.format(value), settings=told | {setting: value})
        for value in values
    }


def _inversion(title: str, setting: str, values: Sequence[Any]) -> dict[str, Method]:
    base = Method("", _MAHENDRAN, False, "inversion")
    return {f"{setting}={v}": replace(base, title=title.format(v), settings={setting: v}) for v in values}


_MAHENDRAN = "Mahendran and Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR 2015"
_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu4_1", "relu4_2", "relu5_1")
_DEEPER = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
_fast = METHODS["fastphoto"]

FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "layer-reconstructions": Figure(
            "What a layer keeps of a photo",
            "Feature inversion (Mahendran and Vedaldi, CVPR 2015): an image that has the content's activations in one "
            "layer, from noise, with little total variation. Shallow layers give the photo back; the deeper the layer, "
            "the less of its colours and fine structure is left.",
            _inversion("{}", "content_layers", _LAYERS),
            "first",
            _similar,
        ),
        "total-variation": Figure(
            "The regulariser of the inversion",
            "The same from relu4_1, with the sum of (dx² + dy²)^(β/2) for different β: at 1 it lets edges stay sharp, "
            "at 2 it blurs them, at 3 it punishes single spikes above all.",
            _inversion("β = {:g}", "total_variation_power", (1.0, 2.0, 3.0)),
            "first",
            _similar,
        ),
        "alpha-beta": Figure(
            "Content against style: α / β",
            "Neural style (Gatys, Ecker and Bethge, CVPR 2016) from noise, 300 steps, for different ratios of the "
            "content's weight α to the style's β. Small ones paint the style with little of the content in it, large "
            "ones leave the content; 1e-3 is the ratio of the publication.",
            _variants("gatys", "α / β = {:g}", "content_weight", (1e-5, 1e-3, 1e-1, 1e0, 1e1), steps=300),
            "first",
        ),
        "content-layers": Figure(
            "The layer that the content is matched in",
            "Neural style from the content at α / β = 1, a weight at which a shallow layer lets nothing change, for "
            "different content layers: the deeper the layer, the freer the image is to distort what it shows.",
            _variants("gatys-photo", "{}", "content_layers", _DEEPER, content_weight=1.0, steps=300),
            "first",
            _similar,
        ),
        "lambda": Figure(
            "The weight of photorealism: λ",
            "Deep Photo Style Transfer (Luan et al., CVPR 2017), 300 steps in each of its two stages, for different "
            "weights λ of the photorealism term. Too small, and the result is painterly; too large, and the style is "
            "only half transferred; 1e4 is the choice of the publication.",
            _variants("dpst", "λ = {:g}", "photorealism_weight", (1e0, 1e2, 1e4, 1e6, 1e8), steps=300, result="image"),
            "first",
        ),
        "methods": Figure(
            "Every method, side by side",
            "All of them get the same photos at the same size, and those that know regions the same masks.",
            METHODS,
        ),
        "failures": Figure(
            "Where it fails: unrelated photos",
            "A style photo of something else has no look for what the content shows: contents with the styles of other "
            "pairs, and no masks. What is transferred then lands where it does not belong.",
            {name: METHODS[name] for name in ("fastphoto", "gatys-photo", "cnnmrf", "pitie")},
            "unrelated",
        ),
        "confused-regions": Figure(
            "Where it fails: regions confused",
            "Masks are believed: where the sky is called land, it gets the look of land.",
            {
                "given": replace(_fast, title="regions as drawn"),
                "confused": replace(_fast, title="regions confused", redraw=swapped_regions),
                "none": replace(_fast, title="no regions", regions=False),
            },
        ),
        **{name: Figure(question.title, _ANSWERS[name], question.variants) for name, question in QUESTIONS.items()},
    }
)
"""Figure by name, in the order of the page."""
