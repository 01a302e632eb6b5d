"""The machine that a run measures: its processor, its GPU, their clocks, and the versions that figures depend on."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path

from benchmarks.sections import Results

# The instruction sets that decide which kernels run.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
GPU_FACTS = {"driver": "driver_version", "SM clock MHz": "clocks.max.sm", "memory clock MHz": "clocks.max.memory"}


def machine_facts() -> Results:
    """Return what figures depend on. Without torch or fastphoto, as before a build, what they would say is left out."""
    facts = processor_facts() | {"python": platform.python_version()}
    if importlib.util.find_spec("torch"):
        import torch

        facts |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        facts["kernels"] = torch.backends.cpu.get_cpu_capability()
        if torch.cuda.is_available():
            facts |= {"cuda": torch.version.cuda, "gpu": torch.cuda.get_device_name()}
            facts["capability"] = list(torch.cuda.get_device_capability())
            facts |= gpu_facts()
    return facts


def processor_facts() -> Results:
    """Return model, cores, instruction sets, clock and memory of this machine."""
    model, flags, clocks, info = platform.processor() or platform.machine(), "", [], Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            model = value if key == "model name" else model
            flags = value if key in ("flags", "Features") else flags
            if key == "cpu MHz":
                clocks.append(float(value))
    facts: Results = {"cpu": model, "cores": os.cpu_count()}
    facts["instructions"] = [name for name in INSTRUCTIONS if name in flags.split()]
    if clocks:
        facts["clock MHz"] = round(max(clocks))
    facts["memory GB"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return facts


def gpu_facts() -> Results:
    """Return what nvidia-smi says of the first GPU."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FACTS.values())}", "--format=csv,noheader,nounits"]
    output = subprocess.run(query, capture_output=True, text=True).stdout.strip().splitlines()
    return dict(zip(GPU_FACTS, (value.strip() for value in output[0].split(",")), strict=False)) if output else {}


def described(results: Results) -> str:
    """Return a line that says where and when a run was: device, versions, date, commit and kind of run."""
    machine, commit = results["machine"], results["commit"][:12] or "unknown"
    words = [machine.get("gpu") or machine.get("cpu") or "an unknown machine"]
    versions = {"driver": "driver", "torch": "torch", "cuda": "CUDA"}
    words += [f"{name} {machine[key]}" for key, name in versions.items() if machine.get(key)]
    words += [f"{machine['cores']} CPU cores"] if machine.get("cores") else []
    if not machine.get("gpu") and machine.get("instructions"):
        words.append("AVX-512" if "avx512f" in machine["instructions"] else machine["instructions"][-1])
    words += [results["date"][:10], f"commit {commit}" + (" with changes" if results.get("dirty") else "")]
    words += ["few repetitions"] * bool(results.get("quick") or results.get("full") is False)
    if (load := results.get("load before", 0)) > 0.5:
        words.append(f"while other programs ran (load {load:.1f})")
    return ", ".join(words)
