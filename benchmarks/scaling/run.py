"""Measure how whole transfers grow with pixels, regions, threads and photos.

    python benchmarks/scaling/run.py [--full] [--axes pixels,...] [--dry-run] [-o FOLDER]

Every point is measured in a fresh process. Writes the record benchmarks/records/DATE-DEVICE-scaling.json after each
point; the same command again measures what is missing in a record of the same code and machine, of whatever day.
Takes five minutes, with --full about forty. A point that would need more memory than is free is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the package in this folder, as the workers take it

from benchmarks.figures import entries
from benchmarks.machine import machine_facts
from benchmarks.record import RECORDS, earlier_sections, new_results, record_name, write_record
from benchmarks.scaling.fits import scaling_figures, scaling_table
from benchmarks.scaling.points import AXES, Point, points, repetitions
from benchmarks.sections import DRY_RUN, ROOT, Results

LIMIT = 1800.0  # seconds of one process
WORKER = Path(__file__).with_name("worker.py")


def main() -> int:
    arguments = parse_arguments()
    results = new_results(dry_run=arguments.dry_run) | {"machine": machine_facts()}
    records, reports = (arguments.output or folder for folder in (RECORDS, ROOT / "results"))
    for folder in (records, reports):
        folder.mkdir(parents=True, exist_ok=True)
    record = records / f"{record_name(results)}-scaling.json"
    begun = sorted(records.glob(f"*{record_name(results)[10:]}-scaling.json"))
    earlier = next((found for path in reversed(begun) if (found := earlier_sections(path, results))), {})
    section: Results = earlier.get("scaling", {"points": {}})
    section.pop("error", None)
    results["sections"]["scaling"] = section
    left_out: list[str] = []
    for point in points(arguments.full, arguments.dry_run):
        if point.axis not in arguments.axes:
            continue
        row = section["points"].setdefault(
            f"{point.axis}: {point.name}", point.as_dict() | {"at": point.at, "runs": []}
        )
        while len(row["runs"]) < repetitions(point, arguments.full, arguments.dry_run):
            if (needed := expected_gigabytes(point, section["points"])) > 0.8 * free_gigabytes():
                left_out.append(f"{point.name}, which needs about {needed:.0f} GB")
                break
            try:
                row["runs"].append(measure(point, arguments.dry_run))
            except (subprocess.SubprocessError, OSError, ValueError) as error:
                section["error"] = f"{point.name}: {error}"
                break
            print(f"{point.axis:8} {point.name:18} {row['runs'][-1]}", flush=True)
            write_record(results, record, reports / f"{record.stem}.md", report, figures)
        if not row["runs"]:
            del section["points"][f"{point.axis}: {point.name}"]
    section |= {"left out": "; ".join(left_out)} if left_out else {}
    write_record(results, record, reports / f"{record.stem}.md", report, figures)
    print(report(results))
    return 1 if "error" in section else 0


def measure(point: Point, tiny: bool) -> Results:
    """Return the row that a fresh process prints for a point."""
    folder = inputs(point)
    threads = {"OMP_NUM_THREADS": str(point.threads), "MKL_NUM_THREADS": str(point.threads)} if point.threads else {}
    chosen = {"PYTHONPATH": str(ROOT), "GOMP_SPINCOUNT": "10000"} | (DRY_RUN if tiny else threads)
    command = [sys.executable, str(WORKER), json.dumps(point.as_dict() | {"tiny": tiny}), str(folder)]
    begin = time.perf_counter()
    done = subprocess.run(command, env=dict(os.environ) | chosen, capture_output=True, text=True, timeout=LIMIT)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise ValueError(f"the process ended with code {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1]) | {"process s": seconds}


def inputs(point: Point) -> Path:
    """Write the photos and masks of a point, once, and return their folder."""
    from benchmarks.batch import write_photos
    from benchmarks.transfers import demo_pair, write_demo_pair, write_numbered_masks

    root = ROOT / "build" / "benchmarks" / "scaling"
    side = round(math.sqrt(point.megapixels * 1.5e6))  # the demo pair's content is 3 : 2
    if not point.photos and not point.regions:
        return write_demo_pair(side, root)
    folder = root / f"{point.axis}-{point.name.replace(' ', '-')}"
    if not (folder / "style.jpg").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if point.photos:
            write_photos(folder, point.photos, side)
        else:
            for name in ("content.jpg", "style.jpg"):
                shutil.copy(write_demo_pair(side, root) / name, folder / name)
            write_numbered_masks(folder, point.regions)
        shutil.copy(demo_pair() / "style.jpg", folder / "style.jpg")
    return folder


def expected_gigabytes(point: Point, rows: Results) -> float:
    """Return the memory that a point should need: that of the axis's last one, times the growth in pixels."""
    smaller = [row for row in rows.values() if row["axis"] == point.axis and row["runs"] and row["at"] <= point.at]
    if not smaller or point.axis != "pixels":
        return 0.0
    last = max(smaller, key=lambda row: row["at"])
    return max(run["peak GB"] for run in last["runs"]) * point.at / last["at"]


def free_gigabytes() -> float:
    """Return the free memory of this machine; infinity where it is not known."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return math.inf
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024 / 1e9


def figures(results: Results) -> Results:
    """Return the figures of a record: the fitted exponents."""
    return entries({"Growth of whole transfers": scaling_figures(results["sections"])})


def report(results: Results) -> str:
    """Return the report of a run."""
    return "\n".join(["# How whole transfers grow", "", *scaling_table(results["sections"])]) + "\n"


def parse_arguments() -> argparse.Namespace:
    def axes(text: str) -> list[str]:
        if unknown := sorted(set(text.split(",")) - set(AXES)):
            raise argparse.ArgumentTypeError(f"no axis {', '.join(unknown)}; there are {', '.join(AXES)}")
        return text.split(",")

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="up to 100 megapixels and 1000 photos, forty minutes")
    parser.add_argument("--axes", type=axes, default=list(AXES), metavar="A,B", help=f"only some of {', '.join(AXES)}")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, to test this program")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: benchmarks/records, and results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
