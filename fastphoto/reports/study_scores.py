"""The outcome of a user study: a page with two bar charts of mean answers, and a table of their numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastphoto.errors import InputError
from fastphoto.reports.page import Page
from fastphoto.reports.page_tables import Cell, Column
from fastphoto.reports.study_agreement import ResultScores, add_agreement
from fastphoto.reports.study_answers import QUESTIONS, Answer, Question
from fastphoto.reports.study_bar_chart import check_matplotlib, draw_bar_chart
from fastphoto.reports.study_statistics import RESAMPLES, Score, score
from fastphoto.runtime.files import check_folder, text_writer, write_files

_HEADINGS = {"photorealism": "Photorealism", "faithfulness": "Faithfulness to the style"}

_ScoreTable = Mapping[Question, Mapping[str, Score | None]]  # by question and method; None: nobody answered


def chart_answers(
    answers: Sequence[Answer],
    output: Path,
    titles: Mapping[str, str] | None = None,
    result_scores: ResultScores | None = None,
) -> Path:
    """Write the outcome of a study: `scores.html` with two bar charts, and `scores.csv` with their numbers.

    The charts show for each method the mean photorealism and the mean faithfulness to the style, with 95 % confidence
    intervals (see `score`) and the number of answers. Methods are sorted by their photorealism. The same arguments
    write the same bytes.

    Args:
        answers: all answers to the study, as `read_answers` returns them.
        output: folder to write; made if it does not exist.
        titles: titles of methods by name, as `method_titles` returns them; other methods are shown by their names.
        result_scores: scores of the results, as `scores_of_results` returns them; None: the page compares answers with
            no scores.

    Returns:
        The path of the page.

    Raises:
        InputError: no answers, or matplotlib is not installed.
        FileError: a file that cannot be written.

    Example:
        >>> from fastphoto.reports.study_answers import method_titles, read_answers, scores_of_results
        >>> key = Path("study/key.json")
        >>> answers = read_answers(key, [Path("answers-1.json"), Path("answers-2.json")])  # doctest: +SKIP
        >>> chart_answers(answers, Path("charts"), method_titles(key), scores_of_results(key))  # doctest: +SKIP
        PosixPath('charts/scores.html')
    """
    check_matplotlib()
    methods = sorted({answer.method for answer in answers})
    scores = {
        question: {m: score((a for a in answers if a.method == m), question) for m in methods} for question in QUESTIONS
    }
    if not any(one for by_method in scores.values() for one in by_method.values()):
        raise InputError("answers: none given; give the answers of at least one participant")

    def sort_key(method: str) -> float:
        photorealism = scores["photorealism"][method]
        return -photorealism.mean if photorealism else 0.0

    methods.sort(key=sort_key)
    shown_titles = {method: (titles or {}).get(method, method) for method in methods}
    folder = check_folder(output, ["scores.csv", "scores.html"])
    page = _scores_page(answers, shown_titles, scores)
    add_agreement(page, answers, shown_titles, result_scores or {})
    texts = {"scores.csv": _csv_text(methods, scores), "scores.html": page.html()}
    write_files({folder / name: text_writer(text) for name, text in texts.items()})
    return folder / "scores.html"


def _scores_page(answers: Sequence[Answer], titles: Mapping[str, str], scores: _ScoreTable) -> Page:
    """Return the page; `titles` has all methods, in the order of the charts."""
    counts = [
        _counted(len({answer.participant for answer in answers}), "participant"),
        _counted(len({answer.pair for answer in answers}), "photo pair"),
        _counted(len(titles), "method"),
        _counted(len(answers), "rated result"),
    ]
    page = Page(
        "User study: photorealism and faithfulness to the style",
        f"{', '.join(counts)}. Each participant saw the results one at a time in a random order, without the names of "
        "the methods, beside the style photo and the original.",
    )
    page.section("Mean answers")
    for question in QUESTIONS:
        bars = [(title, one) for method, title in titles.items() if (one := scores[question][method])]
        if bars:
            caption = f"{_HEADINGS[question]}: mean with 95 % confidence interval; n is the number of answers"
            page.svg(draw_bar_chart(question, bars), caption)
        else:
            page.paragraph(f"{_HEADINGS[question]}: nobody answered this question.")
    page.section("Numbers")
    columns: list[str | Column] = ["method"]
    for question in QUESTIONS:
        columns += [Column(question, best="high", format=".2f"), "from", "to", "n"]
    rows = [
        [title, *(cell for question in QUESTIONS for cell in _cells(scores[question][method]))]
        for method, title in titles.items()
    ]
    page.table(columns, rows, caption="Mean, 95 % confidence interval and number of answers for both questions")
    page.section("How the intervals were computed", _intervals_explained(scores))
    return page


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cells(score: Score | None) -> list[Cell]:
    return [score.mean, score.low, score.high, score.answers] if score else [None, None, None, 0]


def _intervals_explained(scores: _ScoreTable) -> str:
    resampled = {one.resampled for by_method in scores.values() for one in by_method.values() if one}
    text = [f"The intervals are 95 % percentile bootstraps of {RESAMPLES} resamples with a fixed seed."]
    if "participants" in resampled:
        text.append(
            "Participants were drawn with replacement, each with all of their answers, because answers of one person "
            "are not independent. The intervals therefore show what other participants might say about the same photo "
            "pairs. With fewer than about ten participants they are too narrow."
        )
    if "answers" in resampled:
        text.append(
            "If only one participant rated a method, single answers were drawn instead. Such an interval shows how "
            "this person's ratings vary from pair to pair, and says nothing about other people."
        )
    if "" in resampled:
        text.append("A method with a single answer has no interval.")
    return " ".join(text)


def _csv_text(methods: Sequence[str], scores: _ScoreTable) -> str:
    """Return scores.csv: a row for each method, with unrounded numbers."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    fields = ("mean", "low", "high", "answers", "participants", "resampled")
    writer.writerow(["method", *(f"{question}_{name}" for question in QUESTIONS for name in fields)])
    for method in methods:
        row: list[Cell] = [method]
        for question in QUESTIONS:
            one = scores[question][method]
            row += [getattr(one, name) for name in fields] if one else ["", "", "", 0, 0, ""]
        writer.writerow(row)
    return stream.getvalue()
