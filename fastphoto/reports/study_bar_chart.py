"""The bar chart of one question of a user study, drawn by matplotlib as SVG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

from fastphoto.errors import InputError
from fastphoto.reports.study_answers import HIGHEST, LOWEST, Question
from fastphoto.reports.study_statistics import Score

_END_LABELS = {
    "photorealism": ("1\ndefinitely not\nphotorealistic", "4\ndefinitely\nphotorealistic"),
    "faithfulness": ("1\ndefinitely not\nfaithful", "4\ndefinitely\nfaithful"),
}
# matplotlib draws in these colours, which it uses for nothing else; the colours of the page's theme then replace them.
_INK, _BAR, _GRID = "#010203", "#040506", "#070809"
_THEME = {_INK: "currentColor", _BAR: "var(--accent)", _GRID: "var(--line)"}


def check_matplotlib() -> None:
    """Raise InputError if matplotlib, an optional package, is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError("charts need matplotlib: pip install fastphoto[study]") from None


def draw_bar_chart(question: Question, scores: Sequence[tuple[str, Score]]) -> str:
    """Return the SVG of a chart with one horizontal bar for each (title, score), narrow enough for a phone."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(
        {
            "svg.hashsalt": "fastphoto",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 11,
            "text.parse_math": False,  # a $ in the name of a method is a $
            "text.color": _INK,
        }
    ):
        figure = Figure(figsize=(4.4, 0.9 + 0.62 * len(scores)), layout="constrained")
        FigureCanvasSVG(figure)
        axis = figure.add_subplot()
        for row, (_, score) in enumerate(scores):
            axis.barh(row, score.mean - LOWEST, left=LOWEST, height=0.56, color=_BAR, alpha=0.6)
            if score.low is not None and score.high is not None:
                whisker = [[score.mean - score.low], [score.high - score.mean]]
                axis.errorbar(score.mean, row, xerr=whisker, fmt="none", ecolor=_INK, capsize=4, elinewidth=1.5)
            axis.text(HIGHEST + 0.08, row, f"{score.mean:.2f}", va="center")
        axis.set_yticks(range(len(scores)), [_bar_label(title, score) for title, score in scores], color=_INK)
        first, last = _END_LABELS[question]
        axis.set_xticks(range(LOWEST, HIGHEST + 1), [first, "2", "3", last], color=_INK, fontsize=9)
        axis.set_xlim(LOWEST, HIGHEST + 0.5)
        axis.invert_yaxis()
        axis.grid(axis="x", color=_GRID)
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    for drawn, themed in _THEME.items():
        text = text.replace(drawn, themed)
    return text


def _bar_label(title: str, score: Score) -> str:
    return "\n".join([*textwrap.wrap(title, 20, max_lines=2, placeholder=" …"), f"n = {score.answers}"])
