"""The ways through files, masks, weights and the command that good input seldom takes."""

from __future__ import annotations

import argparse
import builtins
import io
import os
import runpy
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from rendered_photos import day, dusk

from fastphoto.cli import command as cli
from fastphoto.cli.signals import Stopped, stoppable, stoppable_later
from fastphoto.encoders import download
from fastphoto.encoders.weights import read_weights
from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.photos import decode
from fastphoto.photos.decode import apply_orientation
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import check_output, to_source_kind
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks
from fastphoto.runtime import memory
from fastphoto.runtime.memory import available_bytes

CONTENT, STYLE = day(40, 48), dusk(48, 40)


@pytest.fixture
def signals_caught():
    """As in a terminal, whoever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def pair(tmp_path):
    Image.fromarray(CONTENT.array).save(tmp_path / "content.png")
    Image.fromarray(STYLE.array).save(tmp_path / "style.png")
    return [str(tmp_path / "content.png"), str(tmp_path / "style.png"), "-o", str(tmp_path / "out.png")]


# The command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_once_or_later(number, signals_caught):
    with pytest.raises(Stopped) as stop, stoppable():
        os.kill(os.getpid(), number)
    assert stop.value.status == 128 + number
    reached = []
    with pytest.raises(Stopped), stoppable_later() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        reached.append(stopped())
    assert reached == [True]


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("partial", [False, True])
def test_interrupted_in_a_run(partial, pair, tmp_path, monkeypatch, capsys, signals_caught):
    real = cli.transfer_commands.transfer

    def interrupted(*photos, callback, **told):
        def each(progress):
            os.kill(os.getpid(), signal.SIGINT)
            return callback(progress) if callback else None

        return real(*photos, callback=each, **told)

    monkeypatch.setattr(cli.transfer_commands, "transfer", interrupted)
    assert cli.main(["transfer", *pair, *["--save-partial"] * partial]) == 130
    said = capsys.readouterr().err
    assert said.endswith("fastphoto: interrupted\n") and ("wrote" in said) == partial
    assert (tmp_path / "out.png").exists() == partial


def test_interrupted_where_no_signal_is_caught(monkeypatch, capsys):
    errors: list[BaseException] = []

    def run(options: argparse.Namespace) -> None:
        raise errors[-1]

    monkeypatch.setattr(cli.transfer_commands, "_info", run)
    for error, status, said in (
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "not enough memory"),
        (FileError("a\nb"), 2, "error: a b"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
    ):
        errors.append(error)
        assert cli.main(["info"]) == status and said in capsys.readouterr().err
    assert cli.main(["info", "--debug"]) == 1 and "Traceback" in capsys.readouterr().err


def test_a_reader_of_stdout_that_has_gone(monkeypatch):
    """In a process of its own in test_cli.py; here what is done then."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert cli.main(["info"]) == 0
        monkeypatch.undo()


def test_the_demo(tmp_path, capsys):
    assert cli.main(["demo", "-o", str(tmp_path / "d"), "--size", "48", "--set", "steps=1"]) == 0
    assert len(list((tmp_path / "d").iterdir())) == 3 and "contact-sheet.jpg" in capsys.readouterr().err
    assert cli.main(["demo", "-o", str(tmp_path / "d"), "--size", "48", "--set", "steps=1", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_devices_are_listed(monkeypatch, capsys):
    card = argparse.Namespace(name="A GPU", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    assert cli.main(["info"]) == 0 and "cuda:0, A GPU, 80 GiB" in capsys.readouterr().out


def test_python_dash_m(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fastphoto", "info"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("fastphoto.cli", run_name="__main__")
    assert end.value.code == 0


def test_weights_are_fetched_after_all_else_is_checked(pair, tmp_path, monkeypatch, capsys):
    asked = []

    def fetch(known, target, progress):
        asked.append(known.name)
        progress(known.name, 10, 20)
        raise FileError("no network")

    monkeypatch.setattr(download, "_fetch", fetch)
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "cache"))
    words = ["transfer", *pair, "--encoder", "vgg19"]
    for wrong in (["--content-mask", str(tmp_path / "none.png")], ["--device", "tpu"], ["--set", "steps=-1"]):
        assert cli.main([*words, *wrong]) == 2 and not asked
    capsys.readouterr()
    assert cli.main(words) == 2 and asked == ["vgg19-d01eb7cb.pth"]
    assert "downloading vgg19-d01eb7cb.pth" in capsys.readouterr().err


def test_a_comparison_on_a_device_that_is_not_there_ends_at_once(pair, tmp_path, capsys):
    assert cli.main(["compare", *pair[:2], "-o", str(tmp_path / "c"), "--device", "tpu", "--methods", "reinhard"]) == 2
    said = capsys.readouterr().err
    assert "running" not in said and "device 'tpu'" in said and not (tmp_path / "c").exists()
    assert cli.main(["survey", "-o", str(tmp_path / "s"), "--device", "tpu", "--figures", "lambda"]) == 2
    assert "device 'tpu'" in capsys.readouterr().err and not (tmp_path / "s").exists()
    assert cli.main(["demo", "-o", str(tmp_path / "d"), "--device", "tpu"]) == 2
    assert "device 'tpu'" in capsys.readouterr().err and not (tmp_path / "d").exists()


# Files


def test_a_lazily_opened_image_may_be_damaged_or_too_large(monkeypatch):
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 48, 3)).astype(np.uint8)).save(data, "PNG")
    with pytest.raises(FileError, match="content: the image cannot be decoded"):
        read_photo(Image.open(io.BytesIO(data.getvalue()[:-900])))
    monkeypatch.setattr(decode, "PIXEL_LIMIT", 1000)
    with pytest.raises(InputError, match="content: 48x40 pixels; at most 0 million"):
        read_photo(Image.open(data))


