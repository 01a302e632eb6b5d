"""What image files are read from besides paths of regular files: bytes, streams and descriptors."""

from __future__ import annotations

import io
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from smooth_pictures import smooth_picture

from fastphoto.errors import FileError, InputError
from fastphoto.photos.input_files import opened_file
from fastphoto.photos.read import read_photo
from fastphoto.regions.reading import read_masks


def png(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize("source", [bytes, bytearray, memoryview, io.BytesIO], ids=lambda kind: kind.__name__)
def test_a_file_without_a_path_is_the_same_photo(source, tmp_path):
    array = smooth_picture(40, 48)
    (tmp_path / "p.png").write_bytes(png(array))
    photo = read_photo(source(png(array)), "content")
    assert photo.name == "content" and torch.equal(photo.pixels, read_photo(tmp_path / "p.png").pixels)


def test_a_photo_is_read_from_a_descriptor():
    array = smooth_picture(40, 48)
    reader, writer = os.pipe()
    data = png(array)

    def write() -> None:
        with open(writer, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    photo = read_photo(f"/dev/fd/{reader}")
    thread.join()
    os.close(reader)
    assert photo.size == (40, 48)


def test_a_mask_is_read_from_a_stream():
    picture = np.zeros((40, 48, 3), np.uint8)
    picture[:20] = 255
    assert read_masks(io.BytesIO(png(picture)), (40, 48)).names == ("black", "white")


def test_an_endless_pipe_is_refused():
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout is not None
        with pytest.raises(FileError, match="^content: more than 512 MiB; give the path of a file of this size$"):
            read_photo(endless.stdout)
        endless.kill()


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        pytest.param(b"", FileError, "^content: the file is empty$", id="empty"),
        pytest.param(b"no picture", FileError, "^content: not an image", id="no picture"),
        pytest.param(io.StringIO("text"), InputError, "^content: a stream of text; open it in binary mode$", id="text"),
        pytest.param(
            3, InputError, "^content: cannot read .* int; give a path, bytes, binary stream, PIL", id="number"
        ),
    ],
)
def test_what_a_stream_cannot_give_is_one_line(source, error, message):
    with pytest.raises(error, match=message):
        read_photo(source)


def test_a_stream_that_stands_at_its_end_says_how_to_go_back():
    written = io.BytesIO()
    Image.fromarray(smooth_picture(40, 48)).save(written, "PNG")
    with pytest.raises(
        InputError, match=r"^content: nothing is left to read in the stream; call seek\(0\) on it first$"
    ):
        read_photo(written)
    written.seek(0)
    assert read_photo(written).size == (40, 48)


@pytest.mark.parametrize("buffering", [-1, 0], ids=["buffered", "raw"])
@pytest.mark.parametrize("begun", [False, True], ids=["nothing yet", "begun"])
def test_a_stream_that_does_not_wait_has_not_ended(buffering, begun):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "wb") as source, os.fdopen(reader, "rb", buffering) as stream:
        if begun:
            source.write(png(smooth_picture(40, 48))[:1000])
            source.flush()
        with pytest.raises(
            InputError, match="^content: a stream that does not wait for its data; make it blocking, as os"
        ):
            read_photo(stream)


@pytest.mark.parametrize("error", [ValueError, OSError, FileNotFoundError])
def test_errors_of_what_uses_an_open_file_stay_as_they_are(error):
    with pytest.raises(error, match="^mine$") as caught, opened_file(b"data", "content"):
        raise error("mine")
    assert caught.type is error


def test_a_file_that_opens_and_cannot_be_read_is_one_line():
    path = Path("/sys/class/net/lo/speed")  # a driver's answer, and the loopback device has none
    if not path.exists():
        pytest.skip("no such device")
    with pytest.raises(FileError, match=r"^/sys/class/net/lo/speed: cannot be read \("):
        read_photo(path)
