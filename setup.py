"""The build of fastphoto.ops._C, the native operators; everything else about the package is in pyproject.toml."""

import glob
import os
import re
import shutil
import subprocess
import sys

import pybind11
import torch
from setuptools import setup


def find_cuda_toolkit() -> None:
    """Set CUDA_HOME to the toolkit's folder, because torch guesses a wrong one if nvcc on PATH is a wrapper."""
    nvcc = shutil.which("nvcc")
    if nvcc and not os.environ.get("CUDA_HOME") and not os.environ.get("CUDA_PATH"):
        report = subprocess.run([nvcc, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True).stderr
        if top := re.search(r"^#\$ TOP=(.+)$", report, re.MULTILINE):
            os.environ["CUDA_HOME"] = os.path.normpath(top[1])


find_cuda_toolkit()
from torch.utils.cpp_extension import CUDA_HOME, BuildExtension, CppExtension, CUDAExtension  # noqa: E402

# libtorch's stable interface of version 2.10: a build runs on that version and on every later one.
STABLE_ABI = "-DTORCH_TARGET_VERSION=0x020a000000000000"
# From Ampere, the first with bfloat16 tensor cores, to Hopper and later. Used if no GPU is present and
# TORCH_CUDA_ARCH_LIST is not set.
DEFAULT_ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"


def switched_on(name: str) -> bool:
    return os.environ.get(name, "0").lower() not in ("", "0", "no", "off", "false")


def cuda_sources() -> tuple[list[str], str]:
    """Return the CUDA files to compile, and the reason if there are none."""
    sources = sorted(glob.glob("csrc/cuda/*.cu"))
    if switched_on("FORCE_CPU"):
        return [], "FORCE_CPU is set"
    if not sources:
        return [], "this version has no CUDA kernels"
    if switched_on("FORCE_CUDA"):
        return sources, ""
    if torch.version.cuda is None:
        return [], "torch is built without CUDA"
    if CUDA_HOME is None:
        return [], "no CUDA toolkit found, set CUDA_HOME"
    return sources, ""


def package_version() -> str:
    with open("pyproject.toml", encoding="utf-8") as file:
        return next(line.split('"')[1] for line in file if line.startswith("version = "))


cuda, reason = cuda_sources()
if cuda and not torch.cuda.is_available():
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_ARCHITECTURES)
print(f"fastphoto: building for CPU{' and CUDA' if cuda else f' only ({reason})'}, torch {torch.__version__}")

version = f'-DFASTPHOTO_VERSION="{package_version()}"'
compile_args = {"cxx": ["-O3", "-g0", "-Wall", "-fvisibility=hidden", STABLE_ABI, version]}
if cuda:
    compile_args["cxx"].append("-DFASTPHOTO_CUDA")
    compile_args["nvcc"] = ["-O3", STABLE_ABI, "-DUSE_CUDA"]

extension = (CUDAExtension if cuda else CppExtension)(
    "fastphoto.ops._C",
    sources=[*sorted(glob.glob("csrc/*.cpp") + glob.glob("csrc/cpu/*.cpp")), *cuda],
    include_dirs=[os.path.abspath("csrc"), pybind11.get_include()],
    depends=[*sorted(glob.glob("csrc/**/*.h", recursive=True)), "csrc/exported_symbols.map"],
    extra_compile_args=compile_args,
    extra_link_args=["-Wl,--version-script=csrc/exported_symbols.map"] if sys.platform == "linux" else [],
)
setup(ext_modules=[extension], cmdclass={"build_ext": BuildExtension})
