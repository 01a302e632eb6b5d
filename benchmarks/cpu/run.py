"""Measure every claim about fastphoto's speed on this machine's CPU.

    python benchmarks/cpu/run.py [--full] [--sections operators,...] [--dry-run] [-o FOLDER]

Writes the record benchmarks/records/DATE-DEVICE.json and the report results/DATE-DEVICE.md. Takes seven minutes, with
--full about three hours. Every section runs in a process of its own with a time limit. The report lists measurements
that did not fit as left out, and a section that fails does not stop the others. Sections can be run one at a time: the
record keeps those measured earlier that day from the same code on the same machine. --dry-run runs everything at tiny
sizes; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.cpu.figures import figures
from benchmarks.cpu.report import report
from benchmarks.cpu.sizes import Sizes, environment
from benchmarks.figures import entries
from benchmarks.machine import machine_facts
from benchmarks.record import new_results
from benchmarks.run import Run
from benchmarks.sections import argument_parser, run_sections

# The module of each section, which has a function of the section's name, and the seconds that it may take, short and in
# full; with 0 it is not part of the short run.
SECTIONS = {
    "operators": ("benchmarks.cpu.operator_timings", 300, 3000),
    "embedded": ("benchmarks.cpu.whole_images", 150, 2400),
    "vgg19": ("benchmarks.cpu.whole_images", 60, 5400),
    "growth": ("benchmarks.cpu.operator_timings", 20, 900),
    "batch": ("benchmarks.batch", 0, 1800),
}
MODULES = {name: module for name, (module, _, _) in SECTIONS.items()}


def main() -> int:
    arguments = parse_arguments()
    if arguments.worker:
        sizes = Sizes(arguments.full, arguments.dry_run, arguments.limit)
        run_sections(MODULES, arguments.sections, sizes, arguments.worker, machine_facts())
        return 0
    results = new_results(dry_run=arguments.dry_run, full=arguments.full)
    limits = {name: full if arguments.full else short for name, (_, short, full) in SECTIONS.items()}
    options = [*["--full"] * arguments.full, *["--dry-run"] * arguments.dry_run]
    run = Run(Path(__file__).resolve(), limits, options, environment, report, lambda r: entries(figures(r)))
    chosen = [name for name in arguments.sections if limits[name] or arguments.dry_run]
    # In a dry run all sections share one process, as starting processes would take most of the time.
    return run.measure(arguments, results, [[chosen]] if arguments.dry_run else [[[name]] for name in chosen])


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser("Measure every claim about fastphoto's speed on this machine's CPU.", SECTIONS)
    parser.add_argument("--full", action="store_true", help="all sizes, whole images with VGG-19, more steps; hours")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
