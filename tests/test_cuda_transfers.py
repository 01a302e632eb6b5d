"""Whole transfers with the CUDA kernels: the same image as with the CPU's kernels, and the same bits in every run.

They run on a GPU if there is one, and on the CPU by `make cuda-emulate`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from demo_scenes import DESERT, MOUNTAINS
from emulation import EMULATION
from locations import ROOT
from rendered_photos import day, dusk

import fastphoto
from fastphoto import ops

CUDA = ops.build_info()["cuda"] is not None and torch.cuda.is_available()
pytestmark = pytest.mark.skipif(not EMULATION and not CUDA, reason="neither a CUDA device nor its emulation is in use")


def run(device: str, **settings) -> np.ndarray:
    """Transfer between two photos with two regions, of sizes that no tile divides."""
    content, style = (p.pixels.numpy().transpose(1, 2, 0) for p in (day(45, 67), dusk(51, 49)))
    masks = [np.zeros(p.shape[:2], dtype=np.int64) for p in (content, style)]
    masks[0][20:], masks[1][:, 25:] = 1, 1
    return fastphoto.transfer(content, style, *masks, size=64, device=device, precision="float32", **settings)


SETTINGS = {
    "fast": {"steps": 6},
    "painterly": {"preset": "painterly", "steps": (3, 3, 3)},
    "adam": {
        "preset": "painterly",
        "solver": "adam",
        "steps": (2, 2, 2),
        "smooth_radius": 3,
        "smooth_colour": 0.1,
        "total_variation_weight": 1e-3,
    },
    "two stages": {
        "preset": "painterly",
        "stages": ("style", "photorealism"),
        "scales": (1.0,),
        "steps": (4,),
        "projection": False,
        "start": "content",
    },
}
DEVICE = "cpu" if EMULATION else "cuda"


def cpu_result(settings: dict, folder: Path) -> np.ndarray:
    """Return the result of the CPU's kernels, from another process if the emulation replaces them in this one."""
    if not EMULATION:
        return run("cpu", **settings)
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "FASTPHOTO_CUDA_EMULATION")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests" / "support")))
    script = f"import numpy, test_cuda_transfers as t; numpy.save('cpu.npy', t.run('cpu', **{settings}))"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=folder)
    return np.load(folder / "cpu.npy")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_transfer_is_that_of_the_cpu(settings, tmp_path):
    expected, got = cpu_result(settings, tmp_path), run(DEVICE, **settings)
    start = run(DEVICE, **settings | {"steps": 0})
    difference = np.abs(expected - got).mean()
    # Products on tensor cores are exact to 1e-6. A content changed by as much moves the results of the CPU by 2.5e-3.
    assert difference < 4e-3
    assert np.abs(expected - start).mean() > 5 * difference, "the optimisation hardly moved, or moved elsewhere"


@pytest.mark.parametrize("preset", ["fast", "painterly"])
def test_same_bits_in_every_run(preset):
    first, second = (run(DEVICE, **SETTINGS[preset]) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("preset", ["fast", "painterly"])
@pytest.mark.skipif(not CUDA, reason="no CUDA device")
def test_bfloat16_is_close_to_float32(preset):
    content, style = day(90, 120).pixels, dusk(90, 120).pixels
    exact, rounded = (
        fastphoto.transfer(content, style, preset=preset, size=120, device="cuda", precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert (exact - rounded).abs().mean() < 0.02


@pytest.mark.skipif(not CUDA, reason="no CUDA device")
def test_regions_of_photos_on_the_gpu_are_those_of_the_cpu():
    on_gpu = fastphoto.find_regions(MOUNTAINS.cuda(), DESERT.cuda())
    on_cpu = fastphoto.find_regions(MOUNTAINS, DESERT)
    for found, expected in zip(on_gpu, on_cpu, strict=True):
        assert found.names == expected.names and torch.equal(found.masks.cpu(), expected.masks)
    result = fastphoto.transfer(MOUNTAINS.cuda(), DESERT.cuda(), steps=2)
    assert result.device.type == "cuda" and result.isfinite().all()
