"""The outcome of a user study: mean answers for each method, their confidence intervals, and two bar charts."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fastphoto.errors import InputError
from fastphoto.reports.page import Column, Page
from fastphoto.reports.study import HIGHEST, LOWEST, QUESTIONS, Answer, Question
from fastphoto.runtime.files import make_folder, write_text

CONFIDENCE = 0.95
RESAMPLES = 9999

_HEADINGS = {"photorealism": "Photorealism", "faithfulness": "Faithfulness to the style"}
_ENDS = {
    "photorealism": ("1\ndefinitely not\nphotorealistic", "4\ndefinitely\nphotorealistic"),
    "faithfulness": ("1\ndefinitely not\nfaithful", "4\ndefinitely\nfaithful"),
}
# Drawn in colours that nothing else has and then given the page's own, which follow its theme.
_INK, _BAR, _GRID = "#010203", "#040506", "#070809"
_THEME = {_INK: "currentColor", _BAR: "var(--accent)", _GRID: "var(--line)"}


@dataclass(frozen=True)
class Score:
    """The mean answer to one question about one method, with its 95 % confidence interval where there is one."""

    mean: float
    low: float | None
    high: float | None
    answers: int
    participants: int
    resampled: Literal["participants", "answers", ""]
    """What the bootstrap drew: participants, answers where one participant gave them all, or nothing for one answer."""


def score(answers: Iterable[Answer], question: Question) -> Score | None:
    """The mean of one question's answers and its 95 % confidence interval; None without an answer.

    The interval is a percentile bootstrap (Efron 1979) of 9999 resamples with a fixed seed. It draws participants with
    replacement, each with all its answers, since answers of one person are not independent; the mean is that of all
    answers drawn. Where a single participant gave all answers, answers are drawn instead, and the interval then says
    nothing about other people. A single answer has no interval.
    """
    from scipy.stats import bootstrap  # here, for it takes a second to load

    ratings: dict[str, list[int]] = {}
    for answer in answers:
        value = getattr(answer, question)
        if value is not None:
            ratings.setdefault(answer.participant, []).append(value)
    if not ratings:
        return None
    drawn = [[value] for values in ratings.values() for value in values] if len(ratings) == 1 else ratings.values()
    sums = np.array([float(sum(values)) for values in drawn])
    counts = np.array([float(len(values)) for values in drawn])
    low = high = None
    if len(sums) > 1:
        interval = bootstrap(
            (sums, counts),
            lambda sums, counts, axis=-1: sums.sum(axis) / counts.sum(axis),
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            random_state=np.random.default_rng(0),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    resampled = "" if low is None else "answers" if len(ratings) == 1 else "participants"
    return Score(float(sums.sum() / counts.sum()), low, high, int(counts.sum()), len(ratings), resampled)


def chart_answers(answers: Sequence[Answer], output: Path, titles: Mapping[str, str] | None = None) -> Path:
    """Write a folder with `scores.html`, the two bar charts of a study, and `scores.csv`, their numbers.

    The charts show, for each method, the mean photorealism and the mean faithfulness to the style with 95 % confidence
    intervals (see `score`) and the number of answers; methods are in the order of their photorealism.
    titles: of methods, as `method_titles` reads them; others are shown by name. The same call writes the same bytes.

    Returns the page's path. Raises InputError without answers or without matplotlib, and FileError where writing fails.
    """
    try:
        import matplotlib  # noqa: F401  (an optional package: what is missing is said before any work)
    except ImportError:
        raise InputError("charts need matplotlib: pip install fastphoto[study]") from None
    methods = sorted({answer.method for answer in answers})
    scores = {
        question: {m: score((a for a in answers if a.method == m), question) for m in methods} for question in QUESTIONS
    }
    if not any(found for by_method in scores.values() for found in by_method.values()):
        raise InputError("answers: none given; read those of at least one participant")

    def realism(method: str) -> float:
        found = scores["photorealism"][method]
        return -found.mean if found else 0.0

    methods.sort(key=realism)
    names = {method: (titles or {}).get(method, method) for method in methods}
    output = Path(output)
    make_folder(output)
    write_text(output / "scores.csv", _table_text(methods, scores))
    page = _scores_page(answers, methods, names, scores)
    page.write(output / "scores.html")
    return output / "scores.html"


def _scores_page(
    answers: Sequence[Answer],
    methods: Sequence[str],
    names: Mapping[str, str],
    scores: Mapping[Question, Mapping[str, Score | None]],
) -> Page:
    counts = [
        _counted(len({answer.participant for answer in answers}), "participant"),
        _counted(len({answer.pair for answer in answers}), "photo pair"),
        _counted(len(methods), "method"),
        _counted(len(answers), "rated result"),
    ]
    page = Page(
        "User study: photorealism and faithfulness to the style",
        f"{', '.join(counts)}. Results were seen one at a time, in each participant's own order and without the "
        "methods' names, beside the style photo and the original.",
    )
    page.section("Mean answers")
    for question in QUESTIONS:
        bars = [(names[m], found) for m in methods if (found := scores[question][m])]
        if bars:
            page.svg(_bar_chart(question, bars), f"{_HEADINGS[question]}: mean, 95 % confidence interval, n answers")
        else:
            page.paragraph(f"{_HEADINGS[question]}: nobody answered this question.")
    page.section("Numbers")
    columns = ["method"]
    for question in QUESTIONS:
        columns += [Column(question, best="high", format=".2f"), "from", "to", "n"]
    rows = [[names[m], *(cell for q in QUESTIONS for cell in _cells(scores[q][m]))] for m in methods]
    page.table(columns, rows, caption="Mean, 95 % confidence interval and number of answers for both questions")
    page.section("How the intervals were computed", _explained(scores))
    return page


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cells(found: Score | None) -> list[Any]:
    return [found.mean, found.low, found.high, found.answers] if found else [None, None, None, 0]


def _explained(scores: Mapping[Question, Mapping[str, Score | None]]) -> str:
    resampled = {found.resampled for by_method in scores.values() for found in by_method.values() if found}
    text = [f"95 % percentile bootstrap, {RESAMPLES} resamples with a fixed seed."]
    if "participants" in resampled:
        text.append(
            "Participants were drawn with replacement, each with all answers given, since one person's answers are not "
            "independent: the intervals tell what other participants would say about the same photo pairs. With fewer "
            "than about ten participants they are too narrow."
        )
    if "answers" in resampled:
        text.append(
            "Where one participant alone rated a method, single answers were drawn instead: such an interval tells how "
            "that person's ratings vary from pair to pair, and nothing about other people."
        )
    if "" in resampled:
        text.append("A method with a single answer has no interval.")
    return " ".join(text)


def _bar_chart(question: Question, scores: Sequence[tuple[str, Score]]) -> str:
    """SVG of one horizontal bar a method, narrow enough to be read on a phone."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {
        "svg.hashsalt": "fastphoto",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 11,
        "text.parse_math": False,  # a $ in a method's name is a $
        "text.color": _INK,
    }
    with rc_context(settings):
        figure = Figure(figsize=(4.4, 0.9 + 0.62 * len(scores)), layout="constrained")
        FigureCanvasSVG(figure)
        axis = figure.add_subplot()
        for row, (_, found) in enumerate(scores):
            axis.barh(row, found.mean - LOWEST, left=LOWEST, height=0.56, color=_BAR, alpha=0.6)
            if found.low is not None and found.high is not None:
                whisker = [[found.mean - found.low], [found.high - found.mean]]
                axis.errorbar(found.mean, row, xerr=whisker, fmt="none", ecolor=_INK, capsize=4, elinewidth=1.5)
            axis.text(HIGHEST + 0.08, row, f"{found.mean:.2f}", va="center")
        axis.set_yticks(range(len(scores)), [_bar_label(name, found) for name, found in scores], color=_INK)
        first, last = _ENDS[question]
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


def _bar_label(name: str, found: Score) -> str:
    return "\n".join([*textwrap.wrap(name, 20, max_lines=2, placeholder=" …"), f"n = {found.answers}"])


def _table_text(methods: Sequence[str], scores: Mapping[Question, Mapping[str, Score | None]]) -> str:
    """scores.csv: a row for each method, numbers as they are."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    parts = ("mean", "low", "high", "answers", "participants", "resampled")
    table.writerow(["method", *(f"{question}_{part}" for question in QUESTIONS for part in parts)])
    for method in methods:
        row: list[Any] = [method]
        for question in QUESTIONS:
            found = scores[question][method]
            row += [getattr(found, part) for part in parts] if found else ["", "", "", 0, 0, ""]
        table.writerow(row)
    return stream.getvalue()
