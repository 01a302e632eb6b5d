"""Build, check and measure fastphoto on the GPU of this machine.

    python benchmarks/gpu/run.py [--sections build,gram,...] [--quick] [--plan] [--dry-run] [-o FOLDER]

Writes the record benchmarks/records/DATE-DEVICE.json and the report results/DATE-DEVICE.md. Sections run in processes
with time limits; one that fails is recorded and does not stop the others. Sections can be run one at a time: the record
keeps those measured earlier that day from the same code on the same GPU. --quick takes fewer repetitions and steps:
all sections in six minutes. --plan only prints how long each section should take. --dry-run runs everything on a CPU at
tiny sizes; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import entries
from benchmarks.gpu.figures import SUBJECTS
from benchmarks.gpu.plan import LONGER, SECTIONS, TOTAL_LIMIT, chosen_stages, expected_seconds, total_seconds
from benchmarks.gpu.report import report
from benchmarks.gpu.sizes import Sizes, environment
from benchmarks.machine import machine_facts
from benchmarks.record import new_results, read_records
from benchmarks.run import Run
from benchmarks.sections import Results, argument_parser, run_sections

MODULES = {name: module for name, (module, _) in SECTIONS.items()}


def main() -> int:
    arguments = parse_arguments()
    sizes = Sizes(arguments.dry_run, arguments.quick)
    limits = {name: float(LONGER[arguments.quick] * limit) for name, (_, limit) in SECTIONS.items()}
    if arguments.worker:
        own_limits = None if arguments.dry_run else limits
        run_sections(MODULES, arguments.sections, sizes, arguments.worker, machine_facts(), own_limits)
        return 0
    stages = chosen_stages(arguments.sections)
    if arguments.plan:
        print("\n".join(plan_lines(sizes, stages)))
        return 0
    results = new_results(dry_run=arguments.dry_run, quick=arguments.quick)
    options = [*["--quick"] * arguments.quick, *["--dry-run"] * arguments.dry_run]
    run = Run(Path(__file__).resolve(), limits, options, environment, report, figures)
    # In a dry run all sections share one process, as starting processes would take most of the time.
    return run.measure(
        arguments, results, [[arguments.sections]] if arguments.dry_run else stages, TOTAL_LIMIT[arguments.quick]
    )


def figures(results: Results) -> Results:
    """Return the figures of a run's results as they stand in its record."""
    return entries({title: make(results["sections"]) for title, make in SUBJECTS.items()})


def plan_lines(sizes: Sizes, stages: list[list[list[str]]]) -> list[str]:
    """Return lines that say how long each section should take."""
    expected = expected_seconds([record for record in read_records() if record["machine"].get("gpu")], sizes)
    lines = []
    for stage in stages:
        for process in stage:
            lines += [f"{name:14}{expected[name]:6.1f} s" for name in process if name in expected]
            lines += [f"{name:14}  what is left" for name in process if name not in expected]
    return [*lines, f"{'in all':14}{total_seconds(expected, stages):6.1f} s of {TOTAL_LIMIT[sizes.quick]} s"]


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser("Build, check and measure fastphoto on this machine's GPU.", SECTIONS)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and steps: six minutes")
    parser.add_argument("--plan", action="store_true", help="only print how long each section should take")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
