"""The command as a user meets it: options, messages, exit statuses, progress, the demo and a transfer."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastphoto.cli import command as cli
from fastphoto.cli import transfer_commands
from fastphoto.cli.messages import Report
from fastphoto.cli.signals import stoppable
from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.regions.matching import match_regions
from fastphoto.regions.reading import read_masks
from fastphoto.reports import contact_sheet


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "fastphoto.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, **options,
    )  # fmt: skip


@pytest.fixture
def photos(tmp_path):
    """A content photo (90 x 60, blue above green), a style photo (80 x 64, red above black), and masks."""
    generator = np.random.default_rng(0)
    for name, (height, width), top, bottom in (
        ("content", (60, 90), (90, 140, 220), (60, 130, 50)),
        ("style", (64, 80), (230, 110, 60), (30, 20, 30)),
    ):
        mask = np.zeros((height, width, 3), np.uint8)
        mask[: height // 2], mask[height // 2 :] = (0, 255, 255), (0, 255, 0)
        pixels = np.where(mask[..., 2:] > 0, top, bottom) + generator.normal(0, 12, mask.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
    return tmp_path


def test_help():
    done = command("--help")
    assert done.returncode == 0 and done.stderr == ""
    for name in ("transfer", "demo", "invert", "info", "compare", "evaluate", "regions", "survey", "study"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["paint"], "paint"),
        (["transfer", "a.jpg", "b.jpg"], "--output"),
        (["transfer", "a.jpg", "b.jpg", "-o", "c.jpg", "--size", "big"], "--size"),
        (["transfer", "a.jpg", "b.jpg", "-o", "c.jpg", "--encoder", "vgg16"], "vgg19-16x"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(arguments, said):
    done = command(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("fastphoto: error: ") and done.stderr.count("\n") == 1
    assert said in done.stderr and "Traceback" not in done.stderr


def test_output_is_checked_before_anything_is_read(photos, capsys):
    missing = photos / "no" / "result.png"
    assert cli.main(["transfer", "absent.png", "absent.png", "-o", str(missing)]) == 2
    assert "does not exist" in capsys.readouterr().err
    content = str(photos / "content.png")
    before = Path(content).read_bytes()
    assert cli.main(["transfer", content, str(photos / "style.png"), "-o", content]) == 2
    assert "also an input" in capsys.readouterr().err and Path(content).read_bytes() == before


def test_missing_photo(photos, capsys):
    assert cli.main(["transfer", "absent.png", str(photos / "style.png"), "-o", str(photos / "r.png")]) == 2
    captured = capsys.readouterr()
    assert captured.err == "fastphoto: error: absent.png: no such file\n" and captured.out == ""


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a\nb"), 2, "fastphoto: error: a b\n"),
        (FileError("gone"), 2, "fastphoto: error: gone\n"),
        (MemoryError(), 2, "fastphoto: error: not enough memory; use a smaller --size\n"),
        (KeyboardInterrupt(), 130, "fastphoto: interrupted\n"),
        (ZeroDivisionError("oops"), 1, "fastphoto: error: ZeroDivisionError: oops; run again with --debug"),
    ],
)
def test_exit_statuses(error, status, said, monkeypatch, capsys):
    def fail(options):
        raise error

    monkeypatch.setattr(transfer_commands, "_info", fail)
    assert cli.main(["info"]) == status
    err = capsys.readouterr().err
    assert err.startswith(said) and err.count("\n") == 1
    assert cli.main(["info", "--debug"]) == status
    assert ("Traceback" in capsys.readouterr().err) == (status != 130)


def test_warnings_are_one_line_each(monkeypatch, capsys):
    import warnings

    def warn(options):
        for _ in range(2):
            warnings.warn("the mask\nis small", FastPhotoWarning, stacklevel=1)
        warnings.warn("noise of a library", UserWarning, stacklevel=1)

    monkeypatch.setattr(transfer_commands, "_transfer", warn)
    arguments = ["transfer", "a", "b", "-o", "c"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().err == "fastphoto: warning: the mask is small\n" * 2
    assert cli.main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main([*arguments, "--debug"]) == 0
    assert "noise of a library" in capsys.readouterr().err


def progress(stage, step, total=10, loss=0.5):
    return types.SimpleNamespace(
        stage=stage, scale=(30, 45), step=step, total=total, losses={"style": loss, "content": 0.25}
    )


def test_progress_without_a_terminal_is_one_line_a_stage(capsys):
    with Report() as report:
        for step in range(10):
            assert report(progress("coarse" if step < 5 else "fine", step)) is None, "True would stop the run"
    assert capsys.readouterr().err == "fastphoto: coarse 45x30\nfastphoto: fine 45x30\n"


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    with Report() as report:
        report.downloading("vgg19.pth", 1 << 20, 4 << 20)
        assert report.bar.n == 1 << 20
        for step in range(1, 5):
            report(progress("coarse", step))
            report.bar.last_print_t -= 1  # as if the last drawing were a second ago
        assert (report.bar.n, report.bar.total) == (4, 10)
    shown = screen.getvalue()
    assert "downloading vgg19.pth" in shown and "coarse 45x30" in shown and "loss 0.75" in shown


def test_progress_of_many_jobs(capsys, monkeypatch):
    with Report() as report:
        report.job("one", None)
        report.job("one", progress("style", 1))
        report.job("two", None)
    assert capsys.readouterr().err == "fastphoto: running one\nfastphoto: running two\n"
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    with Report() as report:
        report.job("one", None)
        report.job("one", progress("style", 1))
        assert (report.bar.n, report.bar.total) == (1, 10)
        report.job("two", None)
        assert report.bar is None
    assert "one: style 45x30" in screen.getvalue()


def test_info(monkeypatch, tmp_path):
    (tmp_path / "vgg19-d01eb7cb.pth").touch()
    done = command("info", env={**os.environ, "FASTPHOTO_CACHE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert f"torch {torch.__version__}" in done.stdout and "device       cpu" in done.stdout
    assert f"vgg19: {tmp_path / 'vgg19-d01eb7cb.pth'}" in done.stdout
    assert "vgg19-16x: not here yet" in done.stdout


def test_info_into_a_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "fastphoto.cli", "info"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_demo_pairs_fit_their_masks():
    pairs = demo_pairs()
    licences = (pairs[0].parent / "LICENCES.md").read_text()
    assert len(pairs) >= 2
    for pair in pairs:
        photo = {role: read_photo(pair / f"{role}.jpg", role) for role in ("content", "style")}
        labels = {role: read_masks(pair / f"{role}_mask.png", photo[role].size, role) for role in ("content", "style")}
        regions = match_regions(
            labels["content"],
            labels["style"],
            photo["content"].pixels,
            photo["style"].pixels,
            orphans="error",
        )
        assert len(regions.names) >= 2
        assert torch.all(regions.content.sum(0) == 1), "every pixel of a demo belongs to a region"
        for role in ("content", "style"):
            assert f"`{pair.name}/{role}.jpg`" in licences
    assert sum(f.stat().st_size for f in pairs[0].parent.rglob("*") if f.is_file()) < 1.2e6


def test_transfer(photos):
    masks = ["--content-mask", photos / "content_mask.png", "--style-mask", photos / "style_mask.png"]
    out = photos / "result.png"
    done = command("transfer", photos / "content.png", photos / "style.png", "-o", out, "--size", "64", *masks)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("fastphoto: ") for line in lines) and lines[-1].startswith(f"fastphoto: wrote {out}")
    assert len(lines) >= 2, "no stage was shown"
    result, content, style = (
        np.asarray(Image.open(photos / f"{n}.png"), float) for n in ("result", "content", "style")
    )
    assert result.shape == content.shape
    for half in (np.s_[:24], np.s_[-24:]):  # each region takes on the colour of its own region
        mean = [image[half].mean((0, 1)) for image in (result, content, style)]
        assert np.linalg.norm(mean[0] - mean[2]) < 0.5 * np.linalg.norm(mean[1] - mean[2])


def test_quiet_transfer_and_bad_settings(photos):
    pair = [photos / "content.png", photos / "style.png", "-o", photos / "r.jpg", "--size", "64"]
    done = command("transfer", *pair, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Image.open(photos / "r.jpg").size == (90, 60)
    (photos / "r.jpg").unlink()
    done = command("transfer", *pair, "--quiet", "--set", "orphans=drop", "--set", "steps=1")
    assert (done.returncode, done.stderr) == (0, "") and (photos / "r.jpg").exists()
    (photos / "r.jpg").unlink()
    done = command("transfer", *pair, "--set", "no_such_setting=1")
    assert done.returncode == 2 and "no_such_setting" in done.stderr and done.stderr.count("\n") == 1
    assert not (photos / "r.jpg").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("partial", [False, True])
def test_a_signal_ends_the_run_and_leaves_no_output_or_the_best(number, partial, photos):
    out = photos / "r.png"
    words = ["transfer", photos / "content.png", photos / "style.png", "-o", out, "--preset", "paper"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastphoto.cli", *words, *["--save-partial"] * partial],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    guard = threading.Timer(120, process.kill)
    guard.start()
    try:
        assert process.stderr.readline().startswith("fastphoto: "), "the first stage"
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == 128 + number, rest
    finally:
        guard.cancel()
        process.kill()
    assert rest.endswith("fastphoto: interrupted\n" if number == signal.SIGINT else "fastphoto: terminated\n")
    assert "Traceback" not in rest and out.exists() == partial
    if partial:
        assert Image.open(out).size == (90, 60) and f"wrote {out}" in rest
    assert not list(photos.glob(".fastphoto-*"))


def test_a_second_signal_ends_it_at_once():
    script = """
import os, signal, sys, time
from fastphoto.cli.signals import stoppable_later
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored by who runs the tests
with stoppable_later() as stopped:
    os.kill(os.getpid(), signal.SIGINT)
    print("first", stopped(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM and done.stdout == "first True\n" and done.stderr == ""


def test_signals_are_left_as_they_were():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) not in before
    ran = []
    thread = threading.Thread(target=lambda: ran.append(cli.main(["info"])))
    thread.start()
    thread.join()
    assert ran == [0] and [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_demo(tmp_path):
    done = command("demo", "-o", tmp_path / "new" / "folder", "--size", "96")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "new" / "folder"
    for pair in demo_pairs():
        assert Image.open(folder / f"{pair.name}.jpg").size == Image.open(pair / "content.jpg").size
    sheet = Image.open(folder / "contact-sheet.jpg")
    assert sheet.height > len(demo_pairs()) * contact_sheet.HEIGHT and sheet.width > 3 * contact_sheet.HEIGHT
