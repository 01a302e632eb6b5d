"""Grade results of photo style transfer blind: sheets of pictures without names for graders, and the table of grades.

    python tools/blind_panel.py sheets OUT --pairs DIR --key FILE ours=FOLDER published=DIR/{pair}/published.png ...
    python tools/blind_panel.py table GRADES.csv [GRADES.csv ...] --key FILE [--json FILE]

Pairs are folders N/{content,style}.png. A candidate is a name and where its results are: a folder of N.png, or a path
in which {pair} stands for N. `sheets` writes a picture for each pair with content, style and the candidates under the
letters A, B, C, ..., a CSV file to fill in, and instructions; graders get this folder alone. The key, which says what
the letters stand for, must be outside of it. Each candidate stands at each letter equally often, to within one. All
pictures of a sheet have one size, at which none of the candidates is enlarged. `table` checks the files that graders
filled in, one for each grader, and prints tables in Markdown: means and ranks, and the differences between candidates
with 95 % bootstrap intervals over pairs and a two-sided sign test of the ranks. Bad input ends both commands with one
line and exit status 2.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from panel_grades import Key, candidate_means, compare_candidates, empty_grades, read_grades, read_key
from PIL import Image, ImageOps
from tqdm import tqdm

from fastphoto.errors import FastPhotoError, InputError, printable
from fastphoto.photos.photo import MINIMUM_SIDE, Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import same_aspect
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.reports.page_pictures import image_of_pixels
from fastphoto.runtime.files import output_folder, write_files, write_text

LETTERS = string.ascii_uppercase
INSTRUCTIONS = """\
How to grade the sheets

Each sheet, pair-N.png, has two photos in its first row: "content" and "style". The pictures below them, with letters,
are attempts to show the content with the look of the style: its light, its colours, its mood. A letter belongs to the
picture above it. The letters are dealt anew for each sheet: A here and A there need not come from the same source.

Look at each sheet at its full size, and at each picture as a whole before its details. Fill in grades.csv, one line for
each picture, with whole numbers:

photograph   Is it a photograph?
             1 certainly not   2 rather not   3 perhaps   4 rather yes   5 yes, I would take it for one
look         Does it have the style's look?
             1 not at all      2 a little     3 half      4 mostly       5 fully
rank         Which one would a person keep? 1 is the best of the sheet, {count} the last; each rank once, no ties.
remark       Optional: the fault or merit that decided, and where it is.

Faults to look for:
- stains that ignore the objects in the photo
- painted or smeared areas
- invented clouds, bands or streaks in skies and on walls
- a milky haze
- halos along borders
- amplified grain
- shadows or lights crushed into blots
- colour in the wrong place

