"""Compile every CUDA kernel, without a GPU, and fail if one spills registers or uses local memory.

    python tools/compile_cuda.py [--resources | FILE.cu ...]

Targets are sm_80, sm_90 and PTX. The variable NVCC names the compiler (default: nvcc on PATH). The headers are those of
the installed torch, which may be one without CUDA. --resources also writes the registers and the shared memory of each
kernel on sm_90 to benchmarks/gpu/kernel_resources.json, for the estimates in docs/gpu.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch.utils.cpp_extension import COMMON_NVCC_FLAGS, include_paths

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "benchmarks" / "gpu" / "kernel_resources.json"
TARGETS = ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=[sm_90,compute_90]"]
FLAGS = [*COMMON_NVCC_FLAGS, "-std=c++17", "-O3", "-DTORCH_TARGET_VERSION=0x020a000000000000", "-DUSE_CUDA"]
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for '(?P<target>\w+)'"
    r".*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?:.*?(?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


def compiler_report(nvcc: str, source: Path) -> str:
    """Compile a file and return what ptxas reports about its kernels."""
    includes = [f"-I{path}" for path in (ROOT / "csrc", *include_paths())]
    command = [nvcc, *FLAGS, *TARGETS, "-Xptxas=-v", *includes, "-c", str(source), "-o", os.devnull]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"compile_cuda: {source.name} does not compile\n{run.stderr}")
    return run.stderr


def kernels_in(report: str, source: Path) -> list[re.Match[str]]:
    """Return a match of KERNEL for each kernel of a report."""
    entries = report.split("ptxas info    : Compiling")[1:]
    kernels = [match for entry in entries if (match := KERNEL.search("Compiling" + entry.replace("\n", " ")))]
    if len(kernels) < len(entries) or not kernels:
        sys.exit(f"compile_cuda: {source.name}: the compiler's report is not understood\n{report}")
    return kernels


def plain_name(mangled: str) -> str:
    """Return the kernel's name with its template arguments, as in "gram_kernel<bfloat16>"."""
    for found in re.finditer(r"(?=(\d{1,2})([a-z_]+_kernel)(\w*))", mangled):
        length, name, rest = found.groups()
        if int(length) == len(name):
            break
    else:
        return mangled
    if not rest.startswith("I"):
        return name
    types = {"f": "float", "d": "double", "13__nv_bfloat16": "bfloat16", "Lb0E": "false", "Lb1E": "true"}
    words, rest = [], rest[1:]
    while word := re.match(r"13__nv_bfloat16|Lb[01]E|Li(\d+)E|[fd]", rest):
        words.append(types.get(word[0]) or word[1])
        rest = rest[word.end() :]
    return f"{name}<{', '.join(words)}>"


def write_resources(kernels: list[re.Match[str]]) -> None:
    """Write registers and bytes of shared memory of each kernel on sm_90."""
    resources = {
        plain_name(kernel["name"]): {"registers": int(kernel["registers"]), "shared": int(kernel["shared"] or 0)}
        for kernel in kernels
        if kernel["target"] == "sm_90"
    }
    RESOURCES.write_text(json.dumps(dict(sorted(resources.items())), indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    nvcc = shutil.which(os.environ.get("NVCC", "nvcc"))
    if nvcc is None:
        sys.exit("compile_cuda: no nvcc here, kernels NOT compiled; set NVCC to the CUDA compiler")
    resources = arguments == ["--resources"]
    sources = [] if resources else [Path(name) for name in arguments]
    sources = sources or sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = list(pool.map(lambda source: compiler_report(nvcc, source), sources))
    spilling = 0
    compiled = []
    for source, report in zip(sources, reports, strict=True):
        kernels = kernels_in(report, source)
        compiled += kernels
        print(f"{source.name}: {len(kernels)} kernels, at most {max(int(k['registers']) for k in kernels)} registers")
        for kernel in kernels:
            if any(int(kernel[what]) for what in ("stack", "stores", "loads")):
                spilling += 1
                print(
                    f"  {plain_name(kernel['name'])} on {kernel['target']}: {kernel['stack']} bytes of local memory, "
                    f"{kernel['stores']} spilled, {kernel['registers']} registers"
                )
    if resources:
        write_resources(compiled)
    if spilling:
        print(f"compile_cuda: {spilling} kernels keep registers in memory")
    return 1 if spilling else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
