"""Weight files: every accepted format, and every file that is refused."""

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
from fastphoto.encoders.weights import EncoderWeights, load_weights, read_weights
from fastphoto.errors import FileError, InputError

SEQUENTIAL = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]  # conv1_1 .. conv5_1 in torchvision's VGG-19
CAFFE_KERNEL = [0.45290, 0.45130, -0.05953, 0.30816, 0.11918, -0.40261, -0.09638, -0.32743, -0.44711]
# As PyTorch prints torchvision's own features[0].weight[0, 0].
TORCHVISION_KERNEL = [
    *(-0.053474, -0.049257, -0.067942),
    *(0.015314, 0.045068, 0.0021444),
    *(0.036226, 0.019999, 0.019864),
]
Parameters = list[tuple[torch.Tensor, torch.Tensor]]


def random_vgg19(count: int = 13) -> Parameters:
    """A narrow VGG-19 of `count` layers: [(weight, bias), ...] in network order."""
    generator = torch.Generator().manual_seed(0)
    widths = [3, 4, 4, 6, 6, 8, 8, 8, 8, 10, 10, 10, 10, 12][: count + 1]
    return [
        (torch.randn(b, a, 3, 3, generator=generator), torch.randn(b, generator=generator))
        for a, b in zip(widths, widths[1:], strict=False)
    ]


def named(names, parameters: Parameters) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{part}": tensor
        for name, pair in zip(names, parameters, strict=False)
        for part, tensor in zip(("weight", "bias"), pair, strict=True)
    }


def sequential(parameters: Parameters) -> dict[str, torch.Tensor]:
    """Named as in Caffe's and torchvision's files."""
    return named((f"features.{i}" for i in SEQUENTIAL), parameters)


def native(parameters: Parameters, names=CONVOLUTIONS) -> dict[str, torch.Tensor]:
    """Named as in this package's files."""
    normalise = {"normalise.weight": torch.randn(3, 3, 1, 1), "normalise.bias": torch.randn(3)}
    return named(names, parameters) | normalise


def assert_read(weights: EncoderWeights, parameters: Parameters) -> None:
    assert list(weights.convolutions) == list(CONVOLUTIONS[: len(parameters)])
    for (weight, bias), (expected_weight, expected_bias) in zip(weights.convolutions.values(), parameters, strict=True):
        assert torch.equal(weight, expected_weight) and torch.equal(bias, expected_bias)
        assert weight.dtype == torch.float32


# ---- files that are read


@pytest.mark.parametrize("count", [13, 5, 1])
def test_safetensors(tmp_path, count):
    parameters = random_vgg19(count)
    tensors = native(parameters)
    save_file(tensors, tmp_path / "any.name")
    read = load_weights("vgg19-16x", tmp_path / "any.name")
    assert_read(read, parameters)
    assert torch.equal(read.normalise[0], tensors["normalise.weight"][:, :, 0, 0])
    assert torch.equal(read.normalise[1], tensors["normalise.bias"])
    assert (read.padding, read.pooling) == ("reflect", "max_floor")
    assert read.sha256 == hashlib.sha256((tmp_path / "any.name").read_bytes()).hexdigest()


def test_safetensors_metadata_says_what_the_tensors_cannot(tmp_path):
    metadata = {"padding": "zeros", "pooling": "max_ceil", "source": "here", "licence": "MIT"}
    save_file(native(random_vgg19(1)), tmp_path / "w", metadata=metadata)
    read = read_weights(tmp_path / "w")
    assert {k: getattr(read, k) for k in metadata} == metadata
    save_file(native(random_vgg19(1)), tmp_path / "w", metadata={"padding": "circular"})
    with pytest.raises(FileError, match="circular"):
        read_weights(tmp_path / "w")


def test_native_files_may_leave_layers_out(tmp_path):
    """All but the first of a block; the first missing one is named."""
    names = ["conv1_1", "conv2_1", "conv2_2", "conv3_1", "conv3_3"]
    tensors = native(random_vgg19(5), names)
    save_file(tensors, tmp_path / "w")
    assert list(read_weights(tmp_path / "w").convolutions) == names
    save_file({k: v for k, v in tensors.items() if "conv2_1" not in k}, tmp_path / "w")
    with pytest.raises(FileError, match="at conv2_1"):
        read_weights(tmp_path / "w")


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])
def test_caffe_expects_bgr_times_256_minus_the_mean(tmp_path, new_format):
    parameters = random_vgg19()
    path = tmp_path / "caffe-vgg19.bin"
    torch.save(sequential(parameters), path, _use_new_zipfile_serialization=new_format)
    read = read_weights(path)
    assert_read(read, parameters)
    assert (read.padding, read.pooling) == ("zeros", "max_ceil")
    rgb = torch.tensor([0.25, 0.5, 1.0])
    expected = torch.tensor([256 * 1.0 - 103.939, 256 * 0.5 - 116.779, 256 * 0.25 - 123.68])
    torch.testing.assert_close(read.normalise[0] @ rgb + read.normalise[1], expected)


