"""`fastphoto batch`: what it prints, how it ends, and how it goes on after it was stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from batches import hashes_of, leftovers, worker_processes, write_photos
from command_line import error_line, run_here, run_process

SHORT = ["--size", "48", "--set", "steps=2", "--regions", "none"]
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture
def shoot(tmp_path, monkeypatch):
    write_photos(tmp_path, 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ["batch", "photos", "--style", "style.png", "-o", "out", *SHORT]


def test_a_folder_of_photos(shoot, capsys):
    assert run_here(*COMMAND, "--workers", "2") == 0
    said = capsys.readouterr().err.splitlines()
    assert sorted(hashes_of(shoot / "out")) == [f"photo{n:03}.png" for n in range(4)]
    assert re.fullmatch(r"fastphoto: 1 of 4: wrote out/photo00\d\.png in [\d.]+ s; [\d.]+ a second, .* left", said[0])
    assert re.fullmatch(r"fastphoto: 4 done in [\d.]+ s; record: out/fastphoto-record\.jsonl", said[-1])
    assert len(said) == 5
    assert run_here(*COMMAND) == 0
    said = capsys.readouterr().err.splitlines()
    assert (
        re.fullmatch(r"fastphoto: 0 done in .*, 4 done before and unchanged; record: .*", said[-1]) and len(said) == 1
    )
    assert run_here(*COMMAND, "--quiet", "--force", "--record", "other.jsonl", "--format", "jpg") == 0
    assert capsys.readouterr().err == "" and len(list((shoot / "out").glob("*.jpg"))) == 4
    assert len((shoot / "other.jsonl").read_text().splitlines()) == 4


def test_a_manifest(shoot, capsys):
    (shoot / "jobs.csv").write_text(
        "content,output,size\nphotos/photo000.png,results/a.jpg,40\nphotos/photo001.png,,\n", "utf-8"
    )
    words = ["--manifest", "jobs.csv", "--style", "style.png", "-o", "out", *SHORT]
    assert run_here("batch", *words) == 0
    assert (shoot / "results" / "a.jpg").is_file() and (shoot / "out" / "photo001.png").is_file()
    entries = [json.loads(line) for line in (shoot / "out" / "fastphoto-record.jsonl").read_text().splitlines()]
    assert sorted(entry["options"]["size"] for entry in entries) == [40, 48]


def test_failures_are_told_and_the_status_is_1(shoot, capsys):
    (shoot / "photos" / "photo001.png").write_text("no photo")
    assert run_here(*COMMAND, "--workers", "1") == 1
    said = capsys.readouterr().err.splitlines()
    failed = [line for line in said if "failed: " in line]
    assert len(failed) == 1 and re.match(r"fastphoto: failed: .*/photo001\.png: not an image", failed[0])
    assert said[-1] == (
        "fastphoto: error: 1 photo failed, see out/fastphoto-record.jsonl; the same command tries them again"
    )
    assert len(hashes_of(shoot / "out")) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["batch"], "batch: no photos; give files, folders or patterns, or --manifest"),
        (["batch", "photos", "-o", "out"], "batch: no --style; give one"),
        (["batch", "photos", "--style", "style.png"], "batch: no --output; give one"),
        (["batch", "photos", "--manifest", "a.csv"], "--manifest: photos, masks and outputs stand in it"),
        (
            ["batch", "absent", "--style", "style.png", "-o", "out"],
            "absent: no such file, folder or match of a pattern",
        ),
        (["batch", "photos", "--style", "style.png", "-o", "s3://bucket/out"], "give --record, a file on this machine"),
        ([*COMMAND, "--workers", "0"], "workers: must be a whole number"),
        (["batch", "photos", "--style", "style.png", "-o", "photos"], "photos: is also the folder of the photos"),
        ([*COMMAND, "--set", "step=3"], "--set step=3: no such setting"),
        (["batch", "photos", "--style", "absent.png", "-o", "out"], "absent.png: no such file"),
        ([*COMMAND, "--size", "8"], "size: must be a whole number of 16 pixels or more, got 8"),
        ([*COMMAND, "--set", "steps=1,2"], "steps: "),
        (["batch", "-", "--style", "style.png", "-o", "out"], "photos -: only transfer, invert, look and apply take -"),
    ],
)
def test_what_cannot_be_used_has_status_2(words, message, shoot, capsys):
    assert run_here(*words) == 2
    assert message in error_line(capsys.readouterr().err)


@needs_proc
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_batch_that_is_stopped_goes_on(number, status, shoot):
    """Nothing half-written, no worker left behind, and the same pictures in the end as without the stop."""
    assert run_process(*COMMAND).returncode == 0
    expected = hashes_of(shoot / "out")
    words = [*COMMAND[:5], "again", *SHORT, "--workers", "2"]
    # A process of the tests may ignore SIGINT, and its children then would too.
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start += "from fastphoto.cli.command import main; sys.exit(main())"
    batch = subprocess.Popen([sys.executable, "-c", start, *words], stderr=subprocess.PIPE)
    while not hashes_of(shoot / "again"):
        time.sleep(0.01)
        assert batch.poll() is None
    workers = worker_processes(batch.pid)
    os.kill(batch.pid, number)
    batch.communicate(timeout=60)
    assert batch.returncode == status and len(workers) == 2
    end = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{worker}") for worker in workers) and time.monotonic() < end:
        time.sleep(0.05)  # after SIGKILL they finish the photo that they are in
    assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)
    assert hashes_of(shoot / "again").items() <= expected.items() and not leftovers(shoot)
    assert run_process(*words).returncode == 0
    assert hashes_of(shoot / "again") == expected
