"""Grades of a blind panel: the key to its letters, the files that graders filled in, and their statistics."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, bootstrap

from fastphoto.errors import FileError, InputError, error_text, printable
from fastphoto.reports.study_json import read_json_object
from fastphoto.reports.study_statistics import CONFIDENCE, RESAMPLES

QUESTIONS = ("photograph", "look")
LOWEST, HIGHEST = 1, 5
GRADED = (*QUESTIONS, "rank")
COLUMNS = ("panel", "pair", "letter", *GRADED, "remark")
"""The columns of grades.csv; the id in "panel" shows that a key belongs to the grades."""


@dataclass(frozen=True)
class Key:
    """What the letters of a panel's sheets stand for."""

    panel: str
    candidates: list[str]  # names in the order of the tables
    pairs: dict[str, dict[str, str]]  # pair -> letter -> name of the candidate


@dataclass(frozen=True)
class Grade:
    """What one grader said about one picture."""

    grader: str
    pair: str
    candidate: str
    photograph: int
    look: int
    rank: int
    remark: str


@dataclass(frozen=True)
class Means:
    """The mean grades of one candidate, and how often it was ranked first and last."""

    candidate: str
    photograph: float
    look: float
    rank: float
    first: int
    last: int


@dataclass(frozen=True)
class Difference:
    """The mean difference of two candidates, with its 95 % interval; a single pair has no interval."""

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" ({self.low:+.2f} to {self.high:+.2f})"
        return f"{self.mean:+.2f}{interval}"


@dataclass(frozen=True)
class Comparison:
    """One candidate compared with another: differences of their grades, candidate minus other."""

    candidate: str
    other: str
    photograph: Difference
    look: Difference
    rank: Difference
    above: int  # pairs on which the candidate has the better mean rank
    below: int  # pairs on which the other has it
    sign_test: float  # two-sided probability of such unequal counts if both were equally good; equal ranks left out


def read_key(path: Path) -> Key:
    """Read the key that was written with the sheets; raises FileError or InputError if that fails."""
    fields = read_json_object(path)
    try:
        key = Key(fields["panel"], fields["candidates"], fields["pairs"])
        if key.pairs and all(sorted(letters.values()) == sorted(key.candidates) for letters in key.pairs.values()):
            return key
    except (KeyError, TypeError, AttributeError):
        pass
    raise InputError(f"{printable(path)}: is not the key of a panel; give the file that blind_panel.py sheets wrote")


