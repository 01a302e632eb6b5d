"""Score every method, and every variant that answers an open question, on photo pairs with published results.

    python tools/score_methods.py run --pairs DIR -o DIR [--only fastphoto,style-statistic/moments] [--processes 2]
    python tools/score_methods.py table DIR --pairs DIR --judge vgg19=FILE --judge vgg19-16x=FILE

Pairs are folders N/{content,style,content_mask,style_mask,published}.png. `run` writes NAME/N.png for each method and
pair, and NAME/N.json with the CPU seconds, measured in processes of one thread each. It does not repeat results that
exist already, so a stopped run can go on; it refuses to mix results of different sizes in one folder. `table` scores
the results (1.0 is the published result of that pair, lower is better; see `fastphoto.evaluation`) and prints a table
in Markdown. Each judge is an encoder; a layer of the Gram matrices comes from the first judge that has it. Bad input
ends both commands with one line and exit status 2.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.errors import FastPhotoError, InputError
from fastphoto.evaluation import Measures, ReferencePair, score_measures
from fastphoto.methods import METHODS, Method, apply_method
from fastphoto.methods.ablations import QUESTIONS
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge, fit_size, same_aspect
from fastphoto.regions.masks import region_map
from fastphoto.regions.matching import Orphans
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.runtime.files import check_folder, check_target, write_text

Row = dict[str, Any]
"""The "scores" and "measures" of one result, each by name, and its "seconds"."""


def candidates() -> dict[str, Method]:
    """Return everything that can be scored, by name: the methods, and the variants of our own as QUESTION/VARIANT."""
    variants = {
        f"{question}/{name}": method for question in QUESTIONS for name, method in QUESTIONS[question].variants.items()
    }
    return dict(METHODS) | variants


def run(options: argparse.Namespace) -> None:
    """Run methods on pairs, and write their results."""
    known = candidates()
    names = options.only.split(",") if options.only else list(known)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"--only: {', '.join(unknown)} unknown; give some of {', '.join(known)}")
    sizes = {folder: result_size(folder, options.size) for folder in pair_folders(options.pairs)}
    jobs = []
    for name in known:  # those of other runs too: a table of both would mix sizes
        for folder, size in sizes.items():
            result = options.out / name / f"{folder.name}.png"
            if is_done(result):
                check_size(result, size, options.size)
            elif name in names:
                jobs.append((name, folder, result, options.size))
    for _, _, result, _ in jobs:
        check_folder(result.parent, [result.name, result.with_suffix(".json").name])
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that start now
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for _ in tqdm(pool.map(_make, jobs), total=len(jobs)):
            pass


def _make(job: tuple[str, Path, Path, int]) -> None:
    name, folder, file, size = job
    torch.set_num_threads(1)
    pair = read_pair(folder, size)
    started = time.process_time()
    result = apply_method(candidates()[name], pair)
    seconds = time.process_time() - started
    pixels = result.mul(255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file)
    file.with_suffix(".json").write_text(json.dumps({"seconds": seconds}))  # last: it marks the result as complete


def table(options: argparse.Namespace) -> None:
    """Score results, and print them as a table."""
    if options.json:
        check_target(options.json, options.out.glob("**/*.json"))
    encoders = [load_encoder(*judge.split("=", 1)) for judge in options.judge] or [load_encoder("embedded")]
    known = candidates()
    rows: dict[str, dict[str, Row]] = {name: {} for name in known}
    for folder in tqdm(pair_folders(options.pairs), leave=False, disable=None):
        results = {name: options.out / name / f"{folder.name}.png" for name in known}
        for name, row in _judged(folder, results, options.size, encoders).items():
            rows[name][folder.name] = row
    rows = {name: by_pair for name, by_pair in rows.items() if by_pair}
    if not rows:
        raise InputError(f"{options.out}: no results of these pairs; make them with score_methods.py run")
    print(
        "| method | stains | look | invented, ΔE | photorealism | style | worse of both | both below 1 | CPU seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, by_pair in rows.items():
        print(_line(f"{known[name].title} (`{name}`)", list(by_pair.values())))
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1) + "\n")


def _judged(folder: Path, results: Mapping[str, Path], size: int, encoders: Sequence[Encoder]) -> dict[str, Row]:
    """Return a row for each of the complete results of one pair."""
    results = {name: file for name, file in results.items() if is_done(file)}
    if not results:
        return {}
    pair = read_pair(folder, size, orphans="drop")
    content_regions, style_regions = region_map(pair.content_masks), region_map(pair.style_masks)
    reference_pair = ReferencePair(pair.content, pair.style, content_regions, style_regions, encoders)

    def measured(file: Path) -> Measures:
        return reference_pair.measure(enlarge(read_photo(file).pixels, reference_pair.size))

    published = folder / "published.png"
    size_of_published = read_photo(published).size
    if not same_aspect(size_of_published, reference_pair.size):
        (height, width), (own_height, own_width) = size_of_published, reference_pair.size
        raise InputError(f"{published}: {width}x{height} pixels do not fit the content's {own_width}x{own_height}")
    reference = measured(published)
    rows = {}
    for name, file in results.items():
        check_size(file, reference_pair.size, size)
        measures = measured(file)
        scores = score_measures(measures, reference)
        rows[name] = {"scores": asdict(scores), "measures": asdict(measures), "seconds": _seconds(file)}
    return rows


def _line(title: str, rows: Sequence[Row]) -> str:
    """Return the line of the table for one method, from its rows of all pairs: medians, but for "of both"."""
    scores = [row["scores"] for row in rows]
    stains, look, photorealism, style = (
        statistics.median(s[name] for s in scores) for name in ("stains", "look", "photorealism", "style")
    )
    invented = statistics.median(row["measures"]["invented"] for row in rows)
    seconds = statistics.median(row["seconds"] for row in rows)
    worse = statistics.mean(max(s["style"], s["photorealism"]) for s in scores)
    both = sum(s["style"] < 1 and s["photorealism"] < 1 for s in scores)
    numbers = [stains, look, invented, photorealism, style, worse]
    return f"| {title} | {' | '.join(f'{n:.2f}' for n in numbers)} | {both} of {len(rows)} | {seconds:.1f} |"


def is_done(result: Path) -> bool:
    """Return whether a run completed a result."""
    return result.exists() and result.with_suffix(".json").exists()


def result_size(folder: Path, size: int) -> tuple[int, int]:
    """Return the (height, width) of a pair's results at --size."""
    content = read_photo(folder / "content.png")
    return fit_size(*content.size, size, content.name)


