"""tools/train_segmenter.py: pruning, rounding and refitting of layers and of a whole network, and what it refuses."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from locations import ROOT, SHARED
from safetensors.torch import save_file
from tool_command import refusal
from torch import Tensor

from fastphoto.photos.read import read_photo
from fastphoto.regions import segmenter
from fastphoto.regions.segmenter import Convolution, SceneNetwork, load_segmenter, read_segmenter, unpack_weight

TEACHER = SHARED / "weights" / "mosaic_r4_ade20k.tflite"


@pytest.fixture
def tool(tools) -> ModuleType:
    return importlib.import_module("train_segmenter")


def inputs(channels: int, noise_share: float = 0.2) -> Tensor:
    """Return two batches of correlated activations, (2, channels, 24, 24) each, with other means."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(channels, 3, generator=generator)
    sources, noise = torch.randn(2, 2, channels + 3, 24, 24, generator=generator).split([3, channels], 2)
    return torch.einsum("ck,bnkhw->bnchw", mixing, sources) + noise_share * noise + mixing[:, :1, None]


def apply(weight: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("oc,bnchw->bnohw", weight, x)


# ---- layers


def test_rounding_for_correlated_inputs_loses_less_than_plain_rounding(tool):
    weight, x = torch.randn(6, 16, generator=torch.Generator().manual_seed(1)), inputs(16)
    products = tool.moments(zip(x, x, strict=True)).inputs[:-1, :-1]
    errors = []
    for known in (products, None):
        numbers, factor = tool.round_weight(weight, known, 4)
        assert numbers.dtype == torch.int8 and numbers.abs().max() == 7 and factor.dtype == torch.float16
        errors.append(apply(numbers * factor.float()[:, None] - weight, x).square().mean())
    assert errors[0] < 0.5 * errors[1]


def test_rounding_to_eight_bits_errs_by_half_a_step(tool):
    weight = torch.randn(6, 9, generator=torch.Generator().manual_seed(1))
    numbers, factor = tool.round_weight(weight, None, 8)
    assert ((numbers * factor.float()[:, None] - weight).abs() <= 0.51 * factor.float()[:, None]).all()


def test_rounding_of_a_row_of_zeros_is_finite(tool):
    numbers, factor = tool.round_weight(torch.zeros(2, 4), torch.eye(4, dtype=torch.float64), 4)
    assert not numbers.any() and (factor > 0).all()


def test_a_refit_recovers_a_linear_map(tool):
    generator = torch.Generator().manual_seed(1)
    weight, bias, x = torch.randn(5, 8, generator=generator), torch.randn(5, generator=generator), inputs(8, 1)
    known = tool.moments(zip(x, apply(weight, x) + bias[:, None, None], strict=True))
    found = tool.refit(known)
    assert torch.allclose(found.float(), weight, atol=0.02)
    found_bias = tool.best_bias(found, known).float()
    predicted = apply(found.float(), x) + found_bias[:, None, None]
    assert (predicted - apply(weight, x) - bias[:, None, None]).abs().max() < 0.05


def test_pruning_drops_a_duplicate_channel_at_no_cost(tool):
    x = inputs(9)
    x[:, :, 5] = 2 * x[:, :, 2]
    y = apply(torch.randn(4, 9, generator=torch.Generator().manual_seed(1)), x)
    kept = tool.prune(tool.moments(zip(x, y, strict=True)), 8)
    assert kept.tolist() in ([n for n in range(9) if n != 2], [n for n in range(9) if n != 5])
    known = tool.moments(zip(x[:, :, kept], y, strict=True))
    assert (apply(tool.refit(known).float(), x[:, :, kept]) - y).var() < 1e-3 * y.var()


def test_packed_numbers_are_unpacked_again(tool):
    numbers = torch.arange(-8, 8, dtype=torch.int8).repeat(3, 1)[:, :, None, None]
    assert torch.equal(unpack_weight(tool.pack(numbers), torch.ones(3)), numbers.float())


# ---- a network


def test_a_compressed_network_does_what_its_teacher_does(tool, tmp_path, monkeypatch):
    """The teacher has random weights and few channels, and the pictures have a quarter of the usual side."""
    narrow = tuple(shape._replace(expanded=min(shape.expanded, 64)) for shape in tool.BOTTLENECKS)
    for module in (tool, segmenter):
        monkeypatch.setattr(module, "BOTTLENECKS", narrow)
    generator = torch.Generator().manual_seed(0)
    teacher = SceneNetwork()
    for layer in teacher.modules():
        if isinstance(layer, Convolution):
            layer.weight.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=generator)
            layer.bias.normal_(0, 0.1, generator=generator)
    blocks = torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.uint8, generator=generator)
    pictures = blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)
    with torch.no_grad():
        done = tool.compress(teacher, pictures)
        save_file(done.tensors, tmp_path / "network.safetensors")
        network = read_segmenter(tmp_path / "network.safetensors")
        ours, theirs = (net.decoder(*net.features(pictures[:4] / 255)) for net in (network, teacher))
    assert all(torch.equal(x, y) for x, y in zip(network.buffers(), done.network.buffers(), strict=True))
    assert [len(block.expand.bias) for block in network.blocks] == [64] * 6 + [48] * 10
    assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.9


def test_crops_are_the_same_at_every_call(tool, photos):
    first, second = tool.crops(photos, 4, 0), tool.crops(photos, 4, 0)
    assert first.shape == (4, 3, 512, 512) and first.dtype == torch.uint8
    assert torch.equal(first, second)
    assert not torch.equal(first, tool.crops(photos, 4, 1)), "the seed has no effect"


def test_the_package_has_a_network_much_like_the_published_one(tool):
    pytest.importorskip("ai_edge_litert")
    if not TEACHER.exists():
        pytest.skip(f"needs {TEACHER}")
    teacher = tool.read_teacher(TEACHER)
    pixels = read_photo(ROOT / "fastphoto" / "photos" / "demo" / "lake-at-sunset" / "content.jpg").pixels
    with torch.no_grad():
        assert (load_segmenter()(pixels).argmax(0) == teacher(pixels).argmax(0)).float().mean() > 0.9


# ---- bad input


def test_other_bytes_than_the_published_ones_are_refused(tool, tmp_path, capsys):
    (tmp_path / "teacher.tflite").write_bytes(b"something else")
    line = refusal(tool, capsys, "--teacher", tmp_path / "teacher.tflite", "-o", tmp_path / "out")
    assert "teacher.tflite: SHA-256 is " in line and tool.TEACHER_SHA256 in line
    assert not (tmp_path / "out").exists()


def test_a_missing_teacher_is_named(tool, tmp_path, capsys):
    assert "none.tflite: No such file" in refusal(tool, capsys, "--teacher", tmp_path / "none.tflite", "-o", "out")


def test_the_script_runs_from_any_folder(tmp_path):
    """It finds the modules beside it."""
    command = [sys.executable, ROOT / "tools" / "train_segmenter.py", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "--teacher" in done.stdout, done.stderr


def test_agreement_of_a_network_with_itself_is_whole(tool, photos):
    network = load_segmenter()
    assert np.allclose(tool.agreement(network, network, photos[:1]), 1)
