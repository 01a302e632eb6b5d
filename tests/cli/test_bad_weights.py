"""Weight files that cannot be used, kinds 81 to 88 of docs/reliability.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from bad_input import Call, Change, Refused, assert_documented, each, edited
from safetensors.torch import load_file, save_file

from fastphoto.encoders.encoder import EMBEDDED

Tensors = dict[str, torch.Tensor]


def weights(write: Callable[[Path], object], name: str = "w.safetensors") -> Change:
    """Return a change: the weights are the file of that name, which `write` writes."""

    def change(folder: Path) -> Call:
        write(folder / name)
        return {"encoder": "vgg19-16x", "weights": folder / name}

    return change


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def copied(path: Path) -> None:
    path.write_bytes(EMBEDDED.read_bytes())


def pickled(tensors: dict[str, object]) -> Callable[[Path], object]:
    return lambda path: torch.save(tensors, path)


def changed(change: Callable[[Tensors], object]) -> Callable[[Path], object]:
    """Return a function that writes the embedded encoder with some tensors changed."""

    def write(path: Path) -> None:
        tensors = load_file(EMBEDDED)
        change(tensors)
        save_file(tensors, path)

    return write


def put_nan(tensors: Tensors) -> None:
    tensors["conv1_1.weight"].view(-1)[3] = float("nan")


def flip_byte(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


class Payload:
    """Creates a file if it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


VGG16X, VGG19 = "vgg19-16x-E20.pth", "vgg19-dcbb9e9d.pth"  # names of published files, whose hashes are known
CONVOLUTION = {"conv1_1.weight": torch.rand(4, 3, 3, 3)}
OTHER_SHAPE = {"conv1_2.weight": torch.rand(7, 2, 3, 3)}

CASES = [
    Refused(
        81,
        "missing",
        lambda folder: {"encoder": "vgg19-16x", "weights": folder / "no.pth"},
        error="No such file",
    ),
    Refused(82, "wrong hash", weights(copied, VGG16X), error="SHA-256 is"),
    Refused(83, "cut short", weights(edited(lambda data: data[:9000], copied)), error="damaged or cut short"),
    Refused(
        83,
        "pickle cut short",
        weights(edited(lambda data: data[:-300], pickled(CONVOLUTION)), "w.pth"),
        error="damaged or cut short",
    ),
    Refused(84, "HTML", weights(content(b"<!DOCTYPE html>"), "w.pth"), error="a web page, not weights"),
    Refused(85, "empty", weights(content(b""), "w.pth"), error="empty file"),
    Refused(86, "a flipped byte of a known file", weights(edited(flip_byte, copied), VGG19), error="SHA-256 is"),
    Refused(87, "malicious pickle", weights(pickled({"x": Payload()}), "w.pth"), error="is not run"),
    Refused(88, "other keys", weights(pickled({"layer1.weight": torch.rand(3)}), "w.pth"), error="not a VGG-19-shaped"),
    Refused(88, "other shapes", weights(changed(lambda t: t.update(OTHER_SHAPE))), error="conv1_2 has weight"),
    Refused(88, "NaN", weights(changed(put_nan)), error="NaN or infinite"),
]


@each(CASES)
def test_command(case, tmp_path, capsys):
    case.check_command(tmp_path, capsys)


@each(CASES)
def test_python(case, tmp_path):
    case.check_python(tmp_path)


def test_documentation_says_the_same():
    assert_documented(CASES)