def empty_grades(key: Key) -> str:
    """Return the text of grades.csv before anybody filled it in: a line for each picture."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair, letters in key.pairs.items():
        writer.writerows([key.panel, pair, letter, *[""] * (len(COLUMNS) - 3)] for letter in letters)
    return stream.getvalue()


def read_grades(path: Path, key: Key) -> list[Grade]:
    """Read the file that one grader filled in, as a program for tables saved it: comma, semicolon or tab between cells.

    Args:
        path: path of the file.
        key: key of the panel.

    Returns:
        A grade for every picture of the panel.

    Raises:
        FileError: the file cannot be read.
        InputError: the first thing that is wrong with it: a column or picture that is missing, a picture that is not of
            this panel or is graded twice, a grade out of range, or ranks of a pair that are not 1, 2, 3, ... each once.
    """
    file = printable(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not text in UTF-8; save it as CSV in UTF-8") from None
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror})") from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="rest", restval="")
    grades: dict[tuple[str, str], Grade] = {}
    try:
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise InputError(f"{file}: column {missing[0]!r} is missing; keep the first line of grades.csv")
        for row in rows:
            cells = {column: row[column].strip() for column in COLUMNS}
            unquoted = [cells["remark"], *row.get("rest", [])]  # a remark with delimiters, from a text editor
            cells["remark"] = delimiter.join(unquoted).rstrip(delimiter)
            if not any(cells.values()):
                continue
            grade = _checked_grade(file, cells, key)
            if grades.setdefault((grade.pair, grade.candidate), grade) is not grade:
                raise InputError(f"{_place(file, cells)}: has two lines; keep one")
    except csv.Error as error:
        raise InputError(f"{file}: is not CSV ({error_text(error)})") from error
    for pair, letters in key.pairs.items():
        if lacking := [letter for letter, name in letters.items() if (pair, name) not in grades]:
            raise InputError(f"{file}: pair {pair}, letter {lacking[0]}: has no line; grade every picture of the panel")
        ranks = [grades[pair, name].rank for name in letters.values()]
        if sorted(ranks) != list(range(1, len(letters) + 1)):
            raise InputError(
                f"{file}: pair {pair}: the ranks of {', '.join(letters)} are {', '.join(map(str, ranks))}; "
                f"give each from 1 to {len(letters)} once"
            )
    return list(grades.values())


def _checked_grade(file: str, cells: Mapping[str, str], key: Key) -> Grade:
    """Return the grade that one line of a file holds."""
    pair, letter, place = cells["pair"], cells["letter"], _place(file, cells)
    if cells["panel"] != key.panel:
        raise InputError(
            f"{place}: is of panel {cells['panel']!r}, the key of {key.panel!r}; give the key of these grades"
        )
    if letter not in key.pairs.get(pair, {}):
        raise InputError(f"{place}: is not in the panel; keep the columns pair and letter of grades.csv")

    def number(column: str, lowest: int, highest: int) -> int:
        text = cells[column]
        if text not in map(str, range(lowest, highest + 1)):
            got = repr(text[:20]) if text else "nothing"
            raise InputError(f"{place}: {column} must be a whole number from {lowest} to {highest}, got {got}")
        return int(text)

    return Grade(
        grader=file,
        pair=pair,
        candidate=key.pairs[pair][letter],
        photograph=number("photograph", LOWEST, HIGHEST),
        look=number("look", LOWEST, HIGHEST),
        rank=number("rank", 1, len(key.candidates)),
        remark=cells["remark"],
    )


def _place(file: str, cells: Mapping[str, str]) -> str:
    return f"{file}: pair {cells['pair']}, letter {cells['letter']}"


def candidate_means(key: Key, grades: Sequence[Grade]) -> list[Means]:
    """Return the means of each candidate over pairs and graders, in the order of the key."""
    rows = []
    for name in key.candidates:
        own = [grade for grade in grades if grade.candidate == name]
        photograph, look, rank = (float(np.mean([getattr(grade, column) for grade in own])) for column in GRADED)
        first, last = (sum(grade.rank == place for grade in own) for place in (1, len(key.candidates)))
        rows.append(Means(name, photograph, look, rank, first, last))
    return rows


def compare_candidates(key: Key, grades: Sequence[Grade]) -> list[Comparison]:
    """Return the differences between each two candidates, in the order of the key.

    Pairs are drawn and counted, each with the mean of its graders, because what graders say about one sheet is not
    independent. So intervals and test are about other photos, not about other graders.
    """
    by_pair = {
        (name, column): np.array(
            [
                np.mean([getattr(grade, column) for grade in grades if (grade.pair, grade.candidate) == (pair, name)])
                for pair in key.pairs
            ]
        )
        for name in key.candidates
        for column in GRADED
    }
    comparisons = []
    for name, other in itertools.combinations(key.candidates, 2):
        photograph, look, rank = (by_pair[name, column] - by_pair[other, column] for column in GRADED)
        above, below = int((rank < 0).sum()), int((rank > 0).sum())
        sign_test = float(binomtest(above, above + below).pvalue) if above + below else 1.0
        means = _mean_difference(photograph), _mean_difference(look), _mean_difference(rank)
        comparisons.append(Comparison(name, other, *means, above, below, sign_test))
    return comparisons


def _mean_difference(values: np.ndarray) -> Difference:
    """Return the mean of differences by pair, with its percentile bootstrap interval (Efron 1979)."""
    if len(values) == 1:
        return Difference(float(values[0]), None, None)
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Difference(float(values.mean()), float(interval.low), float(interval.high))
