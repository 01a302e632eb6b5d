"""The result of one method on one photo pair, and how tables and galleries show it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastphoto.errors import printable
from fastphoto.evaluation.scores import PUBLISHED_SIZE, Evaluation
from fastphoto.methods.registry import Method, RunOptions
from fastphoto.reports.page_tables import Cell, Column


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one method on one photo pair, measured and scored."""

    method: Method
    pixels: Tensor  # (3, h, w), sRGB in [0, 1]
    seconds: float  # running time of the method, without reading photos and without measuring
    evaluation: Evaluation
    options: RunOptions  # that the method ran with; the device is that which "auto" was

    def settings(self) -> dict[str, Any]:
        """Return all that the result depends on beside the photos, by name; transfers of colour ignore the options."""
        described = self.method.as_dict()
        if self.method.preset is not None:
            described |= {"encoder": self.options.encoder, "device": str(self.options.device)}
            described["seed"] = self.options.seed
            if self.options.weights is not None:
                described["weights"] = printable(os.path.basename(self.options.weights))
        return described


RESULT_COLUMNS = (
    Column("Method"),
    Column("stains", "low", ".2f"),
    Column("look", "low", ".2f"),
    Column("photorealism", "low", ".2f"),
    Column("style", "low", ".2f"),
    Column("seconds", "low", ".1f"),
    Column("stains, ΔE", "low", ".2f"),
    Column("look, ΔE", "low", ".2f"),
    Column("invented, ΔE", "low", ".2f"),
    Column("affine", "low", ".2f"),
    Column("edges", "high", ".3f"),
    Column("SSIM", "high", ".3f"),
    Column("contrast", "low", ".3f"),
    Column("Gram", "low", ".3f"),
)
"""The columns of a table that has a `result_row` for each result."""

TABLE_CAPTION = "Lower is better, except for edges and SSIM. Click a heading to sort."

SCORES_EXPLAINED = (
    "Stains are colour that no local recolouring of the content explains: the fewer, the better a photograph. Look is "
    "how far the colours of the regions are from the style's. These two agree with the eye. An unchanged content has "
    "few stains, so judge a method by both together.\n\n"
    "The published method aims at the other two scores. Photorealism is how far the result is from an affine map of "
    "each 3x3 window of the content, and how much its edges have changed. Style is how far the Gram matrices, colours "
    "and local contrast of the regions are from the style's. A low style score can be bought with stains, so it says "
    "nothing of quality by itself: of two results, that with the nearer Gram matrices was mostly the worse photograph."
)


def reference_explained(long_sides: Iterable[int]) -> str:
    """Say what a score of 1.00 is, in words that go on after "Scores are ratios: lower is better".

    Args:
        long_sides: long sides in pixels that the photos were measured at; the published results were at 350.

    Example:
        >>> reference_explained([350, 350])
        ', and 1.00 is the median of the results that Deep Photo Style Transfer published.'
    """
    median = "the median of the results that Deep Photo Style Transfer published"
    least, most = min(sides := list(long_sides)), max(sides)
    if least == most == PUBLISHED_SIZE:
        return f", and 1.00 is {median}."
    measured = f"{least} to {most}" if least < most else f"{least}"
    return (
        f". They were measured at {measured} pixels, so compare them with one another alone. Only at {PUBLISHED_SIZE} "
        f"pixels is 1.00 {median}."
    )


def result_row(result: Result) -> list[Cell]:
    """Return title, scores, seconds and measures of a result, for `RESULT_COLUMNS`."""
    s, m = result.evaluation.scores, result.evaluation.measures
    scores = [s.stains, s.look, s.photorealism, s.style]
    measures = [m.stains, m.look, m.invented, m.affine, m.edge, m.ssim, m.contrast, m.gram]
    return [result.method.title, *scores, result.seconds, *measures]


def scores_note(result: Result) -> str:
    """Return the scores of a result that agree with the eye, as shown below its picture."""
    scores = result.evaluation.scores
    return f"stains {scores.stains:.2f}, look {scores.look:.2f}"
