"""`-` in place of a file: photos and masks from standard input, results to standard output."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_input import CONTENT, STYLE, good_call
from PIL import Image

from fastphoto.cli.command import main


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
    assert done.returncode == 0 and b"wrote to standard output in" in done.stderr, done.stderr
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


def run_in_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `fastphoto` is the command."""
    good_call(folder)
    function = f'fastphoto() {{ {sys.executable} -m fastphoto.cli "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", function + line], cwd=folder, capture_output=True, text=True, timeout=300,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


@pytest.mark.parametrize("command", ["transfer content.png style.png", "invert content.png"])
def test_a_closed_standard_output_is_refused_before_the_work(command, tmp_path):
    done = run_in_shell(f"fastphoto {command} -o - >&-", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "fastphoto: error: -: standard output is closed; redirect it, or give a path\n"


def test_a_reader_that_ends_before_the_picture_is_an_error(tmp_path):
    line = "fastphoto transfer content.png style.png -o - --quiet --set steps=0 | true; exit ${PIPESTATUS[0]}"
    done = run_in_shell(line, tmp_path)
    assert done.returncode == 2
    assert done.stderr == ("fastphoto: error: standard output: the reader has ended before the end of the picture\n")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("evaluate - style.png content.png", "content"),
        ("evaluate content.png style.png content.png -", "results"),
        ("evaluate content.png style.png content.png --style-mask -", "style mask"),
        ("regions - -o found", "content"),
        ("regions content.png -o -", "output"),
    ],
)
def test_other_commands_do_not_take_a_dash(words, name, tmp_path, monkeypatch, capsys):
    good_call(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(words.split()) == 2
    line = f"{name} -: only transfer, invert, look and apply take - as standard input or output; give a path"
    assert capsys.readouterr().err == f"fastphoto: error: {line}\n"
    assert sorted(tmp_path.iterdir()) == before


def test_the_help_of_transfer_says_for_each_input_that_it_takes_a_dash(capsys):
    with pytest.raises(SystemExit):
        main(["transfer", "--help"])
    assert " ".join(capsys.readouterr().out.split()).count("; - reads it from standard input") == 4
