"""Builds, checks and measures fastphoto on the GPU of this machine in one command.

    python benchmarks/gpu.py [--sections build,gram,...] [--quick] [--dry-run] [-o FOLDER]

Writes gpu-DATE.json and gpu-DATE.md into the folder. Every section runs in a process of its own with a time limit: what
fails there is recorded, and the others still run. Sections measured earlier that day from the same commit on the same
GPU are kept, so that they can be run one at a time. --dry-run takes the same way on a CPU with tiny sizes; its numbers
mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from gpu_report import report
from gpu_section import Sizes, environment
from sections import ROOT, Found, git, in_process, work

# The module whose function of the section's name it is, imported by the process that runs it, for before `build` there
# may be no fastphoto to import; and the seconds that it may take. Together with starting they fit ten minutes, nearly.
SECTIONS = {
    "build": ("gpu_checks", 240),
    "tests": ("gpu_checks", 150),
    "sanitizer": ("gpu_checks", 150),
    "ceilings": ("gpu_timings", 40),
    "laplacian": ("gpu_timings", 90),
    "gram": ("gpu_timings", 60),
    "local_affine": ("gpu_timings", 40),
    "iteration": ("gpu_timings", 300),
    "image": ("gpu_images", 200),
    "memory": ("gpu_images", 90),
}
TOTAL_LIMIT = 570


def main() -> int:
    arguments = parsed()
    folder = arguments.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.worker:
        modules = {name: module for name, (module, _) in SECTIONS.items()}
        work(modules, arguments.sections, Sizes(arguments.dry_run, arguments.quick), arguments.worker, machine())
        return 0
    stem = f"gpu-{datetime.date.today().isoformat()}" + ("-dry-run" if arguments.dry_run else "")
    target = folder / f"{stem}.json"
    wanted = [name for name in SECTIONS if not arguments.sections or name in arguments.sections]
    results: Found = {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "dry_run": arguments.dry_run,
        "quick": arguments.quick,
        "machine": {},
        "sections": {},
    }
    earlier: Found = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    # In a dry run all sections share one process, for starting ten takes most of the time.
    groups = [wanted] if arguments.dry_run else [[name] for name in wanted]
    deadline = time.monotonic() + TOTAL_LIMIT
    for group in groups:
        limit = min(sum(SECTIONS[name][1] for name in group), deadline - time.monotonic())
        if limit < 5:
            results["sections"] |= {name: {"error": "not run: no time left"} for name in group}
            continue
        print(f"== {', '.join(group)} (at most {limit:.0f} s)", flush=True)
        scratch = folder / f"worker-{os.getpid()}.json"
        command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(scratch), "-o", str(folder)]
        command += ["--sections", ",".join(group)]
        command += [*["--quick"] * arguments.quick, *["--dry-run"] * arguments.dry_run]
        variables = environment()
        if arguments.dry_run:
            # Tiny work is done sooner by one thread, and much sooner on a machine whose other cores are busy.
            variables |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        found = in_process(command, group, limit, scratch, variables)
        results["machine"] = found.pop("machine", results["machine"])
        if all(earlier.get(key) == results[key] for key in ("commit", "machine")):
            results["sections"] = earlier["sections"] | results["sections"]
        results["sections"] |= found
        # After every section, so that a run that is cut off leaves what it has measured.
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        target.with_suffix(".md").write_text(report(results), encoding="utf-8")
    print(report(results))
    errors = [name for name in wanted if "error" in results["sections"].get(name, {"error": ""})]
    print(f"written: {target}" + (f"; with errors: {', '.join(errors)}" if errors else ""))
    return 1 if errors else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Builds, checks and measures fastphoto on this machine's GPU.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results", metavar="FOLDER")
    parser.add_argument("--sections", type=lambda text: text.split(","), metavar="A,B", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and steps")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU, to test this program")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.sections or ()) - set(SECTIONS):
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return arguments


def machine() -> Found:
    found: Found = {"python": platform.python_version()}
    if importlib.util.find_spec("torch"):
        import torch

        found |= {"torch": torch.__version__, "cuda": torch.version.cuda}
        if torch.cuda.is_available():
            found |= {"gpu": torch.cuda.get_device_name(), "capability": list(torch.cuda.get_device_capability())}
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            if shutil.which("nvidia-smi"):
                found["driver"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    return found


if __name__ == "__main__":
    sys.exit(main())
