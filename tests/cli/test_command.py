"""The command as a whole: help, errors of usage, exit statuses, and how it is started."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys

import pytest
from command_line import error_line, run_here, run_process

from fastphoto.cli import info
from fastphoto.errors import FastPhotoError, FileError, InputError
from fastphoto.ops.library import build_info

COMMANDS = [
    "transfer",
    "ui",
    "look",
    "apply",
    "batch",
    "video",
    "demo",
    "invert",
    "info",
    "regions",
    "compare",
    "evaluate",
    "survey",
    "study",
]


def test_help_lists_every_command():
    done = run_process("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert re.findall(r"^    (\w+)  ", done.stdout, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", [*COMMANDS, "study make", "study charts"])
def test_every_command_has_help(command, capsys):
    assert run_here(*command.split(), "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: fastphoto {command} ")


def test_version(capsys):
    assert run_here("--version") == 0
    assert capsys.readouterr().out == f"fastphoto {build_info()['version']}\n"


PAIR = ["transfer", "a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "COMMAND", id="no command"),
        pytest.param(["paint"], "paint", id="unknown command"),
        pytest.param(PAIR, "--output", id="no output"),
        pytest.param([*PAIR, "-o", "c.jpg", "--size", "big"], "--size", id="size is no number"),
        pytest.param([*PAIR, "-o", "c.jpg", "--encoder", "vgg16"], "vgg19-16x", id="unknown encoder"),
    ],
)
def test_errors_of_usage_are_one_line_and_exit_2(words, said, capsys):
    assert run_here(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and said in error_line(captured.err)


def test_an_error_of_usage_in_a_process():
    done = run_process(*PAIR)
    assert (done.returncode, done.stdout) == (2, "") and "--output" in error_line(done.stderr)


FAILURES = [
    pytest.param(InputError("a\nb"), 2, "error: a b\n", id="input"),
    pytest.param(FileError("gone"), 2, "error: gone\n", id="file"),
    pytest.param(MemoryError(), 2, "error: not enough memory; use a smaller --size\n", id="memory"),
    pytest.param(FastPhotoError("diverged"), 1, "error: diverged\n", id="losses"),
    pytest.param(ZeroDivisionError("oops"), 1, "error: ZeroDivisionError: oops; run again with --debug", id="bug"),
    pytest.param(ZeroDivisionError(), 1, "error: ZeroDivisionError: ZeroDivisionError; run", id="bug, no message"),
]


def raising(error: BaseException):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(("error", "status", "said"), FAILURES)
def test_failures_are_one_line_with_an_exit_status(error, status, said, monkeypatch, capsys):
    monkeypatch.setattr(info, "run", raising(error))
    assert run_here("info") == status
    printed = capsys.readouterr().err
    assert printed.startswith(f"fastphoto: {said}") and printed.count("\n") == 1


@pytest.mark.parametrize(("error", "status", "said"), FAILURES)
def test_debug_shows_the_traceback_too(error, status, said, monkeypatch, capsys):
    monkeypatch.setattr(info, "run", raising(error))
    assert run_here("info", "--debug") == status
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback") and "raise error" in printed
    assert "--debug" not in printed, "it advises what was done already"


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
def test_ctrl_c_where_no_handler_is_set(debug, monkeypatch, capsys):
    monkeypatch.setattr(info, "run", raising(KeyboardInterrupt()))
    assert run_here("info", *debug) == 130
    assert capsys.readouterr().err == "fastphoto: interrupted\n"


def test_python_dash_m(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fastphoto", "info"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("fastphoto.cli", run_name="__main__")
    assert end.value.code == 0


def test_a_reader_of_stdout_that_has_ended_is_no_error(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        assert run_here("info") == 0


def test_a_reader_of_stdout_that_has_ended_in_a_process():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "fastphoto.cli", "info"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
