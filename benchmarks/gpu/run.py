"""Build, check and measure fastphoto on the GPU of this machine.

    python benchmarks/gpu/run.py [--sections build,gram,...] [--quick] [--dry-run] [-o FOLDER]

Writes DATE-DEVICE.json, a record that can be put into benchmarks/records as it is, and DATE-DEVICE.md. Every section
runs in a process of its own with a time limit; one that fails is recorded and does not stop the others. Sections can
be run one at a time: the record keeps those measured earlier that day from the same commit on the same GPU. --quick
takes fewer repetitions and steps: all sections in nine minutes. --dry-run runs everything on a CPU at tiny sizes; its
numbers mean nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.gpu.report import report
from benchmarks.gpu.sizes import Sizes, environment
from benchmarks.record import new_results, record_name, write_record
from benchmarks.sections import ONE_THREAD, Results, argument_parser, run_in_process, run_sections

# The module of each section, which has a function of the section's name, and the seconds that it may take. Modules are
# imported by the processes that run them, because before `build` there may be no fastphoto to import. The longest
# sections are last, so that only they are cut short if time runs out.
SECTIONS = {
    "build": ("benchmarks.gpu.build_and_tests", 240),
    "tests": ("benchmarks.gpu.build_and_tests", 150),
    "sanitizer": ("benchmarks.gpu.build_and_tests", 150),
    "ceilings": ("benchmarks.gpu.timings", 40),
    "laplacian": ("benchmarks.gpu.timings", 90),
    "gram": ("benchmarks.gpu.timings", 60),
    "local_affine": ("benchmarks.gpu.timings", 40),
    "memory": ("benchmarks.gpu.images", 90),
    "throughput": ("benchmarks.gpu.throughput", 60),
    "image": ("benchmarks.gpu.images", 200),
    "iteration": ("benchmarks.gpu.timings", 300),
}
MODULES = {name: module for name, (module, _) in SECTIONS.items()}
TOTAL_LIMIT = 570  # seconds, just under ten minutes


def main() -> int:
    arguments = parse_arguments()
    if arguments.worker:
        sizes = Sizes(arguments.dry_run, arguments.quick)
        run_sections(MODULES, arguments.sections, sizes, arguments.worker, machine())
        return 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = new_results(dry_run=arguments.dry_run, quick=arguments.quick)
    # In a dry run all sections share one process, as starting processes would take most of the time.
    groups = [arguments.sections] if arguments.dry_run else [[name] for name in arguments.sections]
    deadline = time.monotonic() + TOTAL_LIMIT
    for names in groups:
        limit = min(sum(SECTIONS[name][1] for name in names), deadline - time.monotonic())
        if limit < 5:
            results["sections"] |= {name: {"error": "not run: no time left"} for name in names}
            continue
        print(f"== {', '.join(names)} (at most {limit:.0f} s)", flush=True)
        measured = run_group(arguments, names, limit)
        results["machine"] = measured.pop("machine", results["machine"])
        record = arguments.output.resolve() / f"{record_name(results)}.json"
        results["sections"] = earlier_sections(record, results) | results["sections"] | measured
        write_record(results, record, report)  # after every section, in case the run is stopped
    print(report(results))
    write_record(results, record, report)
    errors = [name for name in arguments.sections if "error" in results["sections"][name]]
    print(f"written: {record}" + (f"; with errors: {', '.join(errors)}" if errors else ""))
    return 1 if errors else 0


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser("Build, check and measure fastphoto on this machine's GPU.", SECTIONS)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and steps: nine minutes")
    return parser.parse_args()


def run_group(arguments: argparse.Namespace, names: list[str], limit: float) -> Results:
    """Run some sections in a process of their own, and return its results."""
    scratch = arguments.output.resolve() / f"worker-{os.getpid()}.json"
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(scratch), "--sections", ",".join(names)]
    command += [*["--quick"] * arguments.quick, *["--dry-run"] * arguments.dry_run]
    variables = environment() | (ONE_THREAD if arguments.dry_run else {})
    return run_in_process(command, names, limit, scratch, variables)


def earlier_sections(record: Path, results: Results) -> Results:
    """Return the sections in an earlier record, if it is of the same commit, machine and kind of run."""
    if not record.exists():
        return {}
    earlier: Results = json.loads(record.read_text(encoding="utf-8"))
    same = all(earlier.get(key) == results[key] for key in ("commit", "machine", "quick"))
    return earlier["sections"] if same else {}


def machine() -> Results:
    """Return the GPU and the versions that figures depend on."""
    facts: Results = {"python": platform.python_version(), "cores": os.cpu_count()}
    if importlib.util.find_spec("torch"):
        import torch

        facts |= {"torch": torch.__version__, "cuda": torch.version.cuda}
        if torch.cuda.is_available():
            facts |= {"gpu": torch.cuda.get_device_name(), "capability": list(torch.cuda.get_device_capability())}
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            if shutil.which("nvidia-smi"):
                facts["driver"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    return facts


if __name__ == "__main__":
    sys.exit(main())