def test_torchvision_expects_standard_scores(tmp_path):
    parameters = random_vgg19()
    extra = {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    torch.save(sequential(parameters) | extra, tmp_path / "vgg19-torchvision.pth")
    read = read_weights(tmp_path / "vgg19-torchvision.pth")
    assert_read(read, parameters)
    assert (read.padding, read.pooling) == ("zeros", "max_floor")
    rgb = torch.tensor([0.25, 0.5, 1.0])
    expected = torch.tensor([(0.25 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1.0 - 0.406) / 0.225])
    torch.testing.assert_close(read.normalise[0] @ rgb + read.normalise[1], expected)


@pytest.mark.parametrize(
    ("kernel", "pooling"),
    [(CAFFE_KERNEL, "max_ceil"), (TORCHVISION_KERNEL, "max_floor")],
    ids=["caffe", "torchvision"],
)
def test_the_first_kernel_tells_caffe_from_torchvision(tmp_path, kernel, pooling):
    parameters = random_vgg19(2)
    parameters[0][0][0, 0] = 0.7 * torch.tensor(kernel).reshape(3, 3)
    torch.save(sequential(parameters), tmp_path / "renamed.pth")
    assert read_weights(tmp_path / "renamed.pth").pooling == pooling
    other = {"max_ceil": "torchvision", "max_floor": "caffe"}[pooling]
    assert read_weights(tmp_path / "renamed.pth", format=other).pooling != pooling


@pytest.mark.parametrize(
    "wrap",
    [lambda d: d, lambda d: {"model": d}, lambda d: {"model": {"SE": d}, "epoch": 20}],
    ids=["bare", "in model", "in model and SE"],
)
def test_collaborative_distillation(tmp_path, wrap):
    parameters = random_vgg19()
    matrix, offset = torch.randn(3, 3, 1, 1), torch.randn(3)
    tensors = named((name.replace("_", "") for name in CONVOLUTIONS), parameters)
    tensors |= {"conv0.weight": matrix, "conv0.bias": offset, "conv11_aux.weight": torch.zeros(64, 4, 1, 1)}
    torch.save(wrap(tensors), tmp_path / "e.pth")
    read = load_weights("vgg19-16x", tmp_path / "e.pth")
    assert_read(read, parameters)
    assert torch.equal(read.normalise[0], matrix[:, :, 0, 0]) and torch.equal(read.normalise[1], offset)
    assert (read.padding, read.pooling) == ("reflect", "max_floor")


def test_half_precision_is_widened(tmp_path):
    save_file({k: v.half() for k, v in native(random_vgg19(2)).items()}, tmp_path / "w")
    assert_read(read_weights(tmp_path / "w"), [(w.half().float(), b.half().float()) for w, b in random_vgg19(2)])


# ---- files that are refused


def test_undecidable_vgg19_is_refused(tmp_path):
    torch.save(sequential(random_vgg19()), tmp_path / "mine.pth")
    with pytest.raises(FileError, match="Caffe's or torchvision's"):
        read_weights(tmp_path / "mine.pth")


def test_an_unknown_format_is_refused(tmp_path):
    torch.save(sequential(random_vgg19()), tmp_path / "mine.pth")
    with pytest.raises(InputError, match="keras"):
        read_weights(tmp_path / "mine.pth", format="keras")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda t: t.pop("conv2_1.weight"), "conv2_1", id="missing weight"),
        pytest.param(lambda t: t.pop("conv3_1.bias"), "conv3_1.bias", id="missing bias"),
        pytest.param(lambda t: t.pop("normalise.bias"), "normalise.bias", id="missing normalise bias"),
        pytest.param(lambda t: t.pop("conv1_1.weight"), "not a VGG-19-shaped encoder", id="missing first layer"),
        pytest.param(
            lambda t: t.update({"conv2_1.weight": torch.zeros(6, 5, 3, 3)}),
            r"expected \(n, 4, 3, 3\)",
            id="other input channels",
        ),
        pytest.param(lambda t: t.update({"conv2_1.weight": torch.zeros(6, 4, 5, 5)}), "conv2_1", id="5x5 kernel"),
        pytest.param(lambda t: t.update({"conv2_1.bias": torch.zeros(7)}), "conv2_1", id="longer bias"),
        pytest.param(lambda t: t.update({"conv1_2.bias": torch.zeros(4, dtype=torch.int32)}), "int32", id="integers"),
        pytest.param(
            lambda t: t["conv1_2.weight"].flatten()[7:8].fill_(float("nan")), "conv1_2.weight holds NaN", id="nan"
        ),
        pytest.param(
            lambda t: t["normalise.weight"].flatten()[7:8].fill_(float("inf")),
            "normalise.weight holds NaN",
            id="infinite normalise",
        ),
        pytest.param(lambda t: t.update({"normalise.weight": torch.zeros(4, 3)}), "normalise", id="4x3 normalise"),
        pytest.param(lambda t: t.clear(), "not a VGG-19-shaped encoder", id="empty"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, change, message):
    tensors = native(random_vgg19(5))
    change(tensors)
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(FileError, match=message) as error:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(error.value) and str(tmp_path / "w.pth") in str(error.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"features.0.weight": torch.zeros(4, 3, 3, 3), "features.1.weight": torch.zeros(4)},
        named((f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19)), random_vgg19(9)),
    ],
    ids=["batch normalisation", "VGG-16"],
)
def test_other_vggs_are_refused(tmp_path, tensors):
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(FileError, match="not VGG-19 without batch normalisation"):
        read_weights(tmp_path / "w.pth", format="torchvision")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "save",
    [
        lambda content, path: torch.save(content, path),
        lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
        lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2)),
    ],
    ids=["zip", "legacy", "plain pickle"],
)
def test_code_in_a_pickle_is_not_run(tmp_path, save):
    save({"features.0.weight": Payload(tmp_path / "executed")}, tmp_path / "w.pth")
    with pytest.raises(FileError, match="holds more than tensors and is not run"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "executed").exists(), "code was run"


