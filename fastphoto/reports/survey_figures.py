"""The survey's figures: what each of them compares, on which photo pairs, and the text above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from fastphoto.methods.ablations import QUESTIONS
from fastphoto.methods.registry import METHODS, Method
from fastphoto.regions.pair import PhotoPair
from fastphoto.reports.results import Result, scores_note

PairChoice = Literal["first", "all", "unrelated"]
"""The first photo pair, all pairs, or each content with the style of the next pair and without masks."""


@dataclass(frozen=True)
class Figure:
    """A figure of the survey: some methods side by side on some photo pairs."""

    title: str
    text: str
    methods: Mapping[str, Method]
    pairs: PairChoice = "all"
    note: Callable[[Result], str] = scores_note
    """Returns the text below a result."""


def swapped_regions(pair: PhotoPair) -> PhotoPair:
    """Return the pair with the masks of the content's regions swapped, so that each gets the style of another."""
    return replace(pair, content_masks=pair.content_masks.roll(1, 0))


def _ssim_note(result: Result) -> str:
    return f"SSIM to the content {result.evaluation.measures.ssim:.2f}"


def _sweep(method: str, title: str, setting: str, values: Sequence[Any], **settings: Any) -> dict[str, Method]:
    """Return variants of a method, one for each value of a setting; {} in `title` becomes the value."""
    base = METHODS[method]
    return {
        f"{setting}={value}": replace(
            base, title=title.format(value), settings={**base.settings, **settings, setting: value}
        )
        for value in values
    }


def _inversions(title: str, setting: str, values: Sequence[Any]) -> dict[str, Method]:
    """Return feature inversions, one for each value of a setting; {} in `title` becomes the value."""
    base = Method("", _MAHENDRAN, False, "inversion")
    return {
        f"{setting}={value}": replace(base, title=title.format(value), settings={setting: value}) for value in values
    }


_MAHENDRAN = "Mahendran and Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR 2015"
_INVERTED_LAYERS = (
    "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu4_1", "relu4_2", "relu5_1"
)  # fmt: skip
_CONTENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
_FASTPHOTO = METHODS["fastphoto"]

_QUESTION_TEXTS = {
    "style-statistic": (
        "Our method with other statistics of the activations of each region: mean and standard deviation of each "
        "channel (Li et al. 2017), the sliced Wasserstein distance of their distributions (Heitz et al. 2021), and "
        "the histogram of each channel (Risser et al. 2017). The last variant has no style loss: it is the smoothed "
        "start image."
    ),
    "photorealism": (
        "Our method with other regularisers: matting Laplacians of larger windows; a bilateral grid of affine colour "
        "maps, which is optimised instead of pixels; affine smoothing of the result alone; and none."
    ),
    "regions": "Our method with masks that are worse than those drawn by hand, and without masks.",
}

FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "layer-reconstructions": Figure(
            "What a layer keeps of a photo",
            "Feature inversion (Mahendran and Vedaldi, CVPR 2015) starts from noise and finds an image that has the "
            "content's activations in one layer and little total variation. Shallow layers give the photo back; the "
            "deeper the layer, the more of its colours and fine structure is lost.",
            _inversions("{}", "content_layers", _INVERTED_LAYERS),
            "first",
            _ssim_note,
        ),
        "total-variation": Figure(
            "The regulariser of the inversion",
            "Feature inversion from relu4_1, where the regulariser is the sum of (dx² + dy²)^(β/2). With β = 1 edges "
            "stay sharp, with β = 2 they are blurred, and β = 3 mainly suppresses single spikes.",
            _inversions("β = {:g}", "total_variation_power", (1.0, 2.0, 3.0)),
            "first",
            _ssim_note,
        ),
        "alpha-beta": Figure(
            "Content against style: α / β",
            "Neural style (Gatys, Ecker and Bethge, CVPR 2016) from noise, 300 steps, for different ratios of the "
            "content weight α to the style weight β. Small ratios paint the style and keep little of the content; "
            "large ratios change the content little. The publication uses 1e-3.",
            _sweep("gatys", "α / β = {:g}", "content_weight", (1e-5, 1e-3, 1e-1, 1e0, 1e1), steps=300),
            "first",
        ),
        "content-layers": Figure(
            "The layer of the content loss",
            "Neural style from the content at α / β = 1, for different layers of the content loss. At this weight a "
            "shallow layer lets nothing change; the deeper the layer, the more the image may distort its contents.",
            _sweep("gatys-photo", "{}", "content_layers", _CONTENT_LAYERS, content_weight=1.0, steps=300),
            "first",
            _ssim_note,
        ),
        "lambda": Figure(
            "The weight of photorealism: λ",
            "Deep Photo Style Transfer (Luan et al., CVPR 2017), 300 steps in each of its two stages, for different "
            "weights λ of the photorealism term. If λ is too small, the result looks painted; if it is too large, the "
            "style is only half transferred. The publication uses 1e4.",
            _sweep("dpst", "λ = {:g}", "photorealism_weight", (1e0, 1e2, 1e4, 1e6, 1e8), steps=300, result="image"),
            "first",
        ),
        "methods": Figure(
            "Every method, side by side",
            "All methods get the same photos at the same size. Those that work by region also get the same masks.",
            METHODS,
        ),
        "failures": Figure(
            "Failures: unrelated photos",
            "Each content with the style photo of another pair, without masks. A style photo of something else does "
            "not show how the content should look, so colours and textures land where they do not belong.",
            {name: METHODS[name] for name in ("fastphoto", "gatys-photo", "cnnmrf", "pitie")},
            "unrelated",
        ),
        "confused-regions": Figure(
            "Failures: confused regions",
            "The method trusts its masks: a sky that the masks call land gets the look of land.",
            {
                "given": replace(_FASTPHOTO, title="regions as drawn"),
                "confused": replace(_FASTPHOTO, title="regions confused", redraw=swapped_regions),
                "none": replace(_FASTPHOTO, title="no regions", by_region=False),
            },
        ),
        **{
            name: Figure(question.title, _QUESTION_TEXTS[name], question.variants)
            for name, question in QUESTIONS.items()
        },
    }
)
"""The figures by name, in the order of the page."""
