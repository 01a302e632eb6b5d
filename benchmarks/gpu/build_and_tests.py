"""The sections that say whether results on a GPU are right: the build, the tests, compute-sanitizer.

Imports neither torch nor fastphoto at the top: before the build, there may be none with CUDA.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.sizes import LIBRARY, Sizes, environment
from benchmarks.sections import ROOT, Results, SectionResults

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")


def run_command(
    results: Results, key: str, command: list[str], env: dict[str, str], folder: Path, dry_run: bool
) -> str:
    """Run a command, record its exit code and seconds, print the end of its output, and return all of it.

    A dry run only prints the command and records whether its program exists.
    """
    if dry_run:
        results[key] = {"exists": shutil.which(command[0]) is not None}
        print(f"{'would run' if results[key]['exists'] else 'not installed'}: {' '.join(command)}")
        return ""
    begin = time.monotonic()
    done = subprocess.run(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = done.stdout or ""
    print("\n".join(output.splitlines()[-60 if done.returncode else -3 :]), flush=True)
    results[key] = {"rc": done.returncode, "seconds": round(time.monotonic() - begin, 1)}
    return output


def build(results: SectionResults, sizes: Sizes) -> None:
    """Build the package with its CUDA kernels into a folder of its own, without network."""
    env = dict(os.environ)
    if not sizes.dry_run:
        import torch

        assert sizes.device.type == "cuda"
        major, minor = torch.cuda.get_device_capability()
        env |= {"FORCE_CUDA": "1", "FORCE_CPU": "0", "TORCH_CUDA_ARCH_LIST": f"{major}.{minor}"}
        LIBRARY.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "setup.py", "egg_info", "--egg-base", str(LIBRARY)]
    command += ["build", "--build-lib", str(LIBRARY), "--build-temp", str(LIBRARY.parent / "temp")]
    run_command(results, "setup.py", command, env, ROOT, sizes.dry_run)
    if sizes.dry_run:
        return
    if results["setup.py"]["rc"]:
        raise RuntimeError("the build failed; its output is printed above")
    script = "from fastphoto import ops; import json; print(json.dumps(ops.build_info()))"
    info = run_command(results, "import", [sys.executable, "-c", script], environment(), LIBRARY.parent, False)
    results["build_info"] = json.loads(info.strip().splitlines()[-1])
    if results["build_info"]["cuda"] is None:
        raise RuntimeError("the library was built without CUDA")


def tests(results: SectionResults, sizes: Sizes) -> None:
    """Run the tests that need a GPU with the library built here."""
    folder = LIBRARY.parent if not sizes.dry_run else ROOT
    command = [sys.executable, "-m", "pytest", str(ROOT / "tests"), "-k", "cuda and not emulation and not emulated"]
    command += ["-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", "--maxfail=40"]
    output = run_command(results, "pytest", command, environment(), folder, sizes.dry_run)
    if not sizes.dry_run:
        counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", output[-400:])}
        results["counts"] = counts
        results["failures"] = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
        if results["pytest"]["rc"] or not counts.get("passed"):
            raise RuntimeError("tests failed or none ran; their output is printed above")


def sanitizer(results: SectionResults, sizes: Sizes) -> None:
    """Run all kernels under compute-sanitizer's four tools, all at once: they are slow and mostly wait for the CPU."""
    script = [sys.executable, str(Path(__file__).with_name("check_kernels.py")), sizes.device.type]
    env = environment() | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    plain = subprocess.run(script, env=env, capture_output=True, text=True, timeout=60)
    wrong = [line for line in plain.stdout.splitlines() if line.startswith("WRONG")]
    results["without sanitizer"] = {"rc": plain.returncode, "wrong": wrong}
    if plain.returncode:
        results.add_error(f"check_kernels.py ended with code {plain.returncode} without a sanitizer")
        print(plain.stderr[-2000:])
    program = find_sanitizer()
    if sizes.dry_run or program is None:
        for tool in TOOLS:
            results[tool] = {"exists": program is not None}
        if not sizes.dry_run:
            raise RuntimeError("compute-sanitizer is not installed")
        return
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    logs = {tool: LIBRARY.parent / f"{tool}.log" for tool in TOOLS}
    running = {}
    for tool, log in logs.items():
        command = [program, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20", *script]
        with log.open("wb") as output:
            running[tool] = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 100
    for tool, process in running.items():
        code = wait_or_kill(process, deadline)
        lines = logs[tool].read_text(encoding="utf-8", errors="replace").splitlines()
        summary = [line for line in lines if "SUMMARY" in line]
        results[tool] = {"rc": code, "summary": summary, "clean": code == 0 and bool(summary)}
        if not results[tool]["clean"]:
            print("\n".join(lines[-40:]))
            results.add_error(f"{tool}: code {code}, {' '.join(summary) or 'no summary'}")


def find_sanitizer() -> str | None:
    """Return the path of compute-sanitizer, which toolkits do not always put on the search path."""
    if program := shutil.which("compute-sanitizer"):
        return program
    candidates = map(str, sorted(Path("/usr/local").glob("cuda*/bin/compute-sanitizer")))
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def wait_or_kill(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    """Return the exit code of a process, or kill it at the deadline and return None."""
    try:
        return process.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