def check_size(result: Path, expected: tuple[int, int], size: int) -> None:
    """Raise InputError if a result does not have its pair's (height, width) at --size."""
    with Image.open(result) as image:
        width, height = image.size
    if (height, width) != expected:
        raise InputError(
            f"{result}: {width}x{height} pixels, but --size {size} makes {expected[1]}x{expected[0]}; "
            "give the --size that this folder was made with, or another folder"
        )


def _seconds(result: Path) -> float:
    record = result.with_suffix(".json")
    try:
        return float(json.loads(record.read_text())["seconds"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{record}: not a record of this tool; remove it, and run the method again") from error


def read_pair(folder: Path, size: int, orphans: Orphans = "merge") -> PhotoPair:
    """Read the photos and masks of one pair."""
    content, style = (read_photo(folder / f"{role}.png", role) for role in ("content", "style"))
    return prepare_pair(content, style, folder / "content_mask.png", folder / "style_mask.png", size, orphans)


def pair_folders(pairs: Path) -> list[Path]:
    """Return the folders of the pairs, in the order of their numbers; raises InputError where there are none."""
    if not pairs.is_dir():
        raise InputError(f"--pairs {pairs}: no such folder")
    folders = [folder for folder in pairs.iterdir() if (folder / "published.png").exists()]
    if not folders:
        raise InputError(f"--pairs {pairs}: no pairs; give a folder of N/content.png, style.png, ..., published.png")
    return sorted(folders, key=lambda folder: (len(folder.name), folder.name))


def at_least(minimum: int) -> Callable[[str], int]:
    """Return the type of a command-line option that takes whole numbers of `minimum` or more."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"must be a whole number of {minimum} or more, got {text!r}")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--pairs", type=Path, required=True, metavar="DIR", help="folder of the photo pairs")
    shared.add_argument("--size", type=at_least(MINIMUM_SIDE), default=350, help="long side of results, in pixels")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run", parents=[shared], help="make results")
    command.set_defaults(action=run)
    command.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of results")
    command.add_argument("--only", default="", metavar="A,B,...", help="names of methods (default: all)")
    command.add_argument("--processes", type=at_least(1), default=1, metavar="N")
    command = commands.add_parser("table", parents=[shared], help="score results")
    command.set_defaults(action=table)
    command.add_argument("out", type=Path, metavar="DIR", help="folder of results")
    command.add_argument("--judge", action="append", default=[], metavar="ENCODER=FILE", help="default: embedded")
    command.add_argument("--json", type=Path, metavar="FILE", help="file for all scores and measures")
    return parser


def main() -> None:
    options = _parser().parse_args()
    try:
        options.action(options)
    except (FastPhotoError, OSError, BrokenExecutor) as error:  # broken: a worker was killed, say for its memory
        print(f"score_methods: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
