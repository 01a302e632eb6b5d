"""From photos to results: what the page is told, and that every download is what the command writes."""

from __future__ import annotations

import io
import os
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import run_here
from PIL import Image
from rendered_photos import day
from ui_server import Tab

from fastphoto.colour.lut import read_lut
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits
from fastphoto.regions.look import read_look


@pytest.fixture(scope="module")
def made(server, content, style) -> tuple[Tab, dict]:
    """A tab with a first result."""
    opened = server.tab()
    opened.give(content, style, preset="fast", regions="auto")
    result = opened.result()
    return opened, result


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Tiny photos: more threads would wait for one another."""


def pixels(data: bytes | Path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data) if isinstance(data, bytes) else data))


def download(tab: Tab, result: dict, **query: object) -> bytes:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    status, data = tab.call("GET", f"/results/{result['number']}/file?{words}")
    assert status == 200, data
    return data


def strokes(size: tuple[int, int], label: int, rows: slice) -> list[int]:
    """Runs of a stroke over whole rows of a photo (H, W)."""
    height, width = size
    start, stop, _ = rows.indices(height)
    return [255, start * width, label, (stop - start) * width, 255, (height - stop) * width]


def by_hand(names: tuple[str, ...] = ("all", "land")) -> dict:
    """An edit that draws two regions on both photos: the lower part is land."""
    runs = {"content": strokes((48, 64), 1, slice(30, 48)), "style": strokes((56, 48), 1, slice(34, 56))}
    return {"names": list(names), "strokes": runs, "follow": False}


def assert_same_as_the_command(tab: Tab, result: dict, folder: Path, monkeypatch, **sliders: object) -> None:
    """Run the command and the Python lines that the page shows, beside the files that it gives."""
    monkeypatch.chdir(folder)
    query = "&".join(f"{name}={value}" for name, value in sliders.items())
    _, lines = tab.call("GET", f"/results/{result['number']}/commands?format=png&{query}")
    if result["drawn"]:
        for side in ("content", "style"):
            status, mask = tab.call("GET", f"/results/{result['number']}/mask/{side}")
            assert status == 200
            Path(f"{side}_mask.png").write_bytes(mask)
    words = shlex.split(lines["command"])
    assert words[0] == "fastphoto" and run_here(*words[1:], "--quiet", "--device", "cpu") == 0
    expected = pixels(Path("result.png"))
    assert np.array_equal(pixels(download(tab, result, format="png", **sliders)), expected)
    os.remove("result.png")
    exec(lines["python"], {})
    assert np.array_equal(pixels(Path("result.png")), expected)


@pytest.fixture
def folder(tmp_path, content, style) -> Path:
    (tmp_path / "content.png").write_bytes(content)
    (tmp_path / "style.png").write_bytes(style)
    return tmp_path


# ---- what a page is told


def test_events_come_in_order(made):
    tab, _ = made
    kinds = [event["type"] for event in tab.heard]
    assert kinds[:2] == ["photo", "photo"]
    pictures = [event["kind"] for event in tab.heard if event["type"] == "picture"]
    assert pictures[0] == "preview" and set(pictures) <= {"preview", "step"}
    assert kinds.index("regions") < kinds.index("picture") < kinds.index("result") < kinds.index("idle")
    assert [e["stage"] for e in tab.heard if e["type"] == "progress"][-1] == "result"


def test_a_page_that_comes_late_is_told_all(server, made):
    tab, result = made
    late = Tab(server, tab.path.rsplit("/", 1)[1])
    assert late.wait("result")["number"] == 1
    assert [event["type"] for event in late.heard[:3]] == ["photo", "photo", "regions"]
    late.close()


def test_pictures_have_the_shape_of_the_photo(made):
    tab, result = made
    assert result["pictures"] == ["calm", "heat", "result", "start"]
    for name in result["pictures"]:
        status, data = tab.call("GET", f"/results/{result['number']}/view/{name}")
        assert status == 200 and pixels(data).shape[:2] == (48, 64)
    _, part = tab.call("GET", f"/results/{result['number']}/cut/result?x=5&y=7&width=20&height=10")
    assert np.array_equal(pixels(part), pixels(download(tab, result, format="png"))[7:17, 5:25])
    _, part = tab.call("GET", f"/results/{result['number']}/cut/content?x=60&y=40&width=20&height=20")
    assert np.array_equal(pixels(part), day().array[40:, 60:])


def test_pictures_show_what_alpha_hides_as_the_photo_does(server, style):
    hidden = np.dstack([day().array, np.full((48, 64), 255, np.uint8)])
    hidden[:, :20, 3] = 0
    data = io.BytesIO()
    Image.fromarray(hidden).save(data, "PNG")
    tab = server.tab()
    tab.give(data.getvalue(), style)
    result = tab.result()
    for path in ("/photos/content/view", *(f"/results/{result['number']}/view/{name}" for name in ("result", "start"))):
        alpha = pixels(tab.call("GET", path)[1])[..., 3]
        assert (alpha[:, :18] == 0).all() and (alpha[:, 22:] == 255).all()
    assert np.array_equal(pixels(download(tab, result, format="png"))[..., 3], hidden[..., 3])
    tab.close()


# ---- downloads are what the command writes


@pytest.mark.parametrize("sliders", [{}, {"strength": 0.35, "blend": 0.8, "photorealism": 0.5}])
def test_automatic_regions(made, folder, monkeypatch, sliders):
    assert_same_as_the_command(*made, folder, monkeypatch, **sliders)


def test_painted_regions(server, content, style, folder, monkeypatch):
    tab = server.tab()
    tab.give(content, style)
    tab.result()
    result = tab.change(edit=by_hand(), settings={"size": 40})
    assert result["drawn"] and result["recipe"]["regions"] == "masks"
    assert_same_as_the_command(tab, result, folder, monkeypatch)
    tab.close()


def test_no_change_here_keeps_the_photo(server, content, style, folder, monkeypatch):
    tab = server.tab()
    tab.give(content, style)
    tab.result()
    edit = {"names": ["all"], "strokes": {"content": strokes((48, 64), 254, slice(24, 48))}, "follow": False}
    result = tab.change(edit=edit)
    changed = np.abs(pixels(download(tab, result, format="png")).astype(int) - day().array).mean((1, 2))
    assert changed[36:].max() < 3 and changed[:16].min() > 20
    assert_same_as_the_command(tab, result, folder, monkeypatch)
    tab.close()


def test_masks_that_the_command_reads(server, content, style, folder, monkeypatch):
    tab = server.tab()
    tab.give(content, style)
    tab.result()
    after = len(tab.heard)
    for side, size in (("content", (48, 64)), ("style", (56, 48))):
        numbers = np.zeros(size, np.uint8)
        numbers[size[0] // 2 :] = 7
        data = io.BytesIO()
        Image.fromarray(numbers).save(data, "PNG")
        status, answer = tab.call("PUT", f"/masks/{side}", data.getvalue())
        assert status == 200 and answer["waiting"] == ("style" if side == "content" else None)
    result = tab.result(after)
    regions = tab.wait("regions", after)
    assert [each["name"] for each in regions["regions"]] == ["0", "7"] and regions["source"] == "masks"
    assert regions["maps"]["content"]["runs"] == [0, 24 * 64, 1, 24 * 64]
    assert_same_as_the_command(tab, result, folder, monkeypatch)
    tab.close()


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp"])
def test_formats(made, kind):
    tab, result = made
    image = Image.open(io.BytesIO(download(tab, result, format=kind)))
    assert image.format == {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()) and image.size == (64, 48)
    assert tab.call("GET", f"/results/{result['number']}/file?format=../../x")[0] == 422


@pytest.mark.skipif(not can_read_sixteen_bits(), reason="needs libvips")
def test_sixteen_bits_stay(server, style):
    from fastphoto.photos.sixteen_bits import encode_sixteen_bits

    deep = encode_sixteen_bits(day().array.astype(np.uint16) * 257 + 3, "PNG", None, False, None, None)
    tab = server.tab()
    tab.give(deep, style)
    result = tab.result()
    assert tab.wait("photo")["bits"] == 16
    assert download(tab, result, format="png")[24] == 16, "bits of a channel, in the header of the PNG"
    tab.close()


def test_lut_and_look(made, tmp_path):
    tab, result = made
    status, data = tab.call("GET", f"/results/{result['number']}/lut")
    assert status == 200
    (tmp_path / "result.cube").write_bytes(data)
    assert read_lut(tmp_path / "result.cube").values.shape[-1] == 3
    status, data = tab.call("GET", f"/results/{result['number']}/look")
    assert status == 200 and read_look(data).encoder == "embedded"


def test_old_results_are_dropped(server, content, style):
    """The thirteenth result drops the first."""
    tab = server.tab()
    tab.give(content, style)
    first = tab.result()
    before = download(tab, first, format="png")
    for _ in range(12):
        last = tab.change(settings={"size": 32})
    assert last["number"] == 13
    assert tab.call("GET", f"/results/{first['number']}/file?format=png")[0] == 404
    again = tab.change(settings={"size": 700})
    assert np.array_equal(pixels(download(tab, again, format="png")), pixels(before))
    tab.close()


# ---- turns


def test_a_new_change_ends_the_one_before(server, content, style):
    tab = server.tab()
    tab.give(content, style)
    tab.result()
    after = len(tab.heard)
    for size in (48, 40, 32):
        assert tab.call("POST", "/change", {"settings": {"preset": "painterly", "size": size}})[0] == 200
    assert tab.result(after)["recipe"]["size"] == 32
    assert len({event["number"] for event in tab.heard[after:] if event["type"] == "result"}) == 1
    tab.close()


def test_stop_ends_a_run_and_keeps_what_there_is(server, content, style):
    tab = server.tab()
    tab.give(content, style)
    first = tab.result()
    after = len(tab.heard)
    tab.call("POST", "/change", {"settings": {"preset": "painterly", "size": 64}})
    tab.wait("progress", after)
    assert tab.call("POST", "/cancel") == (200, {})
    assert tab.wait("idle", after)["cancelled"]
    time.sleep(0.5)
    assert not [event for event in tab.heard[after:] if event["type"] == "result"]
    assert download(tab, first)
    tab.close()


def test_tabs_take_turns(server, content, style):
    tabs = [server.tab() for _ in range(3)]
    for tab in tabs:
        tab.give(content, style)
    numbers = [tab.result()["number"] for tab in tabs]
    assert numbers == [1, 1, 1]
    assert any(event["type"] == "queue" for tab in tabs for event in tab.heard)
    for tab in tabs:
        tab.close()


def test_a_failure_is_told_and_mended(server, content, style):
    tab = server.tab()
    tab.give(content, style)
    tab.result()
    edit = {"names": ["all"], "strokes": {"content": strokes((48, 64), 254, slice(0, 48))}, "follow": False}
    after = len(tab.heard)
    assert tab.call("POST", "/change", {"edit": edit})[0] == 200
    with pytest.raises(AssertionError, match="no pixel belongs to a region"):
        tab.wait("result", after)
    assert tab.change(edit={"names": ["all"]})["number"] == 2
    tab.close()
