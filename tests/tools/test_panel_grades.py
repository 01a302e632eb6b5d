"""Grades of the blind panel: the tables that the tool makes of them, and what it refuses."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tool_command import refusal, run_tool


@pytest.fixture
def tool(tools: None) -> ModuleType:
    return importlib.import_module("blind_panel")


LETTERED = {
    "1": {"A": "maple", "B": "spruce", "C": "walnut"},
    "2": {"A": "walnut", "B": "maple", "C": "spruce"},
    "3": {"A": "spruce", "B": "walnut", "C": "maple"},
    "4": {"A": "maple", "B": "walnut", "C": "spruce"},
}
GRADES = {  # by candidate: photograph, look and rank on the four pairs
    "maple": ([5, 5, 4, 3], [3, 3, 3, 3], [1, 1, 1, 2]),
    "spruce": ([4, 4, 3, 2], [5, 4, 3, 2], [2, 2, 3, 1]),
    "walnut": ([1, 1, 2, 1], [1, 1, 1, 4], [3, 3, 2, 3]),
}
KEY = {"panel": "panel-0", "seed": 0, "candidates": ["maple", "spruce", "walnut"], "pairs": LETTERED}


def graded_rows() -> list[list[str]]:
    """Return the lines of a grades.csv that holds GRADES."""
    rows = [["panel", "pair", "letter", "photograph", "look", "rank", "remark"]]
    for number, (pair, letters) in enumerate(LETTERED.items()):
        for letter, name in letters.items():
            values = [str(column[number]) for column in GRADES[name]]
            rows.append(["panel-0", pair, letter, *values, f"{name}, seen"])
    return rows


def write_grades(path: Path, rows: list[list[str]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key.json").write_text(json.dumps(KEY))
    return tmp_path / "key.json"


def test_table_has_means_and_ranks_of_each_candidate(tool, tmp_path, key, capsys):
    run_tool(tool, "table", write_grades(tmp_path / "grades.csv", graded_rows()), "--key", key)
    assert capsys.readouterr().out.splitlines()[:5] == [
        "| | is a photograph | has the look | mean rank | first / last of 4 |",
        "|---|---|---|---|---|",
        "| maple | 4.25 | 3.00 | 1.25 | 3 / 0 |",
        "| spruce | 3.25 | 3.50 | 2.00 | 1 / 1 |",
        "| walnut | 1.25 | 1.75 | 2.75 | 0 / 3 |",
    ]


def test_table_compares_each_two_candidates(tool, tmp_path, key, capsys):
    """The photograph grades of maple are one above those of spruce on every pair, so the interval is that number.

    Maple ranks above spruce on three pairs of four: twice the probability of at least 3 of 4 fair coins is 10 / 16.
    Maple ranks above walnut on all four: 2 / 16.
    """
    run_tool(tool, "table", write_grades(tmp_path / "grades.csv", graded_rows()), "--key", key)
    lines = capsys.readouterr().out.splitlines()[5:]
    assert lines[1].startswith(
        "| difference (95 % interval over 4 pairs) | is a photograph | has the look | mean rank |"
    )
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[3:]]
    assert [row[0] for row in cells] == ["maple - spruce", "maple - walnut", "spruce - walnut"]
    assert cells[0][1] == "+1.00 (+1.00 to +1.00)"
    assert [row[4:] for row in cells[:2]] == [["3 / 1", "p = 0.62"], ["4 / 0", "p = 0.12"]]
    assert cells[1][2].startswith("+1.25 (") and cells[0][3].startswith("-0.75 (")


def record_of(tool: ModuleType, folder: Path, key: Path, rows: list[list[str]]) -> dict[str, Any]:
    """The JSON that `table` writes for one grader."""
    run_tool(tool, "table", write_grades(folder / "grades.csv", rows), "--key", key, "--json", folder / "all.json")
    record: dict[str, Any] = json.loads((folder / "all.json").read_text())
    return record


def test_intervals_are_bootstraps_over_pairs(tool, tmp_path, key):
    """The look of maple minus that of spruce is -2, -1, 0 and 1: all means of four draws can be counted."""
    look = record_of(tool, tmp_path, key, graded_rows())["comparisons"][0]["look"]
    draws = np.array(np.meshgrid(*[[-2, -1, 0, 1]] * 4)).reshape(4, -1).mean(0)
    # Means are quarters. The bound may be the next one, because 2.5 % of random draws is not 2.5 % of all.
    expected = np.quantile(draws, [0.025, 0.975])
    assert look["mean"] == -0.5
    assert [look["low"], look["high"]] == pytest.approx(expected, abs=0.25)


def test_several_files_are_several_graders(tool, tmp_path, key, capsys):
    """The second grader swaps the ranks of maple and spruce, and gives walnut a better look."""
    rows = graded_rows()
    for row in rows[1:]:
        name = LETTERED[row[1]][row[2]]
        other = {"maple": "spruce", "spruce": "maple", "walnut": "walnut"}[name]
        row[5] = str(GRADES[other][2][int(row[1]) - 1])
        row[4] = "5" if name == "walnut" else row[4]
    files = write_grades(tmp_path / "one.csv", graded_rows()), write_grades(tmp_path / "two.csv", rows)
    run_tool(tool, "table", *files, "--key", key, "--json", tmp_path / "all.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("first / last of 8 |")
    assert lines[2:5] == [
        "| maple | 4.25 | 3.00 | 1.62 | 4 / 1 |",
        "| spruce | 3.25 | 3.50 | 1.62 | 4 / 1 |",
        "| walnut | 1.25 | 3.38 | 2.75 | 0 / 6 |",
    ]
    assert lines[8].endswith("| +0.00 (+0.00 to +0.00) | 0 / 0 | p = 1 |"), "equal mean ranks count for one of the two"
    record = json.loads((tmp_path / "all.json").read_text())
    assert {grade["grader"] for grade in record["grades"]} == set(map(str, files)) and len(record["grades"]) == 24


def test_the_sign_test_leaves_out_equal_ranks(tool, tmp_path, key, capsys):
    """The second grader swaps maple and walnut on pair 1: three pairs are left, all for maple, 2 / 8."""
    rows = graded_rows()
    rows[1][5], rows[3][5] = rows[3][5], rows[1][5]
    files = write_grades(tmp_path / "one.csv", graded_rows()), write_grades(tmp_path / "two.csv", rows)
    run_tool(tool, "table", *files, "--key", key)
    assert capsys.readouterr().out.splitlines()[-2].endswith("| 3 / 0 | p = 0.25 |")


def test_json_has_the_numbers_and_the_remarks_with_names(tool, tmp_path, key):
    record = record_of(tool, tmp_path, key, graded_rows())
    assert record["means"][0] == {
        "candidate": "maple",
        "photograph": 4.25,
        "look": 3.0,
        "rank": 1.25,
        "first": 3,
        "last": 0,
    }
    assert record["comparisons"][0]["sign_test"] == pytest.approx(10 / 16)
    assert len(record["grades"]) == 12
    assert all(grade["remark"] == f"{grade['candidate']}, seen" for grade in record["grades"])


def test_a_single_pair_has_no_interval(tool, tmp_path, key, capsys):
    key.write_text(json.dumps(KEY | {"pairs": {"1": LETTERED["1"]}}))
    run_tool(tool, "table", write_grades(tmp_path / "grades.csv", graded_rows()[:4]), "--key", key)
    cells = [line.split(" | ")[1:4] for line in capsys.readouterr().out.splitlines()[-3:]]
    assert cells == [["+1.00", "-2.00", "-1.00"], ["+4.00", "+2.00", "-2.00"], ["+3.00", "+4.00", "-1.00"]]


def test_the_file_of_the_sheets_can_be_filled_in_and_read(tool, tmp_path, key):
    panel_grades = importlib.import_module("panel_grades")
    read = panel_grades.read_key(key)
    rows = list(csv.reader(panel_grades.empty_grades(read).splitlines()))
    for row, filled in zip(rows, graded_rows(), strict=True):
        assert row[:3] == filled[:3]
        row[3:] = filled[3:]
    grades = panel_grades.read_grades(write_grades(tmp_path / "grades.csv", rows), read)
    assert [grade.rank for grade in grades if grade.candidate == "walnut"] == GRADES["walnut"][2]


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8-sig", ","), ("utf-8", ";"), ("utf-8", "\t")], ids=["BOM", "semicolons", "tabs"]
)
def test_files_of_programs_for_tables_are_read(tool, tmp_path, key, capsys, encoding, delimiter):
    rows = [*graded_rows(), [""] * 7]
    rows[1][3] = f" {rows[1][3]} "
    run_tool(tool, "table", write_grades(tmp_path / "grades.csv", rows, encoding, delimiter), "--key", key)
    assert "| maple | 4.25 | 3.00 | 1.25 | 3 / 0 |" in capsys.readouterr().out


def test_a_remark_with_commas_needs_no_quotes(tool, tmp_path, key):
    first, *others = (",".join(row) for row in graded_rows())
    text = "\n".join([first, *(f"{line},," for line in others)])  # empty cells at the end are no remark
    (tmp_path / "grades.csv").write_text(text)
    run_tool(tool, "table", tmp_path / "grades.csv", "--key", key, "--json", tmp_path / "all.json")
    remarks = {grade["remark"] for grade in json.loads((tmp_path / "all.json").read_text())["grades"]}
    assert remarks == {f"{name}, seen" for name in GRADES}


# ---- what is refused


@pytest.mark.parametrize(
    ("line", "column", "value", "message"),
    [
        (2, 3, "", "pair 1, letter B: photograph must be a whole number from 1 to 5, got nothing"),
        (2, 3, "6", "pair 1, letter B: photograph must be a whole number from 1 to 5, got '6'"),
        (2, 3, "0", "pair 1, letter B: photograph must be a whole number from 1 to 5, got '0'"),
        (6, 4, "3.5", "pair 2, letter C: look must be a whole number from 1 to 5, got '3.5'"),
        (6, 4, "1" * 5000, "pair 2, letter C: look must be a whole number from 1 to 5, got '111"),
        (6, 5, "4", "pair 2, letter C: rank must be a whole number from 1 to 3, got '4'"),
        (1, 5, "2", "pair 1: the ranks of A, B, C are 2, 2, 3; give each from 1 to 3 once"),
        (3, 2, "B", "pair 1, letter B: has two lines; keep one"),
        (3, 2, "D", "pair 1, letter D: is not in the panel"),
        (3, 1, "9", "pair 9, letter C: is not in the panel"),
        (3, 0, "panel-1", "pair 1, letter C: is of panel 'panel-1', the key of 'panel-0'"),
        (0, 4, "looks", "column 'look' is missing; keep the first line of grades.csv"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_wrong_grades_are_refused_by_file_pair_and_letter(tool, tmp_path, key, capsys, line, column, value, message):
    good, bad = graded_rows(), graded_rows()
    bad[line][column] = value
    files = write_grades(tmp_path / "good.csv", good), write_grades(tmp_path / "bad.csv", bad)
    said = refusal(tool, capsys, "table", *files, "--key", key, "--json", tmp_path / "all.json")
    assert f"bad.csv: {message}" in said
    assert not (tmp_path / "all.json").exists()


def test_a_picture_without_a_line_is_refused(tool, tmp_path, key, capsys):
    rows = graded_rows()
    del rows[5]
    said = refusal(tool, capsys, "table", write_grades(tmp_path / "grades.csv", rows), "--key", key)
    assert "grades.csv: pair 2, letter B: has no line; grade every picture" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "column 'panel' is missing"),
        (
            "panel,pair,letter,photograph,look,rank,remark\npanel-0,1,A,1,1,1,zu grün".encode("latin-1"),
            "is not text in UTF-8",
        ),
        (None, "cannot be read (No such file or directory)"),
    ],
    ids=["empty", "not UTF-8", "missing"],
)
def test_files_without_grades_are_refused(tool, tmp_path, key, capsys, content, message):
    if content is not None:
        (tmp_path / "grades.csv").write_bytes(content)
    assert f"grades.csv: {message}" in refusal(tool, capsys, "table", tmp_path / "grades.csv", "--key", key)


def test_a_grader_named_twice_is_refused(tool, tmp_path, key, capsys):
    file = write_grades(tmp_path / "grades.csv", graded_rows())
    assert "grades: a file is named twice" in refusal(tool, capsys, "table", file, file, "--key", key)


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": {}},
        {"pairs": []},
        {"candidates": ["maple", "spruce"]},
        {"pairs": {"1": {"A": "maple"}}},
        {"pairs": None},
    ],
    ids=["no pairs", "a list of pairs", "another candidate", "a missing letter", "null"],
)
def test_other_files_are_no_keys(tool, tmp_path, key, capsys, changes):
    key.write_text(json.dumps(KEY | changes))
    file = write_grades(tmp_path / "grades.csv", graded_rows())
    assert "key.json: is not the key of a panel" in refusal(tool, capsys, "table", file, "--key", key)
