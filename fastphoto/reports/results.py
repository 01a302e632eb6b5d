"""The result of one method on one photo pair, and how tables and galleries show it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fastphoto.evaluation.scores import Evaluation
from fastphoto.methods.registry import Method
from fastphoto.reports.page_tables import Cell, Column


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one method on one photo pair, measured and scored."""

    method: Method
    pixels: Tensor  # (3, h, w), sRGB in [0, 1]
    seconds: float  # running time of the method, without reading photos and without measuring
    evaluation: Evaluation


RESULT_COLUMNS = (
    Column("Method"),
    Column("style", "low", ".2f"),
    Column("photorealism", "low", ".2f"),
    Column("worse of both", "low", ".2f"),
    Column("Gram", "low", ".3f"),
    Column("colour", "low", ".2f"),
    Column("contrast", "low", ".3f"),
    Column("affine", "low", ".2f"),
    Column("edges", "high", ".3f"),
    Column("SSIM", "high", ".3f"),
    Column("seconds", "low", ".1f"),
)
"""The columns of a table that has a `result_row` for each result."""

TABLE_CAPTION = "Lower is better, except for edges and SSIM. Click a heading to sort."

SCORES_EXPLAINED = (
    "The style score measures how far the Gram matrices, colours and local contrast of the regions are from the "
    "style's. The photorealism score measures how far the result is from a local recolouring of the content, and how "
    "much its edges have changed. An unchanged content is perfectly photorealistic, so judge a method by both scores "
    "together."
)


def result_row(result: Result) -> list[Cell]:
    """Return title, scores, measures and seconds of a result, for `RESULT_COLUMNS`."""
    s, m = result.evaluation.scores, result.evaluation.measures
    scores = [s.style, s.photorealism, max(s.style, s.photorealism)]
    measures = [m.gram, m.colour, m.contrast, m.affine, m.edge, m.ssim]
    return [result.method.title, *scores, *measures, result.seconds]


def scores_note(result: Result) -> str:
    """Return the two scores of a result, as shown below its picture."""
    scores = result.evaluation.scores
    return f"style {scores.style:.2f}, photorealism {scores.photorealism:.2f}"
