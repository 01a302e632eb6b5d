"""Handing out of jobs: every job comes back once, and a lost worker costs at most its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from fastphoto.batch.dispatch import Dispatcher, Task, WorkerLost
from fastphoto.batch.jobs import Job


class Sturdy:
    """A worker in this process."""

    lost: Counter[str] = Counter()

    def __init__(self) -> None:
        self.closed = threading.Event()

    def run(self, task: Task) -> dict[str, object]:
        content = task[0].content
        if content.startswith("poison") or (content.startswith("weak") and not self.lost[content]):
            self.lost[content] += 1
            raise WorkerLost("it died")
        if content.startswith("endless"):
            self.closed.wait()
            raise WorkerLost("it was ended")
        if content.startswith("flaky"):
            self.lost[content] += 1
            return {"content": content, "status": "failed", "transient": self.lost[content] < 3}
        return {"content": content, "status": "done"}

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def nothing_lost():
    Sturdy.lost = Counter()


def tasks(*names: str) -> Iterator[Task]:
    return iter([(Job(name, "s.jpg", f"{name}.png"), None) for name in names])


@pytest.mark.parametrize("workers", [1, 3, 40])
def test_every_job_comes_back_once(workers):
    names = [*(f"a{n}" for n in range(20)), "weak1", "poison", *(f"b{n}" for n in range(5)), "weak2", "flaky"]
    dispatcher = Dispatcher(tasks(*names), Sturdy, workers)
    entries = {entry["content"]: entry for entry in dispatcher}
    dispatcher.close()
    assert sorted(entries) == sorted(names)
    assert {name for name, entry in entries.items() if entry["status"] == "failed"} == {"poison", "flaky"}
    attempts = {name: entry["attempts"] for name, entry in entries.items()}
    assert {name: count for name, count in attempts.items() if count > 1} == {
        "weak1": 2, "weak2": 2, "poison": 3, "flaky": 3,
    }  # fmt: skip
    assert entries["poison"]["error"]["message"] == "its worker was lost 3 times (it died)"
    assert "transient" not in entries["flaky"]


def test_jobs_are_read_only_when_a_worker_is_free():
    read: list[int] = []

    def many() -> Iterator[Task]:
        for number in range(1000):
            read.append(number)
            yield Job(f"endless{number}" if number else "a", "s.jpg", f"{number}.png"), None

    dispatcher = Dispatcher(many(), Sturdy, 2)
    assert next(iter(dispatcher))["content"] == "a"
    dispatcher.close()
    assert len(read) <= 4


def test_closing_ends_jobs_in_the_middle():
    dispatcher = Dispatcher(tasks(*(f"endless{n}" for n in range(9))), Sturdy, 3)
    dispatcher.close()
    assert list(dispatcher) == []


def test_finishing_ends_after_the_jobs_in_work():
    turn = threading.Semaphore(1)

    class InTurn(Sturdy):
        def run(self, task: Task) -> dict[str, object]:
            turn.acquire()
            return super().run(task)

    dispatcher = Dispatcher(tasks(*(f"a{n}" for n in range(50))), InTurn, 1)
    entries = []
    for entry in dispatcher:
        entries.append(entry)
        dispatcher.finish()
        turn.release()
    assert len(entries) <= 2


def test_errors_of_the_jobs_and_of_starting_come_through():
    def broken() -> Iterator[Task]:
        yield from tasks("a")
        raise KeyError("line 7")

    with pytest.raises(KeyError, match="line 7"):
        list(Dispatcher(broken(), Sturdy, 1))

    def cannot_start() -> Sturdy:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        list(Dispatcher(tasks("a"), cannot_start, 1))


def test_a_worker_that_cannot_start_now_may_later():
    starts = []

    def start() -> Sturdy:
        starts.append(1)
        if len(starts) == 1:
            raise WorkerLost("no room yet")
        return Sturdy()

    assert [entry["attempts"] for entry in Dispatcher(tasks("a"), start, 1)] == [2]


def test_workers_are_added_while_there_is_progress(monkeypatch):
    monkeypatch.setattr("fastphoto.batch.dispatch._LOOK_EVERY", 0.0)
    started = []

    class Slow(Sturdy):
        def __init__(self) -> None:
            super().__init__()
            started.append(1)

        def run(self, task: Task) -> dict[str, object]:
            self.closed.wait(0.02)
            return super().run(task)

    dispatcher = Dispatcher(tasks(*(f"a{n}" for n in range(50))), Slow, 1, room=lambda: 3)
    assert len(list(dispatcher)) == 50 and len(started) == 3
