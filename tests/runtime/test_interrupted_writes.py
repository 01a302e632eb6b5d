"""Faults in the middle of the work: writing that fails at any step, values that are not finite, runs done again."""

from __future__ import annotations

import builtins
import errno
import os
from typing import Any

import pytest
import torch
from inject_nonfinite import inject
from rendered_photos import day
from repeat_transfers import repeat

from fastphoto.errors import FileError
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_photo
from fastphoto.runtime import files
from fastphoto.runtime import files as report_files


class Faulty:
    """Counts what is done to open, write and name files, and makes the Nth of it fail as on a full disk."""

    def __init__(self, fails: int) -> None:
        self.fails, self.count = fails, 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def patch(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def opened(*words: Any, **options: Any) -> Any:
            self.step()
            file = builtins.open(*words, **options)  # noqa: SIM115
            write = file.write

            class Counting:
                def __getattr__(_, name: str) -> Any:
                    return getattr(file, name)

                def write(_, data: Any) -> Any:
                    self.step()
                    return write(data)

                def __enter__(_) -> Any:
                    return _

                def __exit__(_, *error: object) -> None:
                    file.close()

            return Counting()

        monkeypatch.setattr(module, "open", opened, raising=False)
        for name in ("fsync", "replace"):
            done = getattr(os, name)
            monkeypatch.setattr(os, name, lambda *words, done=done: (self.step(), done(*words))[1])


@pytest.mark.parametrize("name", ["r.png", "r.jpg", "r.tif", "r.webp", "page.html"])
def test_whatever_step_of_writing_fails_the_old_file_stays(name, tmp_path):
    target, photo = tmp_path / name, read_photo(day().pixels)
    target.write_bytes(b"old")
    for fails in range(1, 200):
        with pytest.MonkeyPatch.context() as patch:
            fault = Faulty(fails)
            fault.patch(files, patch)
            try:
                if name == "page.html":
                    report_files.write_text(target, "text")
                else:
                    write_photo(target, photo, photo.pixels)
            except FileError as error:
                assert "No space left on device" in str(error) and "\n" not in str(error)
                assert target.read_bytes() == b"old"
                assert [path.name for path in tmp_path.iterdir()] == [name]
                continue
        break
    assert fails > 3 and fault.count < fails, "every step failed once, then none"
    assert target.read_bytes() != b"old" and [path.name for path in tmp_path.iterdir()] == [name]


def test_values_that_are_not_finite_never_give_a_blank_picture(tmp_path):
    """Some of what `make fuzz` does."""
    found = inject(tmp_path, 40)
    assert found["written"] > 0 and found["failed"] > 0


def test_runs_give_the_same_bits_with_one_thread_and_with_two():
    """Some of what `make fuzz` does."""
    before = torch.get_num_threads()
    assert repeat(4, size=60) == 4
    assert torch.get_num_threads() == before