@pytest.mark.parametrize(
    "save",
    [
        lambda path: save_file(native(random_vgg19()), path),
        lambda path: torch.save(sequential(random_vgg19()), path),
        lambda path: torch.save(sequential(random_vgg19()), path, _use_new_zipfile_serialization=False),
    ],
    ids=["safetensors", "zip", "legacy"],
)
@pytest.mark.parametrize("share", [0.01, 0.4, 0.98])
def test_files_cut_short_are_refused(tmp_path, save, share):
    path = tmp_path / "w"
    save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileError, match="damaged or cut short") as error:
        read_weights(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(b"\n<!DOCTYPE html><html>Sign in</html>", "web page", id="web page"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "neither safetensors nor",
            id="git-lfs pointer",
        ),
        pytest.param(pickle.dumps([1, 2], protocol=2), "damaged|not named tensors", id="pickled list"),
        pytest.param(b"PK\x03\x04" + bytes(100), "damaged", id="cut zip"),
        pytest.param(b'\x10\0\0\0\0\0\0\0{"a": nonsense}!', "damaged", id="broken safetensors header"),
    ],
)
def test_files_that_are_no_weights_are_refused(tmp_path, content, message):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(FileError, match=message) as error:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(error.value)


def test_a_saved_list_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(FileError, match="holds a list, not named tensors"):
        read_weights(tmp_path / "w.pth")


def test_running_out_of_memory_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    torch.save({}, tmp_path / "w.pth")
    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(MemoryError):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["none.pth", "."], ids=["missing file", "folder"])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(FileError, match=str(tmp_path / name)):
        load_weights("vgg19", tmp_path / name)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(InputError, match=r"'resnet'.*'vgg19' or 'vgg19-16x'"):
        load_weights("resnet")


def test_changed_files_raise_nothing_but_file_errors(tmp_path):
    """A small part of what `make fuzz` does."""
    with warnings.catch_warnings():
        outcomes = fuzz_weights(300, 1, tmp_path / "changed")
    assert outcomes["read"] > 5 and outcomes["refused"] > 100 and outcomes.total() == 300
