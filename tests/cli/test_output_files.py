"""Outputs that cannot be written, kinds 37, 75 to 77 and 91 of docs/reliability.md, and transparency lost in a JPEG."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from bad_input import (
    CONTENT,
    STYLE,
    Accepted,
    Call,
    Refused,
    assert_documented,
    command_words,
    each,
    files_in,
    good_call,
)
from command_line import run_process
from PIL import Image


def transparent_content(folder: Path) -> Call:
    Image.fromarray(np.dstack([CONTENT.array, np.full((40, 48), 200, np.uint8)])).save(folder / "rgba.png")
    return {"content": folder / "rgba.png", "output": folder / "out.jpg"}


def output_is_a_mask(folder: Path) -> Call:
    Image.fromarray(CONTENT.mask_picture).save(folder / "content_mask.png")
    Image.fromarray(STYLE.mask_picture).save(folder / "style_mask.png")
    masks = {"content_mask": folder / "content_mask.png", "style_mask": folder / "style_mask.png"}
    return masks | {"output": folder / "style_mask.png"}


CASES = [
    Accepted(19, "alpha to JPEG", transparent_content, warning="JPEG has no transparency"),
    Refused(37, "output is the content", lambda folder: {"output": folder / "content.png"}, error="also an input"),
    Refused(37, "output is the style", lambda folder: {"output": folder / "style.png"}, error="also an input"),
    Refused(37, "output is a mask", output_is_a_mask, error="also an input"),
    Refused(75, "extension of no image", lambda folder: {"output": folder / "out.txt"}, error="cannot write this kind"),
    Refused(75, "no extension", lambda folder: {"output": folder / "out"}, error="cannot write this kind"),
    Refused(76, "no folder", lambda folder: {"output": folder / "nowhere" / "out.png"}, error="does not exist"),
    Refused(77, "output is a device", lambda folder: {"output": "/dev/full"}, error="regular file|cannot write"),
]


@each(CASES)
def test_command(case, tmp_path, capsys):
    case.check_command(tmp_path, capsys)


def test_documentation_says_the_same():
    assert_documented(CASES)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of a file's size")
def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path):
    import resource

    call = good_call(tmp_path)
    call["output"].write_bytes(b"an older result")
    before = files_in(tmp_path)
    full = 2000  # bytes, after which writing fails as on a full disk
    done = run_process(*command_words(call), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (full, full)))
    assert done.returncode == 2 and "cannot be written (File too large)" in done.stderr.splitlines()[-1]
    assert files_in(tmp_path) == before, "files changed although the disk was full"
