"""Score every method, and every variant that answers an open question, on photo pairs with published results.

    python tools/score_methods.py run --pairs DIR -o DIR [--only fastphoto,style-statistic/moments] [--processes 2]
    python tools/score_methods.py table DIR --pairs DIR --judge vgg19=FILE --judge vgg19-16x=FILE

Pairs are folders N/{content,style,content_mask,style_mask,published}.png. `run` writes one NAME/N.png for each method
and pair, and NAME/N.json with the seconds that it took one core, in processes of one thread each; what is there
already is kept, so that a run can be stopped and continued. `table` scores them (1.0 is the published result of that
pair, lower is better; see `fastphoto.evaluation.measures`) and prints a table in Markdown. Each judge is an encoder; a
layer of the Gram matrices is that of the first one which has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.evaluation.measures import ReferencePair
from fastphoto.evaluation.scores import score_measures
from fastphoto.methods.ablations import QUESTIONS
from fastphoto.methods.registry import METHODS, Method, apply_method
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge
from fastphoto.regions.pair import PhotoPair, prepare_pair


def candidates() -> dict[str, Method]:
    """All that can be scored, by name: methods, and variants of ours as QUESTION/VARIANT."""
    found = dict(METHODS)
    for question, asked in QUESTIONS.items():
        found |= {f"{question}/{name}": variant for name, variant in asked.variants.items()}
    return found


def run(options: argparse.Namespace) -> None:
    known = candidates()
    names = options.only.split(",") if options.only else list(known)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"score_methods: {', '.join(unknown)}: unknown; give some of {', '.join(known)}")
    jobs = [
        (name, pair, options.out / name, options.size)
        for name in names
        for pair in pair_folders(options.pairs)
        if not (options.out / name / f"{pair.name}.json").exists()
    ]
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that start now
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for _ in tqdm(pool.map(_make, jobs), total=len(jobs)):
            pass


def _make(job: tuple[str, Path, Path, int]) -> None:
    name, folder, out, size = job
    torch.set_num_threads(1)
    pair = read_pair(folder, size)
    started = time.process_time()
    result = apply_method(candidates()[name], pair)
    seconds = time.process_time() - started
    out.mkdir(parents=True, exist_ok=True)
    pixels = result.mul(255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(out / f"{folder.name}.png")
    (out / f"{folder.name}.json").write_text(json.dumps({"seconds": seconds}))


def table(options: argparse.Namespace) -> None:
    encoders = [load_encoder(*judge.split("=", 1)) for judge in options.judge] or [load_encoder("embedded")]
    known = candidates()
    names = [name for name in known if list((options.out / name).glob("*.png"))]
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in names}
    for folder in tqdm(pair_folders(options.pairs), leave=False):
        judged = _judged(folder, options, names, encoders)
        for name, values in judged.items():
            found[name][folder.name] = values
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    print("| method | style | photorealism | mean of the worse | both below 1 | CPU seconds |")
    print("|---|---|---|---|---|---|")
    for name, judged in found.items():
        rows = list(judged.values())
        style, realism, seconds = (
            statistics.median(row[key] for row in rows) for key in ("style", "photorealism", "seconds")
        )
        worse = statistics.mean(max(row["style"], row["photorealism"]) for row in rows)
        both = sum(row["style"] < 1 and row["photorealism"] < 1 for row in rows)
        print(
            f"| {known[name].title} (`{name}`) | {style:.2f} | {realism:.2f} | {worse:.2f} | {both} of {len(rows)} "
            f"| {seconds:.1f} |"
        )


def _judged(
    folder: Path, options: argparse.Namespace, names: list[str], encoders: list[Encoder]
) -> dict[str, dict[str, float]]:
    """Scores, measures and seconds of all results of one pair."""
    photos = read_pair(folder, options.size, orphans="drop")
    labels = [
        torch.cat([1 - m.sum(0, keepdim=True), m]).argmax(0) - 1 for m in (photos.content_masks, photos.style_masks)
    ]
    pair = ReferencePair(photos.content, photos.style, *labels, encoders)

    def measured(file: Path):
        return pair.measure(enlarge(read_photo(file).pixels, pair.size))

    reference = measured(folder / "published.png")
    judged = {}
    for name in names:
        if (file := options.out / name / f"{folder.name}.png").exists():
            measures = measured(file)
            seconds = json.loads(file.with_suffix(".json").read_text())["seconds"]
            judged[name] = asdict(score_measures(measures, reference)) | asdict(measures) | {"seconds": seconds}
    return judged


def read_pair(folder: Path, size: int, orphans: str = "merge") -> PhotoPair:
    content, style = (read_photo(folder / f"{role}.png", role) for role in ("content", "style"))
    return prepare_pair(content, style, folder / "content_mask.png", folder / "style_mask.png", size, orphans)


def pair_folders(pairs: Path) -> list[Path]:
    return sorted((p for p in pairs.iterdir() if (p / "published.png").exists()), key=lambda p: int(p.name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--pairs", type=Path, required=True)
    shared.add_argument("--size", type=int, default=350)
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run", parents=[shared])
    runs.set_defaults(action=run)
    runs.add_argument("-o", "--out", type=Path, required=True)
    runs.add_argument("--only", default="")
    runs.add_argument("--processes", type=int, default=1)
    tables = commands.add_parser("table", parents=[shared])
    tables.set_defaults(action=table)
    tables.add_argument("out", type=Path)
    tables.add_argument("--judge", action="append", default=[], metavar="ENCODER=FILE")
    tables.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.action(options)


if __name__ == "__main__":
    main()
