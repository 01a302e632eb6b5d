"""Memory of transfers: the estimate is near the truth, and a size that would not fit is refused with one that does."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from PIL import Image
from rendered_photos import day, dusk

import fastphoto
from fastphoto.encoders.encoder import load_encoder
from fastphoto.errors import InputError
from fastphoto.optimisation import memory
from fastphoto.optimisation.memory import check_transfer, out_of_memory_refused, transfer_bytes
from fastphoto.optimisation.presets import preset_settings

CONTENT, STYLE = day(160, 240), dusk(140, 120)
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="/proc and the limit of a process are Linux's")


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


# The estimate


def test_more_layers_and_a_longer_history_need_more():
    encoder, usual = load_encoder("embedded"), preset_settings("painterly")
    shallow = preset_settings("painterly", style_layers="relu1_1", style_weights=1.0, content_layers="relu1_1")
    sizes = [transfer_bytes(10**6, encoder, each) for each in (shallow, usual, preset_settings("paper"))]
    assert sizes == sorted(sizes) and sizes[2] - sizes[1] == 90 * 24 * 10**6


ESTIMATE_AND_PEAK = """
import re, sys, torch, fastphoto
from pathlib import Path
from fastphoto.encoders.encoder import load_encoder
from fastphoto.optimisation.memory import transfer_bytes
from fastphoto.optimisation.presets import preset_settings

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

height, width = map(int, sys.argv[3:5])
photo = torch.rand(3, height, width)
fastphoto.transfer(photo[:, :64, :64], photo[:, :64, :64], steps=1)  # loads whatever stays loaded
before = peak()
regions = int(sys.argv[2])
masks = torch.arange(width).expand(height, width) * regions // width
masks = {str(number): (masks == number).float().numpy() for number in range(regions)}
fastphoto.transfer(photo, photo, masks, masks, size=width, steps=1, preset=sys.argv[1])
print(transfer_bytes(height * width, load_encoder("embedded"), preset_settings(sys.argv[1]), regions), peak() - before)
"""


@needs_proc
@pytest.mark.parametrize(
    ("preset", "regions", "height", "width"),
    [("fast", 1, 1120, 1680), ("fast", 9, 1120, 1680), ("painterly", 1, 560, 840)],
)
def test_the_estimate_is_near_the_measured_peak(preset, regions, height, width):
    """A first transfer leaves memory that the measured one may use, so that a peak can look too low, never too high."""
    ratios = []
    for _ in range(3):
        done = run(ESTIMATE_AND_PEAK, preset, regions, height, width)
        assert done.returncode == 0, done.stderr
        estimate, measured = map(int, done.stdout.split())
        ratios.append(measured / estimate)
        assert ratios[-1] < 1.5
        if ratios[-1] > 0.5:
            return
    raise AssertionError(f"measured / estimated: {ratios}")


# Refusals


def test_a_size_that_does_not_fit_is_refused_with_one_that_does(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device="cpu": 60_000_000)
    needed = r"size: 240x160 pixels need about 0.1 GiB of memory on cpu, .* left; a size of (\d+) fits"
    with pytest.raises(InputError, match=needed) as error:
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1)
    fitting = int(re.search(needed, str(error.value))[1])
    assert 100 < fitting < 240
    fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1, size=fitting)


def test_the_proposed_size_fits_where_little_shrinks_with_it():
    """What a recolouring takes at 192 pixels does not shrink with the size."""
    encoder, settings, megabytes = load_encoder("embedded"), preset_settings("fast"), 10**6
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(InputError, match=r"a size of \d+ fits") as error,
    ):
        patch.setattr(memory, "available_bytes", lambda device: 150 * megabytes)
        check_transfer((2000, 3000), 9, encoder, settings, torch.device("cpu"))
    fitting = int(re.search(r"a size of (\d+)", str(error.value))[1])
    assert fitting > 192 and transfer_bytes(fitting * fitting * 2 // 3, encoder, settings, 9) <= 150 * megabytes


def test_no_size_is_proposed_if_none_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device="cpu": 1000)
    with pytest.raises(InputError, match="free some"):
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1)


def test_nothing_is_refused_if_the_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device="cpu": None)
    fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: no")],
    ids=["Python", "CUDA", "PyTorch on the CPU"],
)
def test_running_out_of_memory_nevertheless_is_one_line(error):
    message = "not enough memory for 30x20 pixels; use a smaller size"
    with pytest.raises(InputError, match=message), out_of_memory_refused((20, 30)):
        raise error


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="something else"), out_of_memory_refused((20, 30)):
        raise RuntimeError("something else")


LIMITED_COMMAND = """
import resource, sys
from pathlib import Path
from fastphoto.cli.command import main

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
sys.exit(main(sys.argv[1:]))
"""


@needs_proc
def test_the_memory_limit_of_a_process_is_obeyed(tmp_path):
    """The system would otherwise refuse memory in the middle of the work."""
    photo, result = tmp_path / "content.jpg", tmp_path / "r.png"
    Image.fromarray(CONTENT.array).resize((3000, 2000)).save(photo)
    done = run(LIMITED_COMMAND, "transfer", photo, photo, "-o", result, "--size", 3000)
    assert done.returncode == 2 and not result.exists()
    assert done.stderr.splitlines()[-1].startswith("fastphoto: error: size: 3000x2000 pixels need about"), done.stderr
