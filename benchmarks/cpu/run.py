"""Measure every claim about fastphoto's speed on this machine's CPU.

    python benchmarks/cpu/run.py [--full] [--sections operators,...] [--dry-run] [-o FOLDER]

Writes DATE-cpu.json, DATE-cpu.md and, if matplotlib is installed, plots. Takes five minutes, with --full about two
hours. Every section runs in a process of its own with a time limit. The report lists measurements that did not fit as
left out, and a section that fails does not stop the others. --dry-run runs everything at tiny sizes; its numbers mean
nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.cpu.report import report
from benchmarks.cpu.sizes import Sizes, environment
from benchmarks.record import new_results, record_name, write_record
from benchmarks.sections import ONE_THREAD, Results, argument_parser, run_in_process, run_sections

# The module of each section, which has a function of the section's name, and the seconds that it may take, short and in
# full. Seconds that a section leaves go to the next.
SECTIONS = {
    "operators": ("benchmarks.cpu.operator_timings", 75, 3000),
    "embedded": ("benchmarks.cpu.whole_images", 110, 2400),
    "vgg19": ("benchmarks.cpu.whole_images", 75, 5400),
    "scaling": ("benchmarks.cpu.operator_timings", 25, 900),
}
MODULES = {name: module for name, (module, _, _) in SECTIONS.items()}
# The instruction sets that decide which kernels run.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def main() -> int:
    arguments = parse_arguments()
    if arguments.worker:
        sizes = Sizes(arguments.full, arguments.dry_run, arguments.limit)
        run_sections(MODULES, arguments.sections, sizes, arguments.worker, machine())
        return 0
    begin = time.monotonic()
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = new_results(dry_run=arguments.dry_run, full=arguments.full) | {"load before": os.getloadavg()[0]}
    record = arguments.output.resolve() / f"{record_name(results)}.json"
    allowed = 0.0
    # In a dry run all sections share one process, as starting processes would take most of the time.
    for group in [arguments.sections] if arguments.dry_run else [[name] for name in arguments.sections]:
        allowed += sum(SECTIONS[name][2 if arguments.full else 1] for name in group)
        limit = allowed - (time.monotonic() - begin)
        print(f"== {', '.join(group)} (at most {limit:.0f} s)", flush=True)
        measured = run_group(arguments, group, limit)
        results["machine"] = measured.pop("machine", results["machine"])
        results["sections"] |= measured
        results["seconds"] = round(time.monotonic() - begin, 1)
        write_record(results, record, report)  # after every section, in case the run is stopped
    print(report(results))
    print(draw(results, record))
    errors = [name for name, section in results["sections"].items() if "error" in section]
    print(f"written: {record}" + (f"; with errors: {', '.join(errors)}" if errors else ""))
    return 1 if errors else 0


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser("Measure every claim about fastphoto's speed on this machine's CPU.", SECTIONS)
    parser.add_argument("--full", action="store_true", help="all sizes, whole images with VGG-19, more steps; hours")
    parser.add_argument("--limit", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def run_group(arguments: argparse.Namespace, names: list[str], limit: float) -> Results:
    """Run some sections in a process of their own, and return its results."""
    scratch = arguments.output.resolve() / f"worker-{os.getpid()}.json"
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(scratch), "--limit", str(limit)]
    command += ["--sections", ",".join(names), *["--full"] * arguments.full, *["--dry-run"] * arguments.dry_run]
    variables = environment() | (ONE_THREAD if arguments.dry_run else {})
    return run_in_process(command, names, limit, scratch, variables)


def machine() -> Results:
    """Return the processor and the versions that figures depend on."""
    import torch

    from fastphoto.ops import build_info

    model, flags, info = platform.processor() or platform.machine(), "", Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        words = {key.strip(): value.strip() for key, value in lines.items()}
        model, flags = words.get("model name", model), words.get("flags", words.get("Features", ""))
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": [name for name in INSTRUCTIONS if name in flags.split()],
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "memory GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "built with": build_info(),
    }


def draw(results: Results, record: Path) -> str:
    """Draw the plots if matplotlib is installed; return a line that says so."""
    try:
        from benchmarks.cpu.plots import draw_plots
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return "no plots: matplotlib is not installed"
    return f"plots: {', '.join(path.name for path in draw_plots(results, record))}"


if __name__ == "__main__":
    sys.exit(main())
