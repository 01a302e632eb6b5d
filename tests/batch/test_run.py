"""transfer_many(): the pictures of single transfers, whatever happens to the processes that make them."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import OPTIONS, POISON, hashes_of, jobs_of, leftovers, worker_processes, write_photos
from PIL import Image
from rendered_photos import day, dusk

import fastphoto
from fastphoto import InputError, transfer_many
from fastphoto.batch import BatchProgress, Job
from fastphoto.batch.local_workers import worker_bytes, worker_devices

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def entries_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last entry of each output in a record, by the output's name."""
    entries = map(json.loads, path.read_text().splitlines())
    return {os.path.basename(entry["output"]): entry for entry in entries}


def test_results_are_those_of_single_transfers(tmp_path):
    contents = write_photos(tmp_path, 3)
    reports: list[BatchProgress] = []
    record = tmp_path / "record.jsonl"
    jobs = jobs_of(tmp_path, contents)
    summary = transfer_many(jobs, record=record, callback=reports.append, workers=2, **OPTIONS)
    assert (summary.done, summary.unchanged, summary.failures) == (3, 0, ())
    assert [(r.done, r.failed, r.total) for r in reports] == [(1, 0, 3), (2, 0, 3), (3, 0, 3)]
    assert reports[0].rate > 0 and reports[-1].seconds_left == 0
    for path in contents:
        expected = fastphoto.transfer(path, tmp_path / "style.png", **OPTIONS)
        assert np.array_equal(Image.open(tmp_path / "out" / path.name), expected)
    entries = entries_of(record)
    assert sorted(entries) == [path.name for path in contents]
    entry = entries["photo000.png"]
    assert entry["sha256"]["output"] == hashes_of(tmp_path / "out")["photo000.png"]
    assert entry["options"] == {"size": 48, "steps": 2, "regions": "none"} and entry["version"] == fastphoto.__version__
    assert entry["status"] == "done" and entry["attempts"] == 1 and entry["seconds"] > 0
    assert not leftovers(tmp_path)


def test_masks_and_options_of_a_job(tmp_path):
    contents = write_photos(tmp_path, 1)
    for name, photo in (("content", day()), ("style", dusk())):
        Image.fromarray(photo.mask_picture).save(tmp_path / f"{name}_mask.png")
    masks = {name: str(tmp_path / f"{name}.png") for name in ("content_mask", "style_mask")}
    job = {"content": contents[0], "style": tmp_path / "style.png", "output": tmp_path / "o.png", **masks}
    summary = transfer_many([{**job, "options": {"size": 40}}], size=48, steps=2)
    assert summary.done == 1
    expected = fastphoto.transfer(job["content"], job["style"], *masks.values(), size=40, steps=2)
    assert np.array_equal(Image.open(tmp_path / "o.png"), expected)


def test_what_has_not_changed_is_left_out(tmp_path):
    contents = write_photos(tmp_path, 4)
    record, jobs = tmp_path / "record.jsonl", jobs_of(tmp_path, contents)

    def run(**changes: Any) -> tuple[int, int]:
        summary = transfer_many(jobs, record=record, workers=1, **OPTIONS | changes)
        assert not summary.failures
        return summary.done, summary.unchanged

    assert run() == (4, 0)
    assert run() == (0, 4)
    (tmp_path / "out" / "photo000.png").unlink()
    (tmp_path / "out" / "photo001.png").write_bytes(b"cut")
    Image.fromarray(255 - day().array).save(contents[2])
    assert run() == (3, 1)
    assert run(size=40) == (4, 0)
    assert run(size=40) == (0, 4)
    assert run(size=40, force=True) == (4, 0)
    Image.fromarray(day().array).save(tmp_path / "style.png")
    assert run(size=40) == (4, 0)


def test_another_spelling_of_the_same_is_unchanged(tmp_path, monkeypatch):
    contents = write_photos(tmp_path, 1)
    record = tmp_path / "record.jsonl"
    transfer_many(jobs_of(tmp_path, contents), record=record, **OPTIONS)
    monkeypatch.chdir(tmp_path)
    job = {"content": "photos/photo000.png", "style": "style.png", "output": "out/photo000.png"}
    options = OPTIONS | {"strength": 1, "preset": "fast", "max_memory": 2**34}
    assert transfer_many([job], record=record, **options).unchanged == 1


