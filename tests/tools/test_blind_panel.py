"""The tool of the blind panel: its sheets, which give no name away, its key, and what it refuses."""

from __future__ import annotations

import csv
import importlib
import json
import struct
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rendered_photos import day, dusk
from tool_command import refusal, run_tool

PAIRS = ("2", "10")
CANDIDATES = {"maple": (200, 40, 40), "spruce": (40, 160, 60), "walnut": (50, 60, 200)}
HEIGHT, WIDTH, GAP, LINE = 48, 64, 8, 20  # pixels; LINE is that of the smallest letters


@pytest.fixture
def tool(tools: None) -> ModuleType:
    return importlib.import_module("blind_panel")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two pairs, in pairs/, and of results in one colour for each pair and candidate."""
    for number, pair in enumerate(PAIRS):
        write_picture(tmp_path / "pairs" / pair / "content.png", day(HEIGHT, WIDTH).array)
        write_picture(tmp_path / "pairs" / pair / "style.png", dusk(40, 200).array)
        for name in CANDIDATES:
            write_picture(tmp_path / name / f"{pair}.png", np.full((HEIGHT, WIDTH, 3), colour(name, number), np.uint8))
    return tmp_path


def write_picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def colour(name: str, pair_number: int) -> tuple[int, int, int]:
    red, green, blue = CANDIDATES[name]
    return red, green, blue + 20 * pair_number


def arguments(folder: Path, **changes: object) -> list[object]:
    """Return the arguments of `sheets` for all pairs and candidates."""
    chosen = {"out": folder / "out", "pairs": folder / "pairs", "key": folder / "key.json"} | changes
    places = chosen.pop("candidates", [f"{name}={folder / name}" for name in CANDIDATES])
    out = chosen.pop("out")
    options = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    return ["sheets", out, *options, *places]


def cell(sheet: Path, row: int, column: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return the picture in a row and column of a sheet, (height, width, 3)."""
    top, left = GAP + row * (height + LINE + GAP), GAP + column * (max(width, 80) + GAP) + (max(width, 80) - width) // 2
    return np.asarray(Image.open(sheet), np.int64)[top : top + height, left : left + width]


def read_key(folder: Path) -> dict:
    return json.loads((folder / "key.json").read_text())


# ---- sheets


def test_letters_are_the_candidates_that_the_key_names(tool, folder):
    run_tool(tool, *arguments(folder))
    key = read_key(folder)
    assert list(key["pairs"]) == list(PAIRS), "pairs are not in the order of their numbers"
    for number, pair in enumerate(PAIRS):
        sheet = folder / "out" / f"pair-{pair}.png"
        assert np.array_equal(cell(sheet, 0, 0), day(HEIGHT, WIDTH).array), "the content is not the first picture"
        letters = key["pairs"][pair]
        assert "".join(letters) == "ABC" and set(letters.values()) == set(CANDIDATES)
        for column, name in enumerate(letters.values()):
            assert (cell(sheet, 1, column) == colour(name, number)).all(), f"{pair}: another picture is in its place"


def test_letters_stand_below_their_pictures_outside_of_them(tool, folder):
    run_tool(tool, *arguments(folder, only="2"))
    sheet = np.asarray(Image.open(folder / "out" / "pair-2.png"), np.int64)
    below = 255 - sheet[-GAP - LINE :]
    assert below[:, : GAP + 80].any() and below[:, 80 + GAP : 160 + 2 * GAP].any() and below[:, 160 + 2 * GAP :].any()


def test_letters_are_a_twelfth_of_the_pictures_height(tool, folder):
    """The letters of a picture of 480 pixels are 40 pixels high, lines 50."""
    for pair in PAIRS:
        for file in ("pairs/{}/content", "maple/{}", "spruce/{}", "walnut/{}"):
            path = folder / f"{file.format(pair)}.png"
            Image.open(path).resize((640, 480)).save(path)
    run_tool(tool, *arguments(folder))
    assert Image.open(folder / "out" / "pair-2.png").size == (3 * 640 + 4 * GAP, 2 * (480 + 50 + GAP) + GAP)


def test_the_style_is_shown_whole_in_a_place_of_the_contents_size(tool, folder):
    """It is 200 x 40 pixels, so 64 x 13 at the content's width, with white above and below."""
    run_tool(tool, *arguments(folder))
    shown = cell(folder / "out" / "pair-2.png", 0, 1)
    used = (shown < 250).any(2)
    rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    assert len(rows) == pytest.approx(13, abs=1) and len(columns) == WIDTH
    assert rows[0] == pytest.approx(HEIGHT - 1 - rows[-1], abs=1), "it is not in the middle"


