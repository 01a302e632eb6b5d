"""Fixtures of the tools' tests: modules with a small schedule, teachers of random weights, photos, photo pairs."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from locations import ROOT
from PIL import Image
from rendered_photos import Rendered, day, dusk
from safetensors.torch import save_file

from fastphoto.encoders.layers import CONVOLUTIONS, Layer

TEACHER_WIDTHS = {1: 16, 2: 32, 3: 64, 4: 128, 5: 128}  # by block


@pytest.fixture
def tools(monkeypatch) -> None:
    """Make the modules of tools/ importable, as they are for a script that is run there."""
    monkeypatch.syspath_prepend(ROOT / "tools")


@pytest.fixture
def training_photos(tools, photos, monkeypatch) -> ModuleType:
    module = importlib.import_module("training_photos")
    monkeypatch.setattr(module, "SIDE", 32)
    monkeypatch.setattr(module, "PHOTO_LIST", photos[0].parents[1] / "list.txt")
    return module


@pytest.fixture
def distillation(tools) -> ModuleType:
    return importlib.import_module("distillation")


@pytest.fixture
def train_encoder(training_photos, distillation, teachers, monkeypatch) -> ModuleType:
    module = importlib.import_module("train_encoder")
    for name, value in {"POOL": 16, "STEPS_PER_REFRESH": 2, "STEPS_PER_CHECKPOINT": 3, "HELD_OUT": 3}.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """Three rendered photos in tmp_path/package, and tmp_path/list.txt, which lists them."""
    (tmp_path / "package").mkdir()
    paths = [tmp_path / "package" / f"{i}.png" for i in range(3)]
    for path, photo in zip(paths, (day(80, 96), dusk(90, 80), day(70, 70)), strict=True):
        Image.fromarray((photo.pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path)
    (tmp_path / "list.txt").write_text("".join(f"package {path.name}\n" for path in paths))
    return paths


@pytest.fixture
def teachers(tmp_path, distillation) -> Path:
    """A folder of two teachers of random weights."""
    generator = torch.Generator().manual_seed(0)
    for file, count in ((distillation.FULL_TEACHER, 5), (distillation.NARROW_TEACHER, 13)):
        tensors, channels = {"normalise.weight": torch.eye(3)[:, :, None, None], "normalise.bias": torch.zeros(3)}, 3
        for name in CONVOLUTIONS[:count]:
            width = TEACHER_WIDTHS[Layer.parse(name).block]
            tensors[f"{name}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) / channels**0.5 / 2
            tensors[f"{name}.bias"], channels = torch.zeros(width), width
        save_file(tensors, tmp_path / file)
    return tmp_path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """The folder of two pairs, 2 and 10."""
    write_pair(tmp_path / "pairs" / "2", day(36, 48), dusk(40, 32))
    write_pair(tmp_path / "pairs" / "10", dusk(36, 48), day(32, 40))
    return tmp_path / "pairs"


def write_pair(folder: Path, content: Rendered, style: Rendered) -> None:
    folder.mkdir(parents=True)
    published = (content.array * 0.6 + style.array.mean((0, 1)) * 0.4).astype(np.uint8)
    files = {"content": content.array, "style": style.array, "published": published}
    files |= {"content_mask": content.mask_picture, "style_mask": style.mask_picture}
    for name, array in files.items():
        Image.fromarray(array).save(folder / f"{name}.png")