def test_any_file_name(tmp_path):
    """Also bytes that are no text."""
    contents = write_photos(tmp_path, 2)
    strange = [
        contents[0].rename(contents[0].with_name("\udcff \u2028.png")),
        contents[1].rename(contents[1].with_name("ä\n.png")),
    ]
    record, jobs = tmp_path / "record.jsonl", jobs_of(tmp_path, strange)
    assert transfer_many(jobs, record=record, workers=1, **OPTIONS).done == 2
    assert transfer_many(jobs, record=record, workers=1, **OPTIONS).unchanged == 2


def test_a_photo_that_fails_costs_no_other_anything(tmp_path):
    contents = write_photos(tmp_path, 4)
    contents[1].write_bytes(contents[1].read_bytes()[:60])
    record, jobs = tmp_path / "record.jsonl", jobs_of(tmp_path, contents)
    jobs[2] = Job(jobs[2].content, str(tmp_path / "no style.png"), jobs[2].output)
    summary = transfer_many(jobs, record=record, **OPTIONS)
    assert summary.done == 2 and len(summary.failures) == 2
    entries = entries_of(record)
    assert "photo001.png: " in entries["photo001.png"]["error"]["message"]
    assert entries["photo002.png"]["error"] == {
        "type": "FileError", "message": f"{tmp_path / 'no style.png'}: no such file",
    }  # fmt: skip
    assert sorted(hashes_of(tmp_path / "out")) == ["photo000.png", "photo003.png"]
    Image.fromarray(day().array).save(contents[1])
    summary = transfer_many(jobs, record=record, **OPTIONS)
    assert (summary.done, summary.unchanged, len(summary.failures)) == (1, 2, 1), "a failed photo is tried again"


def test_warnings_and_remarks_are_in_the_entry(tmp_path):
    contents = write_photos(tmp_path, 1)
    Image.new("RGB", (64, 48), "teal").save(contents[0])
    transfer_many(jobs_of(tmp_path, contents), record=tmp_path / "r.jsonl", size=48, steps=2, regions="auto")
    entry = entries_of(tmp_path / "r.jsonl")["photo000.png"]
    assert entry["warnings"] == ["content: one colour throughout; only that colour changes"]
    assert entry["remarks"][0].startswith("regions: ")


def test_the_first_failure_can_end_the_batch(tmp_path):
    contents = write_photos(tmp_path, 30)
    contents[0].write_bytes(b"no photo")
    summary = transfer_many(jobs_of(tmp_path, contents), fail_fast=True, workers=1, **OPTIONS)
    assert len(summary.failures) == 1 and summary.done < 5


def test_the_callback_can_end_the_batch(tmp_path):
    jobs = jobs_of(tmp_path, write_photos(tmp_path, 30))
    assert transfer_many(jobs, callback=lambda progress: progress.done >= 2, workers=1, **OPTIONS).done < 6


