"""The record: entries are kept, half a line costs only its photo, and one run at a time writes it."""

from __future__ import annotations

import json

import pytest

from fastphoto.batch.record import Finished, opened_record
from fastphoto.errors import FileError, InputError


def done(output: str, key: str = "k") -> dict[str, object]:
    return {"output": output, "status": "done", "key": key, "bytes": 9}


def test_the_last_entry_of_an_output_counts(tmp_path):
    path = tmp_path / "deep" / "record.jsonl"
    with opened_record(path) as record:
        for entry in (done("a", "old"), done("b"), done("c"), done("a", "new"), {"output": "c", "status": "failed"}):
            record.add(entry)
    with opened_record(path) as record:
        assert record.finished("a") == Finished("new", 9) and record.finished("b") == Finished("k", 9)
        assert record.finished("c") is None and record.finished("d") is None
    assert len(path.read_text().splitlines()) == 5


def test_half_a_line_costs_only_its_photo(tmp_path):
    path = tmp_path / "record.jsonl"
    with opened_record(path) as record:
        record.add(done("a"))
        record.add(done("b"))
    path.write_bytes(path.read_bytes()[:-20])
    with opened_record(path) as record:
        assert record.finished("a") and record.finished("b") is None
        record.add(done("b"))
    with opened_record(path) as record:
        assert record.finished("a") and record.finished("b")


@pytest.mark.parametrize("line", ["[]", "3", "{}", '{"output": 3, "status": "done"}', "\x00", '{"output": "a"}'])
def test_lines_that_are_no_entries_are_passed_over(line, tmp_path):
    path = tmp_path / "record.jsonl"
    path.write_text(f"{line}\n{json.dumps(done('a'))}\n")
    with opened_record(path) as record:
        assert record.finished("a") == Finished("k", 9)


def test_one_run_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    with (
        opened_record(tmp_path / "record.jsonl"),
        pytest.raises(InputError, match="another run is writing this record"),
        opened_record(tmp_path / "record.jsonl"),
    ):
        pass


def test_a_record_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileError, match="cannot be opened"), opened_record(tmp_path):
        pass


def test_a_record_in_a_storage_is_refused():
    with pytest.raises(InputError, match="a record is a file of this machine"), opened_record("s3://bucket/r.jsonl"):
        pass
