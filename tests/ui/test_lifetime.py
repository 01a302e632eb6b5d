"""The command `fastphoto ui`, and servers that end, are killed and come back: no folder is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from command_line import error_line, run_here
from ui_server import Client

from fastphoto.ui.folders import ServerFolder, remove_abandoned


def test_the_command_prints_the_address_first_and_leaves_nothing(tmp_path, content, style):
    for name, data in (("a b.png", content), ("s.png", style)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "tmp").mkdir()
    words = [sys.executable, "-m", "fastphoto.cli", "ui", tmp_path / "a b.png", tmp_path / "s.png", "--no-browser"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        words + ["--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        address = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}\n", address)
        tab = Client(address.strip()).tab()
        result = tab.result()  # of the photos that the command names
        _, lines = tab.call("GET", f"/results/{result['number']}/commands")
        assert f"'{tmp_path}/a b.png' {tmp_path}/s.png" in lines["command"]
        assert list((tmp_path / "tmp").iterdir()) != []
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and said.splitlines()[-1] == "fastphoto: interrupted"
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("missing.jpg",), r"missing\.jpg: no such file, or it cannot be read"),
        (("--device", "tpu"), r"device 'tpu': unknown"),
        (
            ("--host", "203.0.113.1"),
            r"203\.0\.113\.1:8350: cannot be listened at \(.*\); give another --port or --host",
        ),
        (("--port", "70000"), r"127\.0\.0\.1:70000: cannot be listened at \(.*\); give another --port or --host"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(capsys, words, text):
    assert run_here("ui", "--no-browser", *words) == 2
    assert re.match(text, error_line(capsys.readouterr().err))


def test_a_port_that_is_taken_is_refused(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run_here("ui", "--no-browser", "--port", taken.getsockname()[1]) == 2
    assert "cannot be listened at" in error_line(capsys.readouterr().err)


def test_without_its_libraries_the_command_says_how_to_get_them(capsys, monkeypatch):
    monkeypatch.setattr("fastphoto.ui.libraries.find_spec", lambda name: None if name == "uvicorn" else object())
    assert run_here("ui") == 2
    assert error_line(capsys.readouterr().err) == "the page needs uvicorn: pip install fastphoto[ui]"


def test_a_killed_server_is_cleaned_up_after_by_the_next(tmp_path, start, content):
    first = start()
    tab = first.tab()
    assert tab.call("PUT", "/photos/content", content)[0] == 200
    (left,) = tmp_path.iterdir()
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert left.exists() and first.files()

    second = start()
    assert not left.exists()
    assert second.tab().call("PUT", "/photos/content", content)[0] == 200
    old = {"Cookie": first.headers["Cookie"].replace(str(first.port), str(second.port))}
    assert second.raw("GET", "/", old)[0] == 401
    third = start()
    assert len(list(tmp_path.iterdir())) == 2, "a server removed the folder of one that runs"
    assert (second.end(), third.end()) == (130, 130)
    assert list(tmp_path.iterdir()) == []


def test_only_own_folders_of_dead_servers_are_removed(tmp_path):
    living = ServerFolder(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "fastphoto-ui-file").write_text("no folder")
    (tmp_path / "fastphoto-ui-link").symlink_to(tmp_path / "other")
    starting = tmp_path / "fastphoto-ui-starting"
    starting.mkdir()
    old = tmp_path / "fastphoto-ui-old"
    old.mkdir()
    os.utime(old, (time.time() - 3600,) * 2)
    remove_abandoned(tmp_path)
    assert living.path.exists() and starting.exists() and (tmp_path / "other").exists()
    assert (tmp_path / "fastphoto-ui-link").is_symlink() and (tmp_path / "fastphoto-ui-file").exists()
    assert not old.exists()
    living.close()
    assert not living.path.exists()


def test_folders_are_closed_to_others(tmp_path):
    folder = ServerFolder(tmp_path)
    assert folder.path.stat().st_mode & 0o077 == 0
    folder.close()
