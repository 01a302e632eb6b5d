"""Photos and servers for the tests of the page."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the page needs Starlette and uvicorn")
pytest.importorskip("uvicorn", reason="the page needs Starlette and uvicorn")

from PIL import Image
from rendered_photos import day, dusk
from ui_server import Tab, UiServer


def png(array: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, "PNG")  # type: ignore[arg-type]
    return data.getvalue()


@pytest.fixture(scope="session")
def content() -> bytes:
    return png(day().array)


@pytest.fixture(scope="session")
def style() -> bytes:
    return png(dusk().array)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiServer]:
    started = UiServer(tmp_path_factory.mktemp("server"), patience=1.5)
    yield started
    assert started.process.poll() is None, "the server has ended"
    started.end()
    assert list(started.folder.iterdir()) == [], "the server has left files"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], UiServer]]:
    """A function that starts servers with one folder for their files; those that still run at the end are killed."""
    started: list[UiServer] = []

    def start_one() -> UiServer:
        started.append(UiServer(tmp_path))
        return started[-1]

    yield start_one
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


@pytest.fixture
def tab(server: UiServer) -> Iterator[Tab]:
    opened = server.tab()
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def interrupts() -> Iterator[None]:
    """Let servers that tests start be interrupted, also where those who run the tests ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
