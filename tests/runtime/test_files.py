"""Files and folders of results stay complete when writing fails, is killed or happens twice at once."""

from __future__ import annotations

import builtins
import errno
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from locations import ROOT
from PIL import Image
from rendered_photos import day

from fastphoto.errors import FileError, InputError
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_image, write_photo
from fastphoto.runtime import files
from fastphoto.runtime.files import check_folder, make_folder, output_folder, write_files, write_text


class FullDisk:
    """Counts the steps of writing (open, write, flush to disk, rename) and lets one of them fail as on a full disk."""

    def __init__(self, failing_step: int | None) -> None:
        self.failing_step, self.steps = failing_step, 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.failing_step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open(self, *arguments: Any, **options: Any) -> CountingFile:
        self.step()
        return CountingFile(builtins.open(*arguments, **options), self)

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.step()
            return function(*arguments)

        return counted


class CountingFile:
    """A file whose writes are steps of a disk."""

    def __init__(self, file: Any, disk: FullDisk) -> None:
        self.file, self.disk = file, disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> Any:
        self.disk.step()
        return self.file.write(data)

    def __enter__(self) -> CountingFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


@contextmanager
def full_disk(failing_step: int | None = None) -> Iterator[FullDisk]:
    disk = FullDisk(failing_step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "open", disk.open, raising=False)
        patch.setattr(os, "fsync", disk.counting(os.fsync))
        patch.setattr(os, "replace", disk.counting(os.replace))
        yield disk


def write_picture(path: Path) -> None:
    photo = read_photo(day().pixels)
    write_photo(path, photo, photo.pixels)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("r.png", write_picture),
        ("r.jpg", write_picture),
        ("r.tif", write_picture),
        ("r.webp", write_picture),
        ("page.html", lambda path: write_text(path, "text")),
    ],
)
def test_the_old_file_stays_whatever_step_of_writing_fails(name, write, tmp_path):
    target = tmp_path / name
    with full_disk() as disk:
        write(target)
    assert disk.steps >= 3, "opening, flushing and renaming are not all counted"
    for step in range(1, disk.steps + 1):
        target.write_bytes(b"old")
        with full_disk(step), pytest.raises(FileError, match="No space left on device") as error:
            write(target)
        assert "\n" not in str(error.value)
        assert target.read_bytes() == b"old", f"changed although step {step} failed"
        assert [path.name for path in tmp_path.iterdir()] == [name], f"a temporary file is left after step {step}"
    write(target)
    assert target.read_bytes() != b"old" and [path.name for path in tmp_path.iterdir()] == [name]


def test_no_file_of_several_changes_if_one_cannot_be_written(tmp_path):
    def fail(file: Any) -> None:
        raise ValueError("too\nlarge")

    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")
    with pytest.raises(FileError, match=r"second: cannot be written \(too large\)"):
        write_files({first: lambda file: file.write(b"new"), second: fail})
    assert first.read_bytes() == b"old", "changed although the other file failed"
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


# Several writers, kinds 100 and 102 of docs/reliability.md


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_killed_writer_leaves_the_old_file_or_the_new(tmp_path):
    """Kill thirty writers; `make fuzz` kills three hundred."""
    words = [sys.executable, ROOT / "tests" / "stress" / "kill_writers.py", tmp_path, "30"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("30 writers killed"), done.stderr
    left = int(re.search(r"(\d+) of them", done.stdout)[1])
    assert left > 0, "none was killed while it wrote"


def test_two_writers_of_one_file_leave_one_of_theirs(tmp_path):
    pictures = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue")]

    def write_often(picture: Image.Image) -> None:
        for _ in range(20):
            write_image(tmp_path / "r.png", picture, "PNG", {})

    threads = [threading.Thread(target=write_often, args=[picture]) for picture in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = np.asarray(Image.open(tmp_path / "r.png"))
    assert any((written == np.asarray(picture)).all() for picture in pictures), "neither of the two"
    assert [path.name for path in tmp_path.iterdir()] == ["r.png"], "a temporary file is left"


# Folders


def test_a_folder_and_its_parents_are_made(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"


@pytest.mark.parametrize(
    ("name", "message"), [("", "name is empty"), ("file/folder", "Not a directory"), ("a\0b", "cannot be made")]
)
def test_a_folder_that_cannot_be_made_is_one_line(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=message) as error:
        make_folder(name)
    assert "\n" not in str(error.value)


def test_empty_new_folders_are_removed_when_the_work_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "new" / "folder"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_new_folders_with_results_stay_when_the_work_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "new") as folder:
        (folder / "result").touch()
        raise KeyboardInterrupt
    assert (tmp_path / "new" / "result").exists()


def test_a_folder_that_was_there_stays_when_the_work_fails(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "old"):
        raise KeyboardInterrupt
    assert (tmp_path / "old").is_dir()


# Checks before the work


def test_a_checked_folder_is_made_and_empty(tmp_path):
    assert check_folder(tmp_path / "a" / "b", ["page.html", "data.json"]) == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir() and not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs in folders")
def test_what_cannot_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "photo.png").write_bytes(b"precious")
    (tmp_path / "link.html").symlink_to(tmp_path / "photo.png")
    (tmp_path / "astray.html").symlink_to(tmp_path / "absent" / "page.html")
    for name, words in (("folder", "is a folder"), ("fifo", "not a regular file"), ("astray.html", "does not exist")):
        with pytest.raises(FileError, match=f"{name}: .*{words}"):
            check_folder(tmp_path, ["good.html", name])
    with pytest.raises(InputError, match="link.html: is also an input"):
        check_folder(tmp_path, ["good.html", "link.html"], [None, tmp_path / "photo.png"])