def test_an_error_of_the_callback_ends_the_workers(tmp_path):
    jobs = jobs_of(tmp_path, write_photos(tmp_path, 30))

    def fail(progress: BatchProgress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        transfer_many(jobs, callback=fail, workers=2, **OPTIONS)
    assert not leftovers(tmp_path) and (sys.platform != "linux" or not worker_processes())


@needs_proc
def test_workers_that_are_killed_lose_nothing(tmp_path):
    contents = write_photos(tmp_path, 12)
    jobs = jobs_of(tmp_path, contents)
    transfer_many(jobs, workers=2, **OPTIONS)
    expected = hashes_of(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    killed = []

    def kill(progress: BatchProgress) -> None:
        if progress.done in (1, 4, 7):
            killed.append(worker_processes()[0])
            os.kill(killed[-1], signal.SIGKILL)

    summary = transfer_many(jobs, record=tmp_path / "r.jsonl", workers=2, attempts=9, callback=kill, **OPTIONS)
    assert summary.done == 12 and not summary.failures and len(set(killed)) == 3
    assert hashes_of(tmp_path / "out") == expected and not leftovers(tmp_path)


def test_a_photo_that_kills_its_worker_costs_only_itself(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(POISON)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))  # the workers get this process's path
    contents = write_photos(tmp_path, 4)
    poison = contents[1].rename(contents[1].with_name("poison.png"))
    jobs = jobs_of(tmp_path, [contents[0], poison, *contents[2:]])
    summary = transfer_many(jobs, record=tmp_path / "r.jsonl", workers=2, attempts=2, **OPTIONS)
    assert summary.done == 3 and [entry["content"] for entry in summary.failures] == [str(poison)]
    message = "its worker was lost 2 times (the process was ended by SIGKILL, perhaps for want of memory)"
    assert summary.failures[0]["error"]["message"] == message and summary.failures[0]["attempts"] == 2


def test_a_photo_that_takes_too_long_is_given_up(tmp_path):
    contents = write_photos(tmp_path, 2)
    jobs = jobs_of(tmp_path, contents)
    jobs[0] = Job(jobs[0].content, jobs[0].style, jobs[0].output, options={"steps": 10**6})
    summary = transfer_many(jobs, workers=1, attempts=1, timeout=20, **OPTIONS)
    assert summary.done == 1 and summary.failures[0]["error"]["message"] == "no result after 20 s"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers: must be a whole number of 1 or more, got 0"),
        ({"threads": 1.5}, "threads: "),
        ({"attempts": None}, "attempts: "),
        ({"timeout": 0}, "timeout: must be seconds above 0"),
        ({"engine": "slurm"}, "engine: must be one of local, ray"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"stepz": 3}, "job: 'stepz' is no option; did you mean steps?"),
        ({"jobs": [3]}, "jobs: must be fastphoto.batch.Job or mappings, got int"),
        ({"jobs": [{"content": "a.jpg"}]}, "jobs: .*missing 2 required"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        transfer_many(**{"jobs": jobs_of(tmp_path, write_photos(tmp_path, 1))} | arguments)


def test_no_jobs():
    assert transfer_many([]).done == 0


# ---- how many workers


def test_cores_are_shared_out(monkeypatch, tmp_path):
    jobs = jobs_of(tmp_path, write_photos(tmp_path, 8))
    monkeypatch.setattr("fastphoto.batch.local_workers.os.sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr("fastphoto.batch.local_workers.available_bytes", lambda: 64 * 2**30)
    assert worker_devices("cpu", jobs, None, None) == [("cpu", 1)] * 6
    assert worker_devices("cpu", jobs, None, 3) == [("cpu", 3)] * 2
    assert worker_devices("cpu", jobs, 2, None) == [("cpu", 3)] * 2
    assert worker_devices("cpu", jobs[:2], None, None) == [("cpu", 3)] * 2
    monkeypatch.setattr("fastphoto.batch.local_workers.available_bytes", lambda: 3 * worker_bytes(jobs) + 1)
    assert worker_devices("cpu", jobs, None, None) == [("cpu", 2)] * 3
    monkeypatch.setattr("fastphoto.batch.local_workers.available_bytes", lambda: 1)
    assert len(worker_devices("cpu", jobs, None, None)) == 1


@needs_proc
@pytest.mark.parametrize(("height", "width"), [(48, 64), (1500, 2000)])
def test_a_worker_keeps_to_the_memory_of_the_model(height, width, tmp_path):
    contents = write_photos(tmp_path, 2)
    data = io.BytesIO()
    Image.fromarray(day(height, width).array).save(data, "JPEG")
    photo = tmp_path / "large.jpg"
    photo.write_bytes(data.getvalue())
    jobs = [Job(str(photo), str(tmp_path / "style.png"), str(tmp_path / "o.jpg"), options={"steps": 4})]
    transfer_many(jobs, record=tmp_path / "r.jsonl", workers=1)
    peak = entries_of(tmp_path / "r.jsonl")["o.jpg"]["peak_memory"]["cpu"]
    assert 0.4 * worker_bytes(jobs) < peak < worker_bytes(jobs), (peak, worker_bytes(jobs))
    assert len(contents) == 2
