"""What failed in other projects, by their public reports, replayed here; docs/reliability.md lists them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_photos import day, dusk

import fastphoto

ROOT = Path(__file__).parents[1]
CONTENT, STYLE = day(20, 24), dusk(24, 20)
SHORT: dict[str, Any] = {"size": 24, "scales": 1.0, "steps": 1, "regions": "none"}

pytestmark = pytest.mark.usefixtures("one_thread")


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests/support')]}\n"
    return subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, env={"PATH": "/usr/bin"} | environment
    )


def test_arrays_with_reversed_channels():  # face-alignment 259: frame[..., ::-1] has a negative stride
    for array in (CONTENT.array[..., ::-1], CONTENT.array[::-1, ::-1]):
        assert torch.equal(fastphoto.read_photo(array).pixels, fastphoto.read_photo(array.copy()).pixels)
    reversed_mask = CONTENT.mask_picture[..., ::-1][..., ::-1]
    assert torch.equal(
        fastphoto.read_masks(reversed_mask, (20, 24)).masks,
        fastphoto.read_masks(CONTENT.mask_picture, (20, 24)).masks,
    )


def test_transposed_tensors():  # kornia 4577: `view` refuses them
    photo = CONTENT.pixels.transpose(1, 2).contiguous().transpose(1, 2)
    assert not photo.is_contiguous()
    expected = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, **SHORT)
    assert torch.equal(fastphoto.transfer(photo, STYLE.pixels, **SHORT), expected)


def test_a_grey_style_and_a_style_with_alpha(tmp_path):  # Photorealistic-Style-Transfer 3, neural-style 53
    grey = Image.fromarray(STYLE.array).convert("L")
    transparent = Image.fromarray(STYLE.array).convert("RGBA")
    for style in (grey, transparent, grey.convert("LA")):
        style.save(tmp_path / "style.png")
        assert fastphoto.transfer(CONTENT.array, tmp_path / "style.png", **SHORT).shape == CONTENT.array.shape


def test_a_result_made_in_inference_mode_can_be_changed_later():  # ComfyUI-DGLS 3
    with torch.inference_mode():
        result = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, **SHORT)
    result.mul_(0.5)
    assert not result.is_inference()


def test_a_phone_photo_on_its_side(tmp_path):  # upscayl 68, nunif 339
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.fromarray(CONTENT.array).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    result = fastphoto.transfer(tmp_path / "phone.jpg", STYLE.array, **SHORT)
    assert result.size == (20, 24), "width and height as a viewer shows them"
    assert result.getexif().get(0x0112, 1) == 1, "turned twice in a viewer"


def test_a_process_without_console(tmp_path):  # tqdm 1523: the streams of pythonw and windowed programs are None
    Image.fromarray(CONTENT.array).save(tmp_path / "content.tif")
    Image.fromarray(STYLE.array).save(tmp_path / "style.png")
    done = run(f"""
import os, sys
os.chdir({str(tmp_path)!r})
sys.stdin = sys.stdout = sys.stderr = None
import fastphoto
from fastphoto.cli.command import main
fastphoto.transfer("content.tif", "style.png", size=24, scales=1.0, steps=1)
assert main(["transfer", "content.tif", "style.png", "-o", "result.png", "--size", "24"]) == 0
assert main(["info"]) == 0 and main(["transfer", "missing.png", "style.png", "-o", "other.png"]) == 2
assert sys.stdout is None and sys.stderr is None
os._exit(7)
""")
    assert done.returncode == 7, done.stderr
    assert (tmp_path / "result.png").exists()


def test_an_import_and_a_command_outside_the_main_thread(tmp_path):  # dgl 1170: signals
    Image.fromarray(CONTENT.array).save(tmp_path / "content.png")
    done = run(f"""
import os, signal, threading
os.chdir({str(tmp_path)!r})
handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
statuses = []
def work():
    from fastphoto.cli.command import main
    statuses.append(main(["transfer", "content.png", "content.png", "-o", "result.png", "--size", "24", "--quiet"]))
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert statuses == [0]
assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
""")
    assert done.returncode == 0, done.stderr


def test_a_container_without_a_folder_to_write():  # alibi-detect 435: caches of compiled code
    nowhere = "/proc/nowhere"
    done = run(
        """
import fastphoto
from rendered_photos import day, dusk
fastphoto.transfer(day(20, 24).array, dusk(24, 20).array, size=24, scales=1.0, steps=1)
""",
        **dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), nowhere),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert done.returncode == 0, done.stderr


def test_another_threads_default_dtype_does_not_disturb_a_call():  # a server that uses its own dtype meanwhile
    expected = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, **SHORT)
    end = threading.Event()

    def host() -> None:
        while not end.is_set():
            torch.set_default_dtype(torch.float64)
            torch.set_default_dtype(torch.float32)

    thread = threading.Thread(target=host)
    thread.start()
    try:
        results = [fastphoto.transfer(CONTENT.pixels, STYLE.pixels, **SHORT) for _ in range(5)]
    finally:
        end.set()
        thread.join()
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(result, expected) for result in results)


def test_arrays_that_cannot_be_written_to():  # what numpy.asarray(image) gives; PyTorch warns of them
    array = CONTENT.array
    array.flags.writeable = False
    assert torch.equal(fastphoto.read_photo(array).pixels, fastphoto.read_photo(CONTENT.array).pixels)
    assert np.array_equal(array, CONTENT.array)
