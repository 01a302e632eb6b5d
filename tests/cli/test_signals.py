"""Ctrl-C and `kill`: the first signal stops the command cleanly, the second ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import run_here
from PIL import Image

from fastphoto.cli import transfer
from fastphoto.cli.signals import Stopped, defer_signals, raise_on_signals

SIGNALS = [
    pytest.param(signal.SIGINT, "interrupted", id="SIGINT"),
    pytest.param(signal.SIGTERM, "terminated", id="SIGTERM"),
]


@pytest.fixture
def caught():
    """Let SIGINT be caught, as in a terminal, also where those who run the tests ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "word"), SIGNALS)
def test_a_signal_is_raised_at_once(number, word, caught):
    with pytest.raises(Stopped, match=word) as stopped, raise_on_signals():
        os.kill(os.getpid(), number)
        pytest.fail("went on after the signal")
    assert stopped.value.status == 128 + number


@pytest.mark.parametrize(("number", "word"), SIGNALS)
def test_a_deferred_signal_is_raised_at_the_end(number, word, caught):
    arrived = []
    with pytest.raises(Stopped, match=word) as stopped, defer_signals() as interrupted:
        arrived.append(interrupted())
        os.kill(os.getpid(), number)
        arrived.append(interrupted())
    assert arrived == [False, True] and stopped.value.status == 128 + number


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with raise_on_signals():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_signal_ends_the_process_at_once():
    script = """
import os, signal, time
from fastphoto.cli.signals import defer_signals
signal.signal(signal.SIGINT, signal.default_int_handler)  # those who run the tests may ignore it
with defer_signals() as interrupted:
    os.kill(os.getpid(), signal.SIGINT)
    print("first", interrupted(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM and done.stdout == "first True\n" and done.stderr == ""


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_handlers_are_restored():
    before = handlers()
    with raise_on_signals():
        assert signal.getsignal(signal.SIGTERM) not in before, "no handler was set"
    assert handlers() == before


def test_no_handler_is_set_outside_the_main_thread():
    statuses, before = [], handlers()
    thread = threading.Thread(target=lambda: statuses.append(run_here("info")))
    thread.start()
    thread.join()
    assert statuses == [0] and handlers() == before


PARTIAL = [pytest.param([], False, id="plain"), pytest.param(["--save-partial"], True, id="save-partial")]


@pytest.mark.parametrize(("options", "written"), PARTIAL)
def test_an_interrupted_transfer(options, written, photos, tmp_path, monkeypatch, capsys, caught):
    real = transfer.transfer

    def interrupted_transfer(*pair, callback, **arguments):
        def at_each_step(progress):
            os.kill(os.getpid(), signal.SIGINT)
            return callback(progress)

        return real(*pair, callback=at_each_step, **arguments)

    monkeypatch.setattr(transfer, "transfer", interrupted_transfer)
    out = tmp_path / "out.png"
    assert run_here("transfer", photos["content"], photos["style"], "-o", out, *options) == 130
    said = capsys.readouterr().err
    assert said.endswith("fastphoto: interrupted\n")
    assert ("wrote" in said) == out.exists() == written


def wait_for_first_stage(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert process.stderr.readline().startswith("fastphoto: ")


@pytest.mark.parametrize(("options", "written"), PARTIAL)
@pytest.mark.parametrize(("number", "word"), SIGNALS)
def test_an_interrupted_process(number, word, options, written, photos, tmp_path: Path):
    out = tmp_path / "out.png"
    words = ["transfer", photos["content"], photos["style"], "-o", str(out), "--preset", "paper", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastphoto.cli", *words],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its children ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    guard = threading.Timer(120, process.kill)
    guard.start()
    try:
        wait_for_first_stage(process)
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == 128 + number, rest
    finally:
        guard.cancel()
        process.kill()
    assert rest.endswith(f"fastphoto: {word}\n") and "Traceback" not in rest
    assert (f"wrote {out}" in rest) == out.exists() == written
    assert not written or Image.open(out).size == (64, 48)
    assert not list(tmp_path.glob(".fastphoto-*")), "a temporary file is left"
