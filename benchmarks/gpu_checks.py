"""The sections that say whether a GPU gets right results: building, the tests, compute-sanitizer.

Imports neither torch nor fastphoto at once: before `build`, there may be none with CUDA to import.
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

from gpu_section import LIBRARY, Sizes, environment
from sections import ROOT, Found, Recorder


def run_command(found: Found, key: str, command: list[str], env: dict[str, str], cwd: Path, dry_run: bool) -> str:
    """A command's output; it, its exit code and its last lines are recorded. A dry run only says whether it is here."""
    text = " ".join(command)
    if dry_run:
        found[key] = {"command": text, "here": shutil.which(command[0]) is not None}
        print(f"{'would run' if found[key]['here'] else 'not here'}: {text}")
        return ""
    begin = time.monotonic()
    done = subprocess.run(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = done.stdout or ""
    print(output[-3000:], flush=True)
    tail = output.splitlines()[-60:] if done.returncode else output.splitlines()[-3:]
    found[key] = {"command": text, "rc": done.returncode, "seconds": round(time.monotonic() - begin, 1), "tail": tail}
    return output


def build(found: Recorder, sizes: Sizes) -> None:
    """The package with its CUDA kernels, into a folder of its own; needs no network."""
    env = dict(os.environ)
    if not sizes.dry_run:
        import torch

        assert sizes.device.type == "cuda"
        major, minor = torch.cuda.get_device_capability()
        env |= {"FORCE_CUDA": "1", "FORCE_CPU": "0", "TORCH_CUDA_ARCH_LIST": f"{major}.{minor}"}
        LIBRARY.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "setup.py", "egg_info", "--egg-base", str(LIBRARY)]
    command += ["build", "--build-lib", str(LIBRARY), "--build-temp", str(LIBRARY.parent / "temp")]
    run_command(found, "setup.py", command, env, ROOT, sizes.dry_run)
    if sizes.dry_run:
        return
    if found["setup.py"]["rc"]:
        raise RuntimeError("the build failed, see its tail")
    script = "from fastphoto import ops; import json; print(json.dumps(ops.build_info()))"
    info = run_command(found, "import", [sys.executable, "-c", script], environment(), LIBRARY.parent, False)
    found["build_info"] = json.loads(info.strip().splitlines()[-1])
    if found["build_info"]["cuda"] is None:
        raise RuntimeError("the library was built without CUDA")


def tests(found: Recorder, sizes: Sizes) -> None:
    """The tests that run on the GPU, against the library built here."""
    folder = LIBRARY.parent if not sizes.dry_run else ROOT
    command = [sys.executable, "-m", "pytest", str(ROOT / "tests"), "-k", "cuda and not emulation and not emulated"]
    command += ["-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", "--maxfail=40"]
    output = run_command(found, "pytest", command, environment(), folder, sizes.dry_run)
    if not sizes.dry_run:
        counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", output[-400:])}
        found["counts"] = counts
        if found["pytest"]["rc"] or not counts.get("passed"):
            raise RuntimeError("tests failed, or none ran; see the tail")


def sanitizer(found: Recorder, sizes: Sizes) -> None:
    """compute-sanitizer's four tools over every kernel, all at the same time: they are slow and wait for the CPU."""
    script = [sys.executable, str(ROOT / "benchmarks" / "every_kernel.py")]
    env = environment() | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    device = "cpu" if sizes.dry_run else "cuda"
    plain = subprocess.run([*script, device], env=env, capture_output=True, text=True, timeout=60)
    found["without sanitizer"] = {"rc": plain.returncode, "tail": (plain.stdout + plain.stderr).splitlines()[-3:]}
    wrong = [line for line in plain.stdout.splitlines() if line.startswith("WRONG")]
    if plain.returncode:
        found["error"] = "\n".join(["every_kernel.py without sanitizer", *wrong, plain.stderr[-2000:]])
    tool = shutil.which("compute-sanitizer") or next(
        (path for path in map(str, Path("/usr/local").glob("cuda*/bin/compute-sanitizer")) if os.access(path, os.X_OK)),
        "compute-sanitizer",
    )
    here = shutil.which(tool) is not None
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    running = {}
    for name in ("memcheck", "racecheck", "initcheck", "synccheck"):
        command = [tool, "--tool", name, "--error-exitcode", "9", "--print-limit", "20", *script, device]
        if sizes.dry_run or not here:
            found[name] = {"command": " ".join(command), "here": here}
            continue
        log = open(LIBRARY.parent / f"{name}.log", "w+", encoding="utf-8")  # noqa: SIM115
        running[name] = (subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT), log)
    deadline = time.monotonic() + 100
    for name, (process, log) in running.items():
        try:
            code: int | None = process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            process.wait()
        log.seek(0)
        lines = log.read().splitlines()
        log.close()
        summary = [line for line in lines if "SUMMARY" in line]
        found[name] = {"rc": code, "summary": summary, "tail": lines[-40:] if code else lines[-2:]}
        found[name]["clean"] = code == 0 and bool(summary)
        if not found[name]["clean"]:
            found["error"] = found.get("error", "") + f"{name}: {summary or lines[-5:]}, code {code}\n"
    if not here and not sizes.dry_run:
        raise RuntimeError("compute-sanitizer is not here")