Decide for yourself, and do not discuss the sheets before everybody is done. Change nothing in the columns panel, pair
and letter, and save the file as CSV again.
"""


@dataclass(frozen=True)
class Candidate:
    """A source of results, under the name that the tables show."""

    name: str
    place: str  # folder of N.png, or a path with {pair}

    def result(self, pair: str) -> Path:
        """Return the path of the result on a pair."""
        if "{pair}" in self.place:
            return Path(self.place.replace("{pair}", pair))
        return Path(self.place, f"{pair}.png")


# -- sheets


def sheets(options: argparse.Namespace) -> None:
    """Write the folder for graders, and the key."""
    out, key_file = options.out, options.key
    _check_outputs(out, key_file)
    candidates = _read_candidates(options.candidates)
    folders = pair_folders(options.pairs, options.only)
    _check_results(candidates, [folder.name for folder in folders])
    letters_by_pair: dict[str, dict[str, str]] = {}
    pictures: dict[str, bytes] = {}
    orders = shuffled_orders(candidates, len(folders), options.seed)
    for folder, order in zip(tqdm(folders, leave=False, disable=None), orders, strict=True):
        stream, pair = io.BytesIO(), folder.name
        make_sheet(folder, [candidate.result(pair) for candidate in order], options.height).save(stream, "PNG")
        pictures[pair] = stream.getvalue()
        letters_by_pair[pair] = {letter: candidate.name for letter, candidate in zip(LETTERS, order, strict=False)}
    digest = hashlib.sha256(json.dumps(letters_by_pair).encode() + b"".join(pictures.values())).hexdigest()
    key = Key(f"panel-{digest[:12]}", [candidate.name for candidate in candidates], letters_by_pair)
    texts = {
        out / "grades.csv": empty_grades(key),
        out / "instructions.txt": INSTRUCTIONS.format(count=len(candidates)),
        key_file: json.dumps(asdict(key) | {"seed": options.seed}, indent=1) + "\n",
    }
    contents = {out / f"pair-{pair}.png": picture for pair, picture in pictures.items()}
    contents |= {path: text.encode() for path, text in texts.items()}
    with output_folder(out), output_folder(key_file.parent):
        write_files({path: _writer(content) for path, content in contents.items()})
    print(f"{len(folders)} sheets of {len(candidates)} candidates in {printable(out)}; key in {printable(key_file)}")


def _check_outputs(out: Path, key_file: Path) -> None:
    """Raise InputError if graders would see the key, or if grades or the key to them could be lost."""
    if key_file.resolve().is_relative_to(out.resolve()):
        raise InputError(f"--key {printable(key_file)}: is in the folder for graders; give a file elsewhere")
    if key_file.exists():
        raise InputError(f"--key {printable(key_file)}: exists, and its grades need it; give a new file")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{printable(out)}: is not an empty folder, and may hold grades; give a new one")


def _read_candidates(texts: Sequence[str]) -> list[Candidate]:
    candidates = []
    for text in texts:
        name, _, place = text.partition("=")
        if not (name and place):
            raise InputError(f"candidate {text!r}: must be NAME=FOLDER, or NAME=PATH with {{pair}} in it")
        candidates.append(Candidate(name, place))
    if not 2 <= len({candidate.name for candidate in candidates}) == len(candidates) <= len(LETTERS):
        raise InputError(f"candidates: give 2 to {len(LETTERS)} with different names, got {', '.join(texts)}")
    return candidates


def _check_results(candidates: Sequence[Candidate], pairs: Sequence[str]) -> None:
    """Raise InputError if a candidate lacks the result of a pair."""
    for candidate in candidates:
        if missing := [pair for pair in pairs if not candidate.result(pair).is_file()]:
            raise InputError(
                f"candidate {candidate.name}: no result of pair {', '.join(missing)}, such as "
                f"{printable(candidate.result(missing[0]))}; make it, or name other pairs with --only"
            )


def shuffled_orders(candidates: Sequence[Candidate], count: int, seed: int) -> list[list[Candidate]]:
    """Return the order of the candidates on each of `count` sheets, the same for the same seed.

    As many sheets as there are candidates make a random Latin square: each candidate stands once at each position.
    """
    generator, number = random.Random(seed), len(candidates)
    orders: list[list[Candidate]] = []
    while len(orders) < count:
        names = generator.sample(candidates, number)
        rows, columns = (generator.sample(range(number), number) for _ in range(2))
        orders += [[names[(row + column) % number] for column in columns] for row in rows]
    return orders[:count]


def make_sheet(folder: Path, results: Sequence[Path], height: int) -> Image.Image:
    """Draw the sheet of one pair: content and style, and below them the results under letters.

    Args:
        folder: folder of the pair's photos.
        results: pictures in the order of their letters.
        height: height of all pictures in pixels; the height of the content or of the lowest result if that is less.

    Raises:
        FileError: a picture that cannot be read.
        InputError: a result whose aspect is not the content's.
    """
    content, style = (
        read_photo(folder / f"{role}.png", printable(folder / f"{role}.png")) for role in ("content", "style")
    )
    photos = [read_photo(file, printable(file)) for file in results]
    for photo in photos:
        if not same_aspect(photo.size, content.size):
            raise InputError(
                f"{photo.name}: {photo.size[1]}x{photo.size[0]} pixels, but the content {content.name} has "
                f"{content.size[1]}x{content.size[0]}; give results of the content's aspect"
            )
    # An enlarged result would look soft, and its size would tell graders where it comes from.
    height = min(height, content.size[0], *(photo.size[0] for photo in photos))
    size = max(1, round(height * content.size[1] / content.size[0])), height

    def fitted(photo: Photo) -> Image.Image:
        return image_of_pixels(photo.pixels).resize(size, Image.Resampling.LANCZOS)

    style_picture = ImageOps.pad(image_of_pixels(style.pixels), size, Image.Resampling.LANCZOS, color="white")
    lettered = [(letter, fitted(photo)) for letter, photo in zip(LETTERS, photos, strict=False)]
    row_count = -(-len(lettered) // 3)
    columns = -(-len(lettered) // row_count)
    rows = [lettered[start : start + columns] for start in range(0, len(lettered), columns)]
    return make_contact_sheet(
        [[("content", fitted(content)), ("style", style_picture)], *rows], height, font_size=max(16, height // 12)
    )


def pair_folders(pairs: Path, only: str) -> list[Path]:
    """Return the folders of the pairs in the order of their numbers, all or those named in `only`, as in "3,9"."""
    if not pairs.is_dir():
        raise InputError(f"--pairs {printable(pairs)}: no such folder")
    known = {folder.name: folder for folder in pairs.iterdir() if (folder / "content.png").exists()}
    if not known:
        raise InputError(f"--pairs {printable(pairs)}: no pairs; give a folder of N/content.png, N/style.png")
    names = set(only.split(",")) if only else set(known)
    if unknown := sorted(names - set(known)):
        raise InputError(f"--only: {', '.join(unknown)} not in {printable(pairs)}; give names of folders there")
    return [known[name] for name in sorted(names, key=lambda name: (len(name), name))]


def _writer(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)


# -- table


def table(options: argparse.Namespace) -> None:
    """Check the grades, and print the means of the candidates and the differences between them."""
    key = read_key(options.key)
    if len({path.resolve() for path in options.grades}) < len(options.grades):
        raise InputError("grades: a file is named twice; name the file of each grader once")
    grades = [grade for path in options.grades for grade in read_grades(path, key)]
    means, comparisons = candidate_means(key, grades), compare_candidates(key, grades)
    if options.json:
        parts: dict[str, Sequence[Any]] = {"means": means, "comparisons": comparisons, "grades": grades}
        record = {"panel": key.panel} | {part: [asdict(row) for row in rows] for part, rows in parts.items()}
        write_text(options.json, json.dumps(record, indent=1) + "\n")
    print(f"| | is a photograph | has the look | mean rank | first / last of {len(key.pairs) * len(options.grades)} |")
    print("|---|---|---|---|---|")
    for row in means:
        numbers = f"{row.photograph:.2f} | {row.look:.2f} | {row.rank:.2f} | {row.first} / {row.last}"
        print(f"| {row.candidate} | {numbers} |")
    title = f"difference (95 % interval over {len(key.pairs)} pairs)"
    print(f"\n| {title} | is a photograph | has the look | mean rank | ranked higher / lower | sign test |")
    print("|---|---|---|---|---|---|")
    for one in comparisons:
        numbers = f"{one.photograph} | {one.look} | {one.rank} | {one.above} / {one.below} | p = {one.sign_test:.2g}"
        print(f"| {one.candidate} - {one.other} | {numbers} |")


def _height(text: str) -> int:
    if not text.isdecimal() or int(text) < MINIMUM_SIDE:
        raise argparse.ArgumentTypeError(f"must be a whole number of {MINIMUM_SIDE} or more, got {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--key", type=Path, required=True, metavar="FILE", help="what the letters stand for")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("sheets", parents=[shared], help="write sheets, instructions, grades.csv and the key")
    command.set_defaults(action=sheets)
    command.add_argument("out", type=Path, metavar="OUT", help="new folder for graders")
    command.add_argument(
        "candidates", nargs="+", metavar="NAME=FOLDER", help="FOLDER/N.png, or a path with {pair} for N"
    )
    command.add_argument("--pairs", type=Path, required=True, metavar="DIR", help="folder of the photo pairs")
    command.add_argument("--only", default="", metavar="3,9,...", help="names of pairs (default: all)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the letters (default: %(default)s)")
    command.add_argument(
        "--height",
        type=_height,
        default=480,
        metavar="PIXELS",
        help="largest height of pictures (default: %(default)s)",
    )
    command = commands.add_parser("table", parents=[shared], help="check grades, and print their tables")
    command.set_defaults(action=table)
    command.add_argument("grades", type=Path, nargs="+", metavar="GRADES.csv", help="filled in, one for each grader")
    command.add_argument("--json", type=Path, metavar="FILE", help="file for all numbers and remarks")
    return parser


def main() -> None:
    options = _parser().parse_args()
    try:
        options.action(options)
    except (FastPhotoError, OSError) as error:
        print(f"blind_panel: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