@pytest.mark.parametrize(("count", "columns"), [(2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
def test_candidates_stand_in_rows_of_at_most_three(tool, folder, count, columns):
    places = [f"candidate {number}={folder / 'maple'}" for number in range(count)]
    run_tool(tool, *arguments(folder, candidates=places))
    rows = 1 + -(-count // columns)
    size = max(columns, 2) * (80 + GAP) + GAP, rows * (HEIGHT + LINE + GAP) + GAP
    assert Image.open(folder / "out" / "pair-2.png").size == size
    assert len(read_key(folder)["pairs"]["2"]) == count


@pytest.mark.parametrize(
    ("candidate_height", "asked", "height"),
    [(96, 480, 48), (36, 480, 36), (48, 24, 24)],
    ids=["no larger than the content", "no candidate is enlarged", "as asked"],
)
def test_all_pictures_of_a_sheet_have_one_size(tool, folder, candidate_height, asked, height):
    """So neither size nor sharpness tells graders where a result comes from."""
    size = (candidate_height * WIDTH // HEIGHT, candidate_height)
    Image.new("RGB", size, colour("spruce", 0)).save(folder / "spruce" / "2.png")
    run_tool(tool, *arguments(folder, only="2", height=asked))
    width = height * WIDTH // HEIGHT
    sheet = folder / "out" / "pair-2.png"
    assert Image.open(sheet).size == (3 * (80 + GAP) + GAP, 2 * (height + LINE + GAP) + GAP)
    for column, name in enumerate(read_key(folder)["pairs"]["2"].values()):
        assert (cell(sheet, 1, column, height, width) == colour(name, 0)).all()


def test_a_path_with_pair_in_it_names_each_result(tool, folder):
    for pair in PAIRS:
        (folder / "walnut" / f"{pair}.png").rename(folder / "pairs" / pair / "final.png")
    places = [f"maple={folder / 'maple'}", f"walnut={folder}/pairs/{{pair}}/final.png"]
    run_tool(tool, *arguments(folder, candidates=places))
    for number, pair in enumerate(PAIRS):
        for column, name in enumerate(read_key(folder)["pairs"][pair].values()):
            assert (cell(folder / "out" / f"pair-{pair}.png", 1, column) == colour(name, number)).all()


def test_only_the_named_pairs_are_shown(tool, folder):
    run_tool(tool, *arguments(folder, only="10"))
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["grades.csv", "instructions.txt", "pair-10.png"]
    assert list(read_key(folder)["pairs"]) == ["10"]


def test_the_folder_for_graders_names_no_candidate(tool, folder):
    run_tool(tool, *arguments(folder))
    files = sorted((folder / "out").iterdir())
    assert [path.name for path in files] == ["grades.csv", "instructions.txt", "pair-10.png", "pair-2.png"]
    for path in files:
        content = path.read_bytes()
        for name in (*CANDIDATES, str(folder)):
            assert name.encode() not in content, f"{path.name} gives a name away"
        if path.suffix == ".png":
            assert set(png_chunks(content)) == {b"IHDR", b"IDAT", b"IEND"}


def png_chunks(content: bytes) -> list[bytes]:
    """Return the types of a PNG file's chunks."""
    types, at = [], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        types.append(content[at + 4 : at + 8])
        at += 12 + length
    return types


def test_metadata_of_results_does_not_reach_the_sheets(tool, folder):
    result, notes = folder / "spruce" / "2.png", PngInfo()
    notes.add_text("Software", "spruce")
    Image.new("RGB", (WIDTH, HEIGHT), colour("spruce", 0)).save(result, dpi=(123, 123), pnginfo=notes)
    assert {b"tEXt", b"pHYs"} <= set(png_chunks(result.read_bytes()))
    run_tool(tool, *arguments(folder))
    assert set(png_chunks((folder / "out" / "pair-2.png").read_bytes())) == {b"IHDR", b"IDAT", b"IEND"}


def test_grades_have_an_empty_line_for_each_picture(tool, folder):
    run_tool(tool, *arguments(folder))
    rows = list(csv.DictReader((folder / "out" / "grades.csv").open()))
    assert [(row["pair"], row["letter"]) for row in rows] == [(pair, letter) for pair in PAIRS for letter in "ABC"]
    assert list(rows[0]) == ["panel", "pair", "letter", "photograph", "look", "rank", "remark"]
    assert all(row["photograph"] == row["look"] == row["rank"] == row["remark"] == "" for row in rows)


def test_instructions_say_how_many_ranks_there_are(tool, folder):
    run_tool(tool, *arguments(folder))
    text = (folder / "out" / "instructions.txt").read_text()
    assert "1 is the best of the sheet, 3 the last" in text
    assert max(map(len, text.splitlines())) <= 120 and "{" not in text


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("pairs", [7, 24])
def test_each_candidate_stands_at_each_letter_equally_often(tool, count, pairs):
    candidates = [tool.Candidate(str(number), "") for number in range(count)]
    for seed in range(5):
        orders = tool.shuffled_orders(candidates, pairs, seed)
        assert len(orders) == pairs and all(sorted(order, key=candidates.index) == candidates for order in orders)
        places = Counter((one.name, place) for order in orders for place, one in enumerate(order))
        assert {places[one.name, place] for one in candidates for place in range(count)} <= {
            pairs // count,
            -(-pairs // count),
        }


def test_orders_depend_on_pair_and_seed(tool):
    candidates = [tool.Candidate(str(number), "") for number in range(4)]
    orders = [tool.shuffled_orders(candidates, 24, seed) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert len({tuple(one.name for one in order) for order in orders[0]}) > 8, "the squares are all the same"


def test_the_same_arguments_write_the_same_bytes(tool, folder):
    written = []
    for number, seed in enumerate((3, 3, 4)):
        out, key = folder / f"out-{number}", folder / f"key-{number}.json"
        run_tool(tool, *arguments(folder, out=out, key=key, seed=seed))
        written.append([key.read_bytes(), *(path.read_bytes() for path in sorted(out.iterdir()))])
    assert written[0] == written[1]
    assert written[0] != written[2], "the seed has no effect"


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": "{folder}/none"}, "none: no such folder"),
        ({"pairs": "{folder}/maple"}, "maple: no pairs; give a folder of N/content.png"),
        ({"only": "2,11"}, "--only: 11 not in"),
        ({"key": "{folder}/out/key.json"}, "key.json: is in the folder for graders"),
        ({"candidates": ["maple={folder}/maple"]}, "candidates: give 2 to 26 with different names"),
        ({"candidates": ["a={folder}/maple", "a={folder}/spruce"]}, "candidates: give 2 to 26 with different names"),
        ({"candidates": ["a={folder}/maple", "{folder}/spruce"]}, "must be NAME=FOLDER"),
        ({"candidates": ["a={folder}/maple", "b={folder}/oak"]}, "candidate b: no result of pair 2, 10, such as"),
        ({"candidates": ["a={folder}/maple", "b={folder}/text.png{pair}"]}, "candidate b: no result of pair 2, 10"),
        ({"candidates": ["a={folder}/maple", "b={folder}/broken"]}, "10.png: "),
        ({"candidates": ["a={folder}/maple", "b={folder}/square"]}, "2.png: 48x48 pixels, but the content"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_arguments_of_sheets_are_refused_and_nothing_is_written(tool, folder, capsys, changes, message):
    for pair in PAIRS:
        write_picture(folder / "square" / f"{pair}.png", np.zeros((48, 48, 3), np.uint8))
        write_picture(folder / "broken" / f"{pair}.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (folder / "broken" / "10.png").write_text("no picture")
    chosen = {
        name: [text.replace("{folder}", str(folder)) for text in value]
        if isinstance(value, list)
        else value.replace("{folder}", str(folder))
        for name, value in changes.items()
    }
    assert message in refusal(tool, capsys, *arguments(folder, **chosen))
    assert not (folder / "out").exists() and not (folder / "key.json").exists()


def test_grades_and_keys_are_never_overwritten(tool, folder, capsys):
    run_tool(tool, *arguments(folder))
    capsys.readouterr()
    before = {path: path.read_bytes() for path in (folder / "key.json", *(folder / "out").iterdir())}
    assert "out: is not an empty folder" in refusal(tool, capsys, *arguments(folder, key=folder / "other.json"))
    assert "key.json: exists" in refusal(tool, capsys, *arguments(folder, out=folder / "other"))
    assert {path: path.read_bytes() for path in (folder / "key.json", *(folder / "out").iterdir())} == before
    assert not (folder / "other").exists() and not (folder / "other.json").exists()


def test_a_key_that_cannot_be_written_leaves_no_sheets(tool, folder, capsys):
    (folder / "file").write_text("")
    assert "file" in refusal(tool, capsys, *arguments(folder, key=folder / "file" / "key.json"))
    assert not (folder / "out").exists()


@pytest.mark.parametrize("height", ["15", "tall"])
def test_heights_out_of_range_are_refused(tool, folder, capsys, height):
    with pytest.raises(SystemExit) as stopped:
        run_tool(tool, *arguments(folder, height=height))
    assert stopped.value.code == 2
    assert "argument --height: must be a whole number of 16 or more" in capsys.readouterr().err
