"""Build the package with its CUDA kernels compiled for the CPU, into a folder to put on PYTHONPATH.

    python tests/cuda_emulation/build.py FOLDER [--sanitize]

The kernels are compiled from the same sources as for CUDA, but against the headers in this folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pybind11
from torch.utils.cpp_extension import include_paths, library_paths

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FLAGS = ["-O2", "-g1", "-fPIC", "-Wall", "-Wno-unknown-pragmas", "-fvisibility=hidden"]
DEFINES = [
    "-DTORCH_TARGET_VERSION=0x020a000000000000",
    "-DUSE_CUDA",
    "-DFASTPHOTO_CUDA_KEY=CPU",
    '-DFASTPHOTO_VERSION="0.1.0"',
    "-DTORCH_EXTENSION_NAME=_C",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-fno-sanitize=vptr"]


def build(folder: Path, sanitize: bool) -> None:
    """Compile what has changed since the last call, link it, and copy the package beside it."""
    # On a GPU cuDNN and PyTorch's own operators do this work; here fastphoto's CPU kernels stand in.
    names = (
        "colour_spaces",
        "contrast_excess",
        "convolution",
        "local_affine_sum",
        "parallel",
        "region_moments",
        "region_recolouring",
        "sorted_distance",
    )
    on_cpu = [ROOT / "csrc" / "cpu" / f"{name}.cpp" for name in names]
    sources = [ROOT / "csrc" / "library.cpp", *on_cpu, HERE / "runtime.cpp"]
    sources += sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
    host_functions = ROOT / "csrc" / "host_functions.cpp"
    headers = [*ROOT.glob("csrc/**/*.*h"), *HERE.rglob("*.h"), Path(__file__)]
    newest = max(path.stat().st_mtime for path in headers)
    flags = [*FLAGS, *(SANITIZE if sanitize else [])]
    includes = [HERE, ROOT / "csrc", *include_paths(), pybind11.get_include(), sysconfig.get_path("include")]
    folder.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        if not target.exists() or target.stat().st_mtime < max(newest, source.stat().st_mtime):
            command = [os.environ.get("CXX", "g++"), "-std=c++20", *flags, *DEFINES]
            command += [f"-I{include}" for include in includes]
            subprocess.run([*command, "-x", "c++", "-c", source, "-o", target], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, [host_functions, *sources]))
    package = folder / "fastphoto"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "fastphoto", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    links = [flag for path in library_paths() for flag in (f"-L{path}", f"-Wl,-rpath,{path}")]
    links += ["-Wl,-Bsymbolic", "-lc10", "-ltorch_cpu", "-ltorch"]
    extension = f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    for name, parts in ((extension, objects[:1]), ("_operators.so", objects[1:])):
        command = [os.environ.get("CXX", "g++"), "-shared", *flags, *parts, *links, "-o", package / "ops" / name]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sanitize", action="store_true", help="with AddressSanitizer and UndefinedBehaviorSanitizer")
    arguments = parser.parse_args()
    try:
        build(arguments.folder, arguments.sanitize)
    except subprocess.CalledProcessError as error:
        sys.exit(f"build: the compiler failed with exit code {error.returncode}")
