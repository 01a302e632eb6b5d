"""Compiles every CUDA kernel, without a GPU, and fails where one spills registers or uses local memory.

    python tools/compile_cuda.py [FILE.cu ...]

For sm_80, sm_90 and PTX, with the nvcc that NVCC names or that is on PATH, against the headers of the torch at hand,
which may be one without CUDA.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch.utils.cpp_extension import COMMON_NVCC_FLAGS, include_paths

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=[sm_90,compute_90]"]
FLAGS = [*COMMON_NVCC_FLAGS, "-std=c++17", "-O3", "-DTORCH_TARGET_VERSION=0x020a000000000000", "-DUSE_CUDA"]
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for '(?P<target>\w+)'"
    r".*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?:.*?(?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


def report_of(nvcc: str, source: Path) -> str:
    """What the compiler says of a file's kernels."""
    includes = [f"-I{path}" for path in (ROOT / "csrc", *include_paths())]
    command = [nvcc, *FLAGS, *TARGETS, "-Xptxas=-v", *includes, "-c", str(source), "-o", os.devnull]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"compile_cuda: {source.name} does not compile\n{run.stderr}")
    return run.stderr


def plain_name(mangled: str) -> str:
    """The last of a mangled name's parts that belongs to a kernel, and its template arguments as they stand."""
    parts = re.findall(r"\d+([a-z]\w*?_kernel)(\w*)", mangled)
    return f"{parts[-1][0]} {parts[-1][1].split('EEv')[0]}".strip() if parts else mangled


def main(arguments: list[str]) -> int:
    nvcc = shutil.which(os.environ.get("NVCC", "nvcc"))
    if nvcc is None:
        sys.exit("compile_cuda: no nvcc here, kernels NOT compiled; set NVCC to the CUDA compiler")
    sources = [Path(name) for name in arguments] or sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = list(pool.map(lambda source: report_of(nvcc, source), sources))
    bad = 0
    for source, report in zip(sources, reports, strict=True):
        kernels = [part for part in report.split("ptxas info    : Compiling")[1:]]
        found = [match for part in kernels if (match := KERNEL.search("Compiling" + part.replace("\n", " ")))]
        if len(found) < len(kernels) or not found:
            sys.exit(f"compile_cuda: {source.name}: the compiler's report is not understood\n{report}")
        print(f"{source.name}: {len(found)} kernels, at most {max(int(k['registers']) for k in found)} registers")
        for kernel in found:
            if any(int(kernel[what]) for what in ("stack", "stores", "loads")):
                bad += 1
                print(
                    f"  {plain_name(kernel['name'])} on {kernel['target']}: {kernel['stack']} bytes of local memory, "
                    f"{kernel['stores']} spilled, {kernel['registers']} registers"
                )
    if bad:
        print(f"compile_cuda: {bad} kernels keep registers in memory")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
