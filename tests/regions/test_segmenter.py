"""The embedded segmentation network: its file, its layers against plain loops, and what it sees in photos."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch
import torch.nn.functional as F
from locations import ROOT
from safetensors.torch import load_file, save_file
from torch import Tensor

from fastphoto.errors import FileError, InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions.segmenter import (
    SCENE_CLASSES,
    SEGMENTER,
    Convolution,
    enlarge_from_corner,
    load_segmenter,
    read_segmenter,
    scene_scores,
    unpack_weight,
)

DEMO = ROOT / "fastphoto" / "photos" / "demo"
CARD = SEGMENTER.with_name("MODEL_CARD.md")


# ---- what it sees


def test_the_upper_part_of_a_demo_photo_is_sky():
    scores = scene_scores(read_photo(DEMO / "mountains-as-desert" / "content.jpg").pixels)
    named = [SCENE_CLASSES[number] for number in scores[:, :16].argmax(0).flatten()]
    assert named.count("sky") > 0.95 * len(named)
    assert "sky" not in [SCENE_CLASSES[number] for number in scores[:, -16:].argmax(0).flatten()]


@pytest.mark.parametrize("size", [(16, 16), (17, 901), (640, 33)])
def test_scores_are_log_probabilities_for_any_size(size):
    scores = scene_scores(torch.rand(3, *size))
    assert scores.shape == (32, 128, 128) and scores.dtype == torch.float32
    assert torch.allclose(scores.exp().sum(0), torch.ones(128, 128), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_floating_dtype_is_read(dtype):
    photo = (torch.rand(3, 40, 50) * 8).round() / 8  # exact in every dtype
    # Logarithms of down to -30 of float32 activations, through some twenty layers.
    torch.testing.assert_close(scene_scores(photo.to(dtype)), scene_scores(photo), atol=1e-3, rtol=1e-4)


def test_scores_are_the_same_at_every_call_and_need_no_gradient():
    photo = torch.rand(3, 48, 64, requires_grad=True)
    first, second = scene_scores(photo), scene_scores(photo)
    assert torch.equal(first, second) and not first.requires_grad


def test_reading_the_network_draws_no_random_numbers():
    state = torch.get_rng_state()
    read_segmenter(SEGMENTER)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(3, 15, 20), (3, 20, 15), (1, 20, 20), (20, 20, 3), (1, 3, 20, 20), (20, 20), ()])
def test_photos_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match="photo: got shape"):
        scene_scores(torch.zeros(shape))


def test_photos_of_whole_numbers_are_refused():
    with pytest.raises(InputError, match=r"photo: got dtype torch\.uint8"):
        scene_scores(torch.zeros(3, 20, 20, dtype=torch.uint8))


# ---- its layers


def plain_convolution(x: Tensor, layer: Convolution) -> Tensor:
    """Convolve x (C, H, W) as TensorFlow does with padding "SAME": the smaller half of the padding at the top left."""
    outputs, inputs, kernel, _ = layer.weight.shape
    sizes = [math.ceil(n / layer.stride) for n in x.shape[1:]]
    reach = (kernel - 1) * layer.dilation + 1
    top, left = (max((m - 1) * layer.stride + reach - n, 0) // 2 for m, n in zip(sizes, x.shape[1:], strict=True))
    result = layer.bias[:, None, None].repeat(1, *sizes).double()
    for o in range(outputs):
        first = o // (outputs // layer.groups) * inputs
        for row in range(sizes[0]):
            for column in range(sizes[1]):
                for i in range(kernel):
                    for j in range(kernel):
                        y = row * layer.stride + i * layer.dilation - top
                        z = column * layer.stride + j * layer.dilation - left
                        if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                            pixel = x[first : first + inputs, y, z].double()
                            result[o, row, column] += (layer.weight[o, :, i, j].double() * pixel).sum()
    return result


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
@pytest.mark.parametrize(
    "shape",
    [{"kernel": 3, "stride": 2}, {"kernel": 5, "stride": 2, "groups": 2}, {"kernel": 5, "dilation": 2, "groups": 2}],
)
def test_convolutions_have_the_padding_of_tensorflow(shape, size):
    generator = torch.Generator().manual_seed(0)
    layer = Convolution(2, 2, **shape)
    layer.weight.normal_(generator=generator)
    layer.bias.normal_(generator=generator)
    x = torch.randn(2, *size, generator=generator)
    assert torch.allclose(layer(x[None])[0].double(), plain_convolution(x, layer), atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [((4, 4), (32, 32)), ((3, 5), (12, 10))])
def test_enlarging_takes_positions_from_the_corner(old, new):
    x, expected = torch.rand(2, *old), torch.empty(2, *new)
    for row in range(new[0]):
        for column in range(new[1]):
            y, z = row * old[0] / new[0], column * old[1] / new[1]
            below, right = min(int(y) + 1, old[0] - 1), min(int(z) + 1, old[1] - 1)
            upper = x[:, int(y), int(z)] * (1 - z % 1) + x[:, int(y), right] * (z % 1)
            lower = x[:, below, int(z)] * (1 - z % 1) + x[:, below, right] * (z % 1)
            expected[:, row, column] = upper * (1 - y % 1) + lower * (y % 1)
    assert torch.allclose(enlarge_from_corner(x, new), expected, atol=1e-6)


def test_the_network_stretches_a_photo_to_its_square():
    photo = torch.rand(3, 40, 70)
    square = F.interpolate(photo[None], (512, 512), mode="bilinear", antialias=True)[0]
    network = load_segmenter()
    assert torch.allclose(network(photo), network(square), atol=1e-4)


# ---- its file


def test_numbers_of_four_bits_are_unpacked():
    low, high = torch.tensor([[-8, 0], [7, 3]]), torch.tensor([[7, -1], [-7, 0]])
    packed = (low + 8 + 16 * (high + 8)).to(torch.uint8).reshape(2, 2, 1, 1)
    weight = unpack_weight(packed, torch.tensor([0.5, 2.0], dtype=torch.float16))
    assert weight.dtype == torch.float32
    assert weight[:, :, 0, 0].tolist() == [[-4.0, 3.5, 0.0, -0.5], [14.0, -14.0, 6.0, 0.0]]


def test_numbers_of_eight_bits_are_unpacked():
    numbers = torch.tensor([-127, 0, 127], dtype=torch.int8).reshape(1, 3, 1, 1)
    assert unpack_weight(numbers, torch.tensor([0.5]).half()).flatten().tolist() == [-63.5, 0.0, 63.5]


def test_the_file_is_small_and_the_one_of_its_model_card():
    content, card = SEGMENTER.read_bytes(), CARD.read_text()
    assert len(content) <= 1_000_000 and f"{len(content):,} bytes" in card
    assert hashlib.sha256(content).hexdigest() in card
    assert "Apache License" in SEGMENTER.with_name("LICENSE").read_text()


def test_the_photo_list_is_the_one_of_the_model_card():
    listed, card = (ROOT / "tools" / "segmenter_photos.txt").read_text().splitlines(), CARD.read_text()
    assert len(set(listed)) == len(listed) and f"{len(listed)} photographs" in card
    packages = [line.split(" ", 1)[0] for line in listed]
    for package in set(packages):
        assert f"| {package} | {packages.count(package)} |" in card, package


def damaged(tensors: dict[str, Tensor], damage: str) -> dict[str, Tensor]:
    name = "blocks.7.project"
    changes = {
        "no tensors": None,
        "a missing tensor": {f"{name}.scale": None},
        "a missing block": {"blocks.7.expand.bias": None},
        "another tensor": {"surplus": torch.zeros(1)},
        "another shape": {f"{name}.weight": tensors[f"{name}.weight"][:, 1:]},
        "fewer expanded channels": {"blocks.7.expand.bias": tensors["blocks.7.expand.bias"][16:]},
        "another dtype": {f"{name}.weight": tensors[f"{name}.weight"].float()},
        "no dimensions": {f"{name}.weight": torch.tensor(1, dtype=torch.uint8)},
        "a bias of no dimensions": {"blocks.7.expand.bias": torch.tensor(1.0)},
        "too few factors": {f"{name}.scale": tensors[f"{name}.scale"][1:]},
        "a NaN factor": {f"{name}.scale": tensors[f"{name}.scale"] * torch.nan},
        "an infinite bias": {f"{name}.bias": tensors[f"{name}.bias"] + torch.inf},
    }[damage]
    changed = {} if changes is None else {**tensors, **changes}
    return {key: value.contiguous() for key, value in changed.items() if value is not None}


@pytest.mark.parametrize(
    "damage",
    [
        *("no tensors", "a missing tensor", "a missing block", "another tensor", "another shape", "another dtype"),
        *("fewer expanded channels", "no dimensions", "a bias of no dimensions", "too few factors", "a NaN factor"),
        "an infinite bias",
    ],
)
def test_files_with_other_tensors_are_refused(tmp_path, damage):
    path = tmp_path / "damaged.safetensors"
    save_file(damaged(load_file(SEGMENTER), damage), path)
    with pytest.raises(FileError, match=r"damaged\.safetensors: not the weights of a segmentation network") as error:
        read_segmenter(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no weights", SEGMENTER.read_bytes()[:-1000], None])
def test_files_that_cannot_be_read_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(FileError, match="damaged: not the weights"):
        read_segmenter(tmp_path / "damaged")
