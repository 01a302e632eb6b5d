"""Weight files: every accepted format, every refused one, and downloads from a server on this machine."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings

import pytest
import torch
from fuzz import fuzz_weights
from safetensors.torch import save_file

from fastphoto.encoders.layers import CONVOLUTIONS
from fastphoto.encoders.weights import load_weights, read_weights
from fastphoto.errors import FileError, InputError

SEQUENTIAL = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]  # conv1_1 .. conv5_1 in torchvision's VGG-19
CAFFE_KERNEL = [0.45290, 0.45130, -0.05953, 0.30816, 0.11918, -0.40261, -0.09638, -0.32743, -0.44711]
# As PyTorch prints torchvision's own features[0].weight[0, 0].
TORCHVISION_KERNEL = [
    -0.053474,
    -0.049257,
    -0.067942,
    0.015314,
    0.045068,
    0.0021444,
    0.036226,
    0.019999,
    0.019864,
]


def layers(count=13, seed=0):
    """Random narrow VGG-19: [(weight, bias), ...] in network order."""
    generator = torch.Generator().manual_seed(seed)
    widths = [3, 4, 4, 6, 6, 8, 8, 8, 8, 10, 10, 10, 10, 12][: count + 1]
    return [
        (torch.randn(b, a, 3, 3, generator=generator), torch.randn(b, generator=generator))
        for a, b in zip(widths, widths[1:], strict=False)
    ]


def named(name, values):
    return {
        f"{name(i)}.{part}": t
        for i, pair in enumerate(values)
        for part, t in zip(("weight", "bias"), pair, strict=True)
    }


def sequential(values):
    return named(lambda i: f"features.{SEQUENTIAL[i]}", values)


def native(values):
    return named(lambda i: CONVOLUTIONS[i], values) | {
        "normalise.weight": torch.randn(3, 3, 1, 1),
        "normalise.bias": torch.randn(3),
    }


def assert_same(read, values):
    assert list(read.convolutions) == list(CONVOLUTIONS[: len(values)])
    for (weight, bias), (want_weight, want_bias) in zip(read.convolutions.values(), values, strict=True):
        assert torch.equal(weight, want_weight) and torch.equal(bias, want_bias)
        assert weight.dtype == torch.float32


def test_names_of_layers_are_those_of_vgg19():
    assert " ".join(CONVOLUTIONS) == (
        "conv1_1 conv1_2 conv2_1 conv2_2 conv3_1 conv3_2 conv3_3 conv3_4 "
        "conv4_1 conv4_2 conv4_3 conv4_4 conv5_1 conv5_2 conv5_3 conv5_4"
    )


@pytest.mark.parametrize("count", [13, 5, 1])
def test_safetensors(tmp_path, count):
    values = layers(count)
    tensors = native(values)
    save_file(tensors, tmp_path / "any.name")
    read = load_weights("vgg19-16x", tmp_path / "any.name")
    assert_same(read, values)
    assert torch.equal(read.normalise[0], tensors["normalise.weight"][:, :, 0, 0])
    assert torch.equal(read.normalise[1], tensors["normalise.bias"])
    assert (read.padding, read.pooling) == ("reflect", "max_floor")
    assert read.sha256 == hashlib.sha256((tmp_path / "any.name").read_bytes()).hexdigest()


def test_safetensors_metadata_says_what_the_tensors_cannot(tmp_path):
    metadata = {"padding": "zeros", "pooling": "max_ceil", "source": "here", "licence": "MIT"}
    save_file(native(layers(1)), tmp_path / "w", metadata=metadata)
    read = read_weights(tmp_path / "w")
    assert {k: getattr(read, k) for k in metadata} == metadata
    save_file(native(layers(1)), tmp_path / "w", metadata={"padding": "circular"})
    with pytest.raises(FileError, match="circular"):
        read_weights(tmp_path / "w")


def test_networks_of_ours_may_leave_layers_out(tmp_path):
    """All but the first of a block; where one is missing, it is named."""
    kept = ["conv1_1", "conv2_1", "conv2_2", "conv3_1", "conv3_3"]
    tensors = named(lambda i: kept[i], layers(5)) | {k: v for k, v in native([]).items() if "normalise" in k}
    save_file(tensors, tmp_path / "w")
    assert list(read_weights(tmp_path / "w").convolutions) == kept
    save_file({k: v for k, v in tensors.items() if "conv2_1" not in k}, tmp_path / "w")
    with pytest.raises(FileError, match="at conv2_1"):
        read_weights(tmp_path / "w")


@pytest.mark.parametrize("new_format", [True, False])
def test_caffe_expects_bgr_times_256_minus_the_mean(tmp_path, new_format):
    values = layers()
    path = tmp_path / "caffe-vgg19.bin"
    torch.save(sequential(values), path, _use_new_zipfile_serialization=new_format)
    read = read_weights(path)
    assert_same(read, values)
    assert (read.padding, read.pooling) == ("zeros", "max_ceil")
    rgb = torch.tensor([0.25, 0.5, 1.0])
    expected = torch.tensor([256 * 1.0 - 103.939, 256 * 0.5 - 116.779, 256 * 0.25 - 123.68])
    torch.testing.assert_close(read.normalise[0] @ rgb + read.normalise[1], expected)


def test_torchvision_expects_standard_scores(tmp_path):
    values = layers()
    extra = {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    torch.save(sequential(values) | extra, tmp_path / "vgg19-torchvision.pth")
    read = read_weights(tmp_path / "vgg19-torchvision.pth")
    assert_same(read, values)
    assert (read.padding, read.pooling) == ("zeros", "max_floor")
    rgb = torch.tensor([0.25, 0.5, 1.0])
    expected = torch.tensor([(0.25 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1.0 - 0.406) / 0.225])
    torch.testing.assert_close(read.normalise[0] @ rgb + read.normalise[1], expected)


@pytest.mark.parametrize(("kernel", "pooling"), [(CAFFE_KERNEL, "max_ceil"), (TORCHVISION_KERNEL, "max_floor")])
def test_the_first_kernel_tells_caffe_from_torchvision(tmp_path, kernel, pooling):
    values = layers(2)
    values[0][0][0, 0] = 0.7 * torch.tensor(kernel).reshape(3, 3)
    torch.save(sequential(values), tmp_path / "renamed.pth")
    assert read_weights(tmp_path / "renamed.pth").pooling == pooling
    other = {"max_ceil": "torchvision", "max_floor": "caffe"}[pooling]
    assert read_weights(tmp_path / "renamed.pth", format=other).pooling != pooling


def test_undecidable_vgg19_is_refused(tmp_path):
    torch.save(sequential(layers()), tmp_path / "mine.pth")
    with pytest.raises(FileError, match="Caffe's or torchvision's"):
        read_weights(tmp_path / "mine.pth")
    with pytest.raises(InputError, match="keras"):
        read_weights(tmp_path / "mine.pth", format="keras")


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: {"model": d}, lambda d: {"model": {"SE": d}, "epoch": 20}])
def test_collaborative_distillation(tmp_path, wrap):
    values = layers()
    matrix, offset = torch.randn(3, 3, 1, 1), torch.randn(3)
    tensors = named(lambda i: CONVOLUTIONS[i].replace("_", ""), values)
    tensors |= {"conv0.weight": matrix, "conv0.bias": offset, "conv11_aux.weight": torch.zeros(64, 4, 1, 1)}
    torch.save(wrap(tensors), tmp_path / "e.pth")
    read = load_weights("vgg19-16x", tmp_path / "e.pth")
    assert_same(read, values)
    assert torch.equal(read.normalise[0], matrix[:, :, 0, 0]) and torch.equal(read.normalise[1], offset)
    assert (read.padding, read.pooling) == ("reflect", "max_floor")


def test_half_precision_is_widened(tmp_path):
    save_file({k: v.half() for k, v in native(layers(2)).items()}, tmp_path / "w")
    assert_same(read_weights(tmp_path / "w"), [(w.half().float(), b.half().float()) for w, b in layers(2)])


def broken(change):
    tensors = native(layers(5))
    change(tensors)
    return tensors


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("conv2_1.weight"), "conv2_1"),
        (lambda t: t.pop("conv3_1.bias"), "conv3_1.bias"),
        (lambda t: t.pop("normalise.bias"), "normalise.bias"),
        (lambda t: t.pop("conv1_1.weight"), "not a VGG-19-shaped encoder"),
        (lambda t: t.update({"conv2_1.weight": torch.zeros(6, 5, 3, 3)}), r"expected \(n, 4, 3, 3\)"),
        (lambda t: t.update({"conv2_1.weight": torch.zeros(6, 4, 5, 5)}), "conv2_1"),
        (lambda t: t.update({"conv2_1.bias": torch.zeros(7)}), "conv2_1"),
        (lambda t: t.update({"conv1_2.bias": torch.zeros(4, dtype=torch.int32)}), "int32"),
        (lambda t: t["conv1_2.weight"].flatten()[7:8].fill_(float("nan")), "conv1_2.weight holds NaN"),
        (lambda t: t["normalise.weight"].flatten()[7:8].fill_(float("inf")), "normalise.weight holds NaN"),
        (lambda t: t.update({"normalise.weight": torch.zeros(4, 3)}), "normalise"),
        (lambda t: t.clear(), "not a VGG-19-shaped encoder"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, change, said):
    torch.save(broken(change), tmp_path / "w.pth")
    with pytest.raises(FileError, match=said) as error:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(error.value) and str(tmp_path / "w.pth") in str(error.value)


def test_other_vggs_are_told_apart(tmp_path):
    with_norm = {"features.0.weight": torch.zeros(4, 3, 3, 3), "features.1.weight": torch.zeros(4)}
    vgg16 = named(lambda i: f"features.{[0, 2, 5, 7, 10, 12, 14, 17, 19][i]}", layers(9))
    for tensors in (with_norm, vgg16):
        torch.save(tensors, tmp_path / "w.pth")
        with pytest.raises(FileError, match="not VGG-19 without batch normalisation"):
            read_weights(tmp_path / "w.pth", format="torchvision")


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "plain"])
def test_code_in_a_pickle_is_not_run(tmp_path, kind):
    content = {"features.0.weight": Payload(tmp_path / "executed")}
    if kind == "plain":
        (tmp_path / "w.pth").write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(FileError, match="holds more than tensors and is not run"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.01, 0.4, 0.98])
def test_cut_short(tmp_path, kind, share):
    path = tmp_path / "w"
    if kind == "safetensors":
        save_file(native(layers()), path)
    else:
        torch.save(sequential(layers()), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileError, match="damaged or cut short") as error:
        read_weights(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "neither safetensors nor"),
        (pickle.dumps([1, 2], protocol=2), "damaged|not named tensors"),
        (b"PK\x03\x04" + bytes(100), "damaged"),
        (b'\x10\0\0\0\0\0\0\0{"a": nonsense}!', "damaged"),
    ],
)
def test_files_that_are_no_weights(tmp_path, content, said):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(FileError, match=said) as error:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(FileError, match=str(path)):
            load_weights("vgg19", path)


def test_unknown_encoder():
    with pytest.raises(InputError, match=r"'resnet'.*'vgg19' or 'vgg19-16x'"):
        load_weights("resnet")


def test_changed_files_never_escape(tmp_path):
    """Some of what `make fuzz` does."""
    with warnings.catch_warnings():
        found = fuzz_weights(300, 1, tmp_path / "changed")
    assert found["read"] > 5 and found["refused"] > 100 and found.total() == 300