def test_metadata_that_cannot_be_read_or_written_is_dropped(monkeypatch):
    image = Image.fromarray(CONTENT.array)
    exif = image.getexif()
    exif[0x010E] = "x" * 70_000
    assert apply_orientation(image)[1] is None, "more than a JPEG segment holds"
    monkeypatch.setattr(Image.Exif, "tobytes", lambda self: 1 / 0)
    exif[0x010E] = "short"
    assert apply_orientation(image) == (image, None)
    monkeypatch.setattr(Image.Image, "getexif", lambda self: 1 / 0)
    assert apply_orientation(image) == (image, None)


def test_an_exif_of_settings_is_kept_without_its_sizes():
    image = Image.fromarray(CONTENT.array)
    image.getexif().get_ifd(0x8769).update({0x9003: "2026:01:01 00:00:00", 0xA002: 48})
    kept = Image.Exif()
    kept.load(apply_orientation(image)[1])
    assert dict(kept.get_ifd(0x8769)) == {0x9003: "2026:01:01 00:00:00"}


def test_output_places_that_cannot_be_written(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FileError, match="not a regular file"):
        check_output(tmp_path / "pipe.png")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FileError, match="no permission to write"):
        check_output(tmp_path / "r.png")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    Image.fromarray(CONTENT.array).save(tmp_path / "p.png")
    real = builtins.open

    def refusing(path, *words, **options):
        if str(path).endswith("p.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *words, **options)

    monkeypatch.setattr(builtins, "open", refusing)
    with pytest.raises(FileError, match=r"p.png: cannot be read \(Permission denied\)"):
        read_photo(tmp_path / "p.png")


def test_without_a_stderr_images_are_read_all_the_same(tmp_path, monkeypatch):
    Image.fromarray(CONTENT.array).save(tmp_path / "p.tif")
    real = os.dup

    def closed(number):
        if number == 2:
            raise OSError(9, "Bad file descriptor")
        return real(number)

    monkeypatch.setattr(os, "dup", closed)
    assert read_photo(tmp_path / "p.tif").size == (40, 48)


def test_profiles_of_deep_images_and_of_one_way(monkeypatch):
    deep = Image.fromarray(CONTENT.array[..., 0].astype(np.uint16) * 257)
    deep.info["icc_profile"] = b"whatever"
    with pytest.warns(FastPhotoWarning, match="profile of a I;16 image is not applied"):
        read_photo(deep)
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = Image.fromarray(CONTENT.array).convert("L")
    image.info["icc_profile"] = grey.tobytes()
    with pytest.warns(FastPhotoWarning, match="it is for RGB, the image is L"):
        read_photo(image)


def test_modes_that_are_no_photo(monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(InputError, match="a HSV image cannot be read as a photo"):
        patch.setattr(Image.Image, "convert", lambda self, mode: [][0] if mode != "RGB" else int("no conversion"))
        read_photo(Image.new("HSV", (20, 20)))
    with pytest.raises(InputError, match="32-bit grey values -5 to -5"):
        read_photo(Image.new("I", (20, 20), -5))
    with pytest.raises(InputError, match=r"shape \(1, 3, 4, 4\); wanted \(3, H, W\)"):
        to_source_kind(read_photo(CONTENT.pixels), torch.zeros(1, 3, 4, 4))


# Masks


def test_arrays_with_an_axis_too_many_and_arrays_of_nothing():
    labels = CONTENT.labels.astype(np.int64)
    for shaped in (labels[..., None], labels[None]):
        assert torch.equal(read_masks(shaped, (40, 48)).masks, CONTENT.regions)
    with pytest.raises(InputError, match="is empty"):
        read_masks(np.zeros((0, 0), np.uint8), (40, 48))
    with pytest.raises(InputError, match="regions; at most 64"):
        read_masks(np.arange(200 * 200).reshape(200, 200), (200, 200))
    with pytest.raises(InputError, match="array of complex64"):
        read_masks({"sky": np.zeros((40, 48), np.complex64)}, (40, 48))
    with pytest.raises(InputError, match="wanted at least 1x1"):
        resize_masks(CONTENT.regions, (0, 4))


# Weights


def test_a_pickle_that_holds_no_tensors_and_memory_that_ends(tmp_path, monkeypatch):
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(FileError, match="holds a list, not named tensors"):
        read_weights(tmp_path / "w.pth")

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(MemoryError):
        read_weights(tmp_path / "w.pth")


def test_the_cache_without_a_home(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTPHOTO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert download.cache_folder().name == "fastphoto"


def test_a_system_without_file_locks_downloads_too(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fcntl", None)
    with download._lock(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


# Memory


def test_memory_of_a_gpu_and_of_systems_that_do_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert available_bytes("cuda") == 1200
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / "nothing")
    assert available_bytes() is None


def test_memory_of_a_control_group(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.stat").write_text("anon 10\ninactive_file 400\n")
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path if "cgroup" in name else tmp_path / "nothing")
    assert available_bytes() == 2400
