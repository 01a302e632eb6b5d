"""`fastphoto video`: what it prints, bad input, kinds 107 to 116 of docs/reliability.md, and interrupts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bad_input import documented_outcomes, files_in
from command_line import error_line, run_here
from PIL import Image
from rendered_photos import dusk
from tiny_clips import decoded, panned, write_clip

FAST = ("--size", "64", "--set", "steps=1", "--set", "scales=1.0", "--regions", "none")


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Tiny frames: more threads would wait for one another."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(dusk(48, 64).array).save(tmp_path / "style.png")
    return tmp_path


def run(folder: Path, clip: str, output: str, *options: str) -> int:
    return run_here("video", folder / clip, folder / "style.png", "-o", folder / output, *FAST, *options)


def test_it_says_how_far_it_is_and_what_it_wrote(folder, capsys):
    write_clip(folder / "clip.mp4", panned("day", 5))
    assert run(folder, "clip.mp4", "result.mp4") == 0
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"fastphoto: 1 of 5 frames, [\d.]+ a second, \d+ s left", lines[0])
    assert re.fullmatch(r"fastphoto: wrote .*result\.mp4 in [\d.]+ s", lines[-1])
    assert len(decoded(folder / "result.mp4")) == 5


def test_quiet(folder, capsys):
    write_clip(folder / "clip.mp4", panned("day", 3))
    assert run(folder, "clip.mp4", "result.mp4", "--quiet") == 0
    assert capsys.readouterr().err == ""


def no_video(folder: Path) -> None:
    import av

    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_frames(folder: Path) -> None:
    clip = write_clip(folder / "clip.mp4", panned("day", 4), options={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: data.index(b"mdat") + 4])


def damaged(folder: Path) -> None:
    clip = write_clip(folder / "clip.mp4", panned("day", 4))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])  # the index is at the end


def odd(folder: Path) -> None:
    write_clip(folder / "clip.mkv", [each[:63, :95] for each in panned("day", 3)], codec="ffv1", pixel_format="bgr0")


def good(folder: Path, **options: object) -> None:
    write_clip(folder / "clip.mp4", panned("day", 4), **options)


NO_VIDEO = "cannot be read as a video"
REFUSED = [
    (107, "missing", lambda folder: None, "clip.mp4", "out.mp4", (), r"clip\.mp4: cannot be read as a video \(No such"),
    (
        107,
        "text",
        lambda f: (f / "clip.mp4").write_text("hello"),
        "clip.mp4",
        "out.mp4",
        (),
        "cannot be read as a video",
    ),
    (107, "damaged", damaged, "clip.mp4", "out.mp4", (), NO_VIDEO),
    (107, "empty", lambda f: (f / "clip.mp4").write_bytes(b""), "clip.mp4", "out.mp4", (), NO_VIDEO),
    (108, "no video", no_video, "clip.mp4", "out.mp4", (), "has no video stream"),
    (108, "no frames", no_frames, "clip.mp4", "out.mp4", (), "frame|damaged"),
    (110, "odd", odd, "clip.mkv", "out.mp4", (), "95x63 pixels cannot be written as 4:2:0"),
    (111, "container", good, "clip.mp4", "out.avi", (), r"cannot write this kind of video; use \.mp4"),
    (111, "sound", lambda f: good(f, sound="aac"), "clip.mp4", "out.webm", (), r"cannot hold the clip's audio \(aac\)"),
    (111, "codec", good, "clip.mp4", "out.webm", ("--codec", "h264"), "libx264 in webm cannot be written"),
    (112, "no such codec", good, "clip.mp4", "out.mp4", ("--codec", "h266"), "is not in this PyAV"),
    (112, "quality", good, "clip.mp4", "out.mp4", ("--quality", "99"), "whole number from 0"),
    (112, "interval", good, "clip.mp4", "out.mp4", ("--interval", "0"), "from 1 to 250"),
    (113, "the clip", good, "clip.mp4", "clip.mp4", (), "also an input"),
    (113, "the style", good, "clip.mp4", "style.png", (), "also an input"),
    (113, "no folder", good, "clip.mp4", "nowhere/out.mp4", (), "does not exist"),
]


@pytest.mark.parametrize(
    ("make", "clip", "output", "options", "error"),
    [pytest.param(*case[2:], id=f"{case[0]}-{case[1].replace(' ', '-')}") for case in REFUSED],
)
def test_refused(make, clip, output, options, error, folder, capsys):
    make(folder)
    before = files_in(folder)
    assert run(folder, clip, output, *options) == 2
    assert re.search(error, error_line(capsys.readouterr().err))
    assert files_in(folder) == before


def test_documentation_says_the_same():
    assert all("refused" in documented_outcomes()[number] for number, *_ in REFUSED)
    assert "warning" in documented_outcomes()[109] and "frames so far" in documented_outcomes()[109]


def test_a_cut_off_file_is_one_warning(folder, capsys):
    clip = write_clip(folder / "clip.mkv", panned("day", 36))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert run(folder, "clip.mkv", "out.mkv") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(said) == 1 and "the rest of the file is missing" in said[0]


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    write_clip(folder / "clip.mp4", panned("day", 250, step=0))
    (folder / "out.mp4").write_bytes(b"an older result")
    words = ["video", folder / "clip.mp4", folder / "style.png", "-o", folder / "out.mp4", *FAST, "--interval", "2"]
    command = [sys.executable, "-m", "fastphoto.cli", *map(str, words), *options]
    # A shell that runs the tests in the background has its children ignore the signal.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not any(path.name.startswith(".fastphoto-") for path in folder.iterdir()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    assert process.stderr is not None
    assert "1 of 250 frames" in process.stderr.readline()
    return process


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_nothing(folder):
    process = started(folder)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.splitlines()[-1] == "fastphoto: interrupted"
    assert {path.name for path in folder.iterdir()} == {"clip.mp4", "style.png", "out.mp4"}
    assert (folder / "out.mp4").read_bytes() == b"an older result"


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_with_save_partial_writes_the_frames_so_far(folder):
    process = started(folder, "--save-partial")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert 1 <= len(decoded(folder / "out.mp4")) < 250
