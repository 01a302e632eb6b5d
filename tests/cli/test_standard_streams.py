"""`-` in place of a file: photos and masks from standard input, results to standard output."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_input import CONTENT, STYLE, good_call
from PIL import Image


def png(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, "PNG")
    return data.getvalue()


def run_piped(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "fastphoto.cli", *map(str, words), "--set=steps=2"]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=300, **options)


def test_a_photo_is_piped_through(tmp_path):
    call = good_call(tmp_path)
    done = run_piped("transfer", "-", call["style"], "-o", "-", input=png(CONTENT.array), stdout=subprocess.PIPE)
    assert done.returncode == 0 and b"wrote standard output" in done.stderr, done.stderr
    assert run_piped("transfer", call["content"], call["style"], "-o", call["output"]).returncode == 0
    with Image.open(io.BytesIO(done.stdout)) as piped, Image.open(call["output"]) as written:
        assert piped.format == "PNG" and piped.size == (48, 40)
        np.testing.assert_array_equal(np.asarray(piped), np.asarray(written))


def test_a_mask_is_piped_in_and_a_full_disk_is_one_line(tmp_path):
    call = good_call(tmp_path)
    Image.fromarray(STYLE.mask_picture).save(tmp_path / "style_mask.png")
    masks = ["--content-mask=-", f"--style-mask={tmp_path / 'style_mask.png'}"]
    with Path("/dev/full").open("wb") as full:
        done = run_piped(
            "transfer",
            call["content"],
            call["style"],
            "-o-",
            "--quiet",
            *masks,
            input=png(CONTENT.mask_picture),
            stdout=full,
        )
    assert done.returncode == 2
    assert done.stderr == b"fastphoto: error: standard output: cannot be written (No space left on device)\n"


@pytest.mark.parametrize(
    ("content", "style", "error"),
    [
        ("-", "-", "-: standard input can be only one of content and style; give paths of the others"),
        ("-", "style.png", "content: the file is empty"),
    ],
    ids=["both", "nothing"],
)
def test_what_standard_input_cannot_be(content, style, error, tmp_path):
    good_call(tmp_path)
    done = run_piped(
        "transfer", content, style, "-o-", cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.decode() == f"fastphoto: error: {error}\n"
