"""What the command prints on stderr: progress on a terminal and elsewhere, and warnings."""

from __future__ import annotations

import io
import sys
import types
import warnings

import pytest
from command_line import run_here

from fastphoto.cli import info, transfer
from fastphoto.cli.messages import ProgressReport, one_line
from fastphoto.errors import FastPhotoWarning


def step(stage: str, number: int, loss: float = 0.5):
    """Return the progress of a transfer of ten steps at 45x30 pixels."""
    losses = {"style": loss, "content": 0.25}
    return types.SimpleNamespace(is_step=True, stage=stage, scale=(30, 45), step=number, total=10, losses=losses)


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Replace stderr by a terminal and return its screen; in the test itself, since pytest sets stderr before each."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_a_stage_is_one_line_without_a_terminal(capsys):
    with ProgressReport() as report:
        for number in range(10):
            assert report(step("coarse" if number < 5 else "fine", number)) is None, (
                "the report would stop the transfer"
            )
    assert capsys.readouterr().err == "fastphoto: coarse 45x30\nfastphoto: fine 45x30\n"


def test_a_job_is_one_line_without_a_terminal(capsys):
    with ProgressReport() as report:
        report.job("one", None)
        report.job("one", step("style", 1))
        report.job("two", None)
    assert capsys.readouterr().err == "fastphoto: running one\nfastphoto: running two\n"


def test_steps_are_a_bar_on_a_terminal(monkeypatch):
    screen = terminal(monkeypatch)
    with ProgressReport() as report:
        for number in range(1, 5):
            report(step("coarse", number))
            report.bar.last_print_t -= 1  # as if it had been drawn a second ago
        assert (report.bar.n, report.bar.total) == (4, 10)
    assert "coarse 45x30" in screen.getvalue() and "loss 0.75" in screen.getvalue()


def test_a_download_is_a_bar_of_its_own_on_a_terminal(monkeypatch):
    screen = terminal(monkeypatch)
    with ProgressReport() as report:
        report.downloading("vgg19.pth", 1 << 20, 4 << 20)
        assert report.bar.n == 1 << 20
        report(step("coarse", 1))
        assert (report.bar.n, report.bar.total) == (1, 10)
    assert "downloading vgg19.pth" in screen.getvalue() and "coarse 45x30" in screen.getvalue()


def test_jobs_have_a_bar_each_on_a_terminal(monkeypatch):
    screen = terminal(monkeypatch)
    with ProgressReport() as report:
        report.job("one", None)
        report.job("one", step("style", 1))
        assert (report.bar.n, report.bar.total) == (1, 10)
        report.job("two", None)
        assert report.bar is None, "the bar of the job before is still there"
    assert "one: style 45x30" in screen.getvalue()


def warn_twice_and_once(args) -> None:
    for _ in range(2):
        warnings.warn("the mask\nis small", FastPhotoWarning, stacklevel=1)
    warnings.warn("noise of a library", UserWarning, stacklevel=1)


OURS = "fastphoto: warning: the mask is small\n"
THEIRS = "fastphoto: warning: noise of a library\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param([], OURS * 2, id="plain"),
        pytest.param(["--quiet"], "", id="quiet"),
        pytest.param(["--debug"], OURS * 2 + THEIRS, id="debug"),
    ],
)
def test_each_warning_is_one_line(options, said, monkeypatch, capsys):
    monkeypatch.setattr(transfer, "run", warn_twice_and_once)
    assert run_here("transfer", "a", "b", "-o", "c", *options) == 0
    assert capsys.readouterr().err == said


def test_warnings_are_shown_as_before_afterwards(monkeypatch):
    monkeypatch.setattr(info, "run", warn_twice_and_once)
    shown = warnings.showwarning
    run_here("info")
    assert warnings.showwarning is shown


def test_a_closed_stderr_is_no_error(monkeypatch, photos, tmp_path):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    words = ["transfer", photos["content"], photos["style"], "-o", tmp_path / "r.png", "--set", "steps=0", "--quiet"]
    assert run_here(*words, "--content-mask", tmp_path / "absent.png") == 2


@pytest.mark.parametrize(
    ("message", "line"),
    [("a\nb  c", "a b c"), (ValueError("a\n b"), "a b"), (ValueError(), "ValueError")],
    ids=["text", "error", "error without a message"],
)
def test_one_line(message, line):
    assert one_line(message) == line
