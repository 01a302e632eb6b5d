"""What cannot fit into memory is refused before the work, with the size that fits; what the prediction says is near."""

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
from fastphoto.errors import FileError, InputError
from fastphoto.optimisation import memory as transfer_memory
from fastphoto.optimisation.memory import out_of_memory_refused, transfer_bytes
from fastphoto.optimisation.presets import preset_settings
from fastphoto.photos.read import read_photo
from fastphoto.runtime import memory
from fastphoto.runtime.memory import available_bytes

CONTENT, STYLE = day(160, 240), dusk(140, 120)


def test_what_is_left_is_a_number_of_bytes():
    left = available_bytes()
    assert left is None or 1 << 20 < left < 1 << 45


def test_a_size_that_cannot_fit_is_refused_with_one_that_does(monkeypatch):
    monkeypatch.setattr(transfer_memory, "available_bytes", lambda device="cpu": 20_000_000)
    with pytest.raises(
        InputError, match=r"size: 240x160 pixels need about 0.0 GiB of memory on cpu, .* left; a size"
    ) as e:
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1)
    fitting = int(re.search(r"a size of (\d+) fits", str(e.value))[1])
    assert 100 < fitting < 240
    fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1, size=fitting)
    monkeypatch.setattr(transfer_memory, "available_bytes", lambda device="cpu": 1000)
    with pytest.raises(InputError, match="free some"):
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1)
    monkeypatch.setattr(transfer_memory, "available_bytes", lambda device="cpu": None)  # nobody knows
    fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=1)


def test_a_photo_that_cannot_fit_is_not_decoded(monkeypatch, tmp_path):
    Image.fromarray(CONTENT.array).save(tmp_path / "p.png")
    monkeypatch.setattr(memory, "available_bytes", lambda device="cpu": 240 * 160 * 20)
    with pytest.raises(FileError, match="p.png: 240x160 pixels need about"):
        read_photo(tmp_path / "p.png")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: no")]
)
def test_running_out_all_the_same_is_one_line(error):
    wanted = "not enough memory for 30x20 pixels; use a smaller size"
    with pytest.raises(InputError, match=wanted), out_of_memory_refused((20, 30)):
        raise error
    with pytest.raises(RuntimeError, match="something else"), out_of_memory_refused((20, 30)):
        raise RuntimeError("something else")


def test_more_layers_and_a_longer_history_need_more():
    encoder, fast = load_encoder("embedded"), preset_settings("fast")
    shallow = preset_settings("fast", style_layers=("relu1_1",), style_weights=(1.0,), content_layers=("relu1_1",))
    sizes = [transfer_bytes(10**6, encoder, each) for each in (shallow, fast, preset_settings("paper"))]
    assert sizes == sorted(sizes) and sizes[2] - sizes[1] == 90 * 24 * 10**6


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the process is Linux's")
def test_a_limit_of_the_process_is_exit_2_and_one_line(tmp_path):
    """Where the system itself would refuse memory in the middle of the work."""
    Image.fromarray(CONTENT.array).resize((3000, 2000)).save(tmp_path / "content.jpg")
    script = (
        "import resource, sys, fastphoto.cli.command as c;"
        "from pathlib import Path;"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2);"
        "sys.exit(c.main(sys.argv[1:]))"
    )
    words = ["transfer", tmp_path / "content.jpg", tmp_path / "content.jpg", "-o", tmp_path / "r.png", "--size", "3000"]
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and not (tmp_path / "r.png").exists()
    assert done.stderr.splitlines()[-1].startswith("fastphoto: error: size: 3000x2000 pixels need about"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_prediction_is_near_what_is_taken(tmp_path):
    script = (
        "import re, torch, fastphoto; from pathlib import Path;"
        "from fastphoto.optimisation.memory import transfer_bytes;"
        "from fastphoto.encoders.encoder import load_encoder;"
        "from fastphoto.optimisation.presets import preset_settings;"
        "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]);"
        "photo = torch.rand(3, 560, 840); fastphoto.transfer(photo[:, :64, :64], photo[:, :64, :64], steps=1);"
        "before = peak(); fastphoto.transfer(photo, photo, size=840, steps=1);"
        "said = transfer_bytes(560 * 840, load_encoder('embedded'), preset_settings('fast'));"
        "print((peak() - before) / said)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert 0.5 < float(done.stdout) < 1.5
