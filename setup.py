"""The build of the native code in csrc/; everything else about the package is in pyproject.toml.

Two libraries go into fastphoto/ops: `_operators`, the operators of PyTorch, which needs no Python and so serves all its
versions, and `_C`, a small pybind11 module for one version of Python.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup

try:
    import pybind11
    import torch
except ModuleNotFoundError as error:
    sys.exit(f"fastphoto: the build needs {error.name}: pip install torch pybind11 ninja")


def find_cuda_toolkit() -> None:
    """Set CUDA_HOME to the toolkit's folder, because torch guesses a wrong one if nvcc on PATH is a wrapper."""
    nvcc = shutil.which("nvcc")
    if nvcc and not os.environ.get("CUDA_HOME") and not os.environ.get("CUDA_PATH"):
        report = subprocess.run([nvcc, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True).stderr
        if top := re.search(r"^#\$ TOP=(.+)$", report, re.MULTILINE):
            os.environ["CUDA_HOME"] = os.path.normpath(top[1])


find_cuda_toolkit()
from torch.utils.cpp_extension import (  # noqa: E402
    CUDA_HOME,
    BuildExtension,
    CppExtension,
    CUDAExtension,
    get_cxx_compiler,
    include_paths,
)

# libtorch's stable interface of version 2.10: a build runs on that version and on every later one.
STABLE_ABI = "-DTORCH_TARGET_VERSION=0x020a000000000000"
# From Ampere, the first with bfloat16 tensor cores, to Hopper and later. Used if no GPU is present and
# TORCH_CUDA_ARCH_LIST is not set.
DEFAULT_ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"
# Without contraction, the same values give the same bits wherever they lie, see csrc/cpu/vector.h. Nothing reads the
# processor's flags of floating-point errors, and without them choices between two values can be vectorised.
FLAGS = (
    ["/O2", "/clang:-ffp-contract=off", "/DNOMINMAX"]  # of clang-cl: Microsoft's own compiler lacks GNU vectors
    if sys.platform == "win32"
    else ["-O3", "-g0", "-ffp-contract=off", "-fno-trapping-math", "-Wall", "-fvisibility=hidden"]
)


class BuildLibraries(BuildExtension):
    """Builds the operators without the name of a Python version, and says in one line that a compiler is missing."""

    def get_ext_filename(self, name: str) -> str:
        path = Path(super().get_ext_filename(name))
        return str(path.parent / f"_operators{path.suffix}") if name.endswith("_operators") else str(path)

    def build_extensions(self) -> None:
        compiler = get_cxx_compiler()
        if shutil.which(compiler.split()[0]) is None:
            sys.exit(
                f"fastphoto: no C++ compiler ({compiler}) here; install one, such as g++ with apt install g++, or "
                "the wheel, which needs none: pip install --only-binary fastphoto fastphoto"
            )
        super().build_extensions()


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

flags = [*FLAGS, *(["-DFASTPHOTO_CUDA"] if cuda else [])]
headers = [*sorted(glob.glob("csrc/**/*.h", recursive=True)), "csrc/exported_symbols.map"]
hidden = ["-Wl,--version-script=csrc/exported_symbols.map"] if sys.platform == "linux" else []

operators = (CUDAExtension if cuda else CppExtension)(
    "fastphoto.ops._operators",
    sources=["csrc/library.cpp", *sorted(glob.glob("csrc/cpu/*.cpp")), *cuda],
    include_dirs=[os.path.abspath("csrc")],
    depends=headers,
    extra_compile_args={"cxx": [*flags, STABLE_ABI], "nvcc": ["-O3", STABLE_ABI, "-DUSE_CUDA"]},
    extra_link_args=hidden,
    py_limited_api=True,  # links none of Python
)
host_functions = Extension(
    "fastphoto.ops._C",
    sources=["csrc/host_functions.cpp"],
    include_dirs=[os.path.abspath("csrc"), pybind11.get_include(), *include_paths("cuda" if cuda else "cpu")],
    depends=headers,
    extra_compile_args={"cxx": [*flags, f'-DFASTPHOTO_VERSION="{package_version()}"']},
    extra_link_args=hidden,
    language="c++",
)
setup(ext_modules=[operators, host_functions], cmdclass={"build_ext": BuildLibraries})
