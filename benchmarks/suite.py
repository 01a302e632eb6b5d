"""Measures every claim about fastphoto's speed on this machine's CPU in one command.

    python benchmarks/suite.py [--full] [--sections operators,...] [--dry-run] [-o FOLDER]

Writes cpu-DATE.json, cpu-DATE.md and, where matplotlib is there, plots. Takes five minutes, and with --full about two
hours. Every section runs in a process of its own with a time limit: what does not fit is named as left out, what fails
is recorded, and the others still run. --dry-run takes the same way with tiny sizes; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from pathlib import Path

from sections import ROOT, Found, git, in_process, work
from suite_report import report
from suite_sizes import Sizes, environment

# The module whose function of the section's name it is, and the seconds it may take, short and in full; what one does
# not need goes to the next.
SECTIONS = {
    "operators": ("suite_operators", 75, 3000),
    "embedded": ("whole_images", 110, 2400),
    "vgg19": ("whole_images", 75, 5400),
    "scaling": ("suite_operators", 25, 900),
}
MODULES = {name: module for name, (module, _, _) in SECTIONS.items()}
# Of a processor's instruction sets, those that decide which kernels run.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def main() -> int:
    arguments = parsed()
    if arguments.worker:
        sizes = Sizes(arguments.full, arguments.dry_run, arguments.limit)
        work(MODULES, arguments.sections, sizes, arguments.worker, machine())
        return 0
    begin = time.monotonic()
    folder = arguments.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kind = "-dry-run" if arguments.dry_run else "-full" if arguments.full else ""
    target = folder / f"cpu-{datetime.date.today().isoformat()}{kind}.json"
    wanted = [name for name in SECTIONS if not arguments.sections or name in arguments.sections]
    results: Found = {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "dry_run": arguments.dry_run,
        "full": arguments.full,
        "load before": os.getloadavg()[0],
        "machine": {},
        "sections": {},
    }
    allowed = 0.0
    # In a dry run all sections share one process, for starting them takes most of the time.
    for group in [wanted] if arguments.dry_run else [[name] for name in wanted]:
        allowed += sum(SECTIONS[name][2 if arguments.full else 1] for name in group)
        limit = allowed - (time.monotonic() - begin)
        print(f"== {', '.join(group)} (at most {limit:.0f} s)", flush=True)
        found = measured(arguments, group, limit, folder)
        results["machine"] = found.pop("machine", results["machine"])
        results["sections"] |= found
        results["seconds"] = round(time.monotonic() - begin, 1)
        # After every section, so that a run that is cut off leaves what it has measured.
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        target.with_suffix(".md").write_text(report(results), encoding="utf-8")
    print(report(results))
    print(drawn(results, target))
    errors = [name for name in wanted if "error" in results["sections"].get(name, {"error": ""})]
    print(f"written: {target}" + (f"; with errors: {', '.join(errors)}" if errors else ""))
    return 1 if errors else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures every claim about fastphoto's speed on this machine's CPU.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results", metavar="FOLDER")
    parser.add_argument("--sections", type=lambda text: text.split(","), metavar="A,B", help=", ".join(SECTIONS))
    parser.add_argument("--full", action="store_true", help="all sizes, VGG-19's whole images, 20 steps of B0; hours")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, to test this program")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.sections or ()) - set(SECTIONS):
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return arguments


def measured(arguments: argparse.Namespace, group: list[str], limit: float, folder: Path) -> Found:
    """What a process of its own finds in some sections."""
    scratch = folder / f"worker-{os.getpid()}.json"
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(scratch), "--limit", str(limit)]
    command += ["--sections", ",".join(group), *["--full"] * arguments.full, *["--dry-run"] * arguments.dry_run]
    variables = environment()
    if arguments.dry_run:
        # Tiny work is done sooner by one thread, and much sooner on a machine whose other cores are busy.
        variables |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return in_process(command, group, limit, scratch, variables)


def machine() -> Found:
    """The processor and the programs that a figure depends on; called where torch is wanted anyway."""
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


def drawn(results: Found, target: Path) -> str:
    """Draws what can be drawn, and says where it is or why it is not."""
    try:
        from plots import draw
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return "no plots: matplotlib is not here"
    return f"plots: {', '.join(path.name for path in draw(results, target))}"


if __name__ == "__main__":
    sys.exit(main())
