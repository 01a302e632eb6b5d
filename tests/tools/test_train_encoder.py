"""The training of the embedded encoder: it learns, goes on where it stopped, and writes a file that loads."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from locations import ROOT
from PIL import Image
from rendered_photos import day, dusk
from safetensors.torch import save_file

from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import LAYERS
from fastphoto.encoders.weights import read_weights

TOOL = ROOT / "tools" / "train_encoder.py"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The script with a small schedule, teachers of random weights and two rendered photos."""
    spec = importlib.util.spec_from_file_location("train_encoder", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_encoder", module)
    spec.loader.exec_module(module)
    for name, value in {"SIDE": 32, "POOL": 16, "STEPS_PER_REFRESH": 2, "STEPS_PER_CHECKPOINT": 3}.items():
        monkeypatch.setattr(module, name, value)
    generator = torch.Generator().manual_seed(0)
    for file, count in ((module.FULL_TEACHER, 5), (module.NARROW_TEACHER, 13)):
        tensors, channels = {"normalise.weight": torch.eye(3)[:, :, None, None], "normalise.bias": torch.zeros(3)}, 3
        for name in LAYERS[:count]:
            width = {"1": 16, "2": 32, "3": 64, "4": 128, "5": 128}[name[4]]
            tensors[f"{name}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) / channels**0.5 / 2
            tensors[f"{name}.bias"], channels = torch.zeros(width), width
        save_file(tensors, tmp_path / file)
    listed = []
    for i, photo in enumerate((day(80, 96), dusk(90, 80), day(70, 70))):
        pixels = (photo.pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        (tmp_path / "package").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "package" / f"{i}.png")
        listed.append(f"package {i}.png\n")
    (tmp_path / "list.txt").write_text("".join(listed))
    monkeypatch.setattr(module, "PHOTO_LIST", tmp_path / "list.txt")
    monkeypatch.setattr(module, "HELD_OUT", 3)
    return module


def run(tool, monkeypatch, folder: Path, name: str, steps: int) -> Path:
    out = folder / f"{name}.safetensors"
    options = {"--teachers": folder, "--photos": folder, "--checkpoint": folder / f"{name}.checkpoint", "-o": out}
    arguments = [str(x) for option in options.items() for x in option]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--steps", str(steps)])
    try:
        tool.main()
    finally:
        torch.use_deterministic_algorithms(False)
    return out


def test_an_interrupted_run_ends_in_the_same_bits(tool, tmp_path, monkeypatch, capsys):
    whole = run(tool, monkeypatch, tmp_path, "whole", 7)
    assert "SHA-256" in capsys.readouterr().out
    pool, refresh = tool.Pool, tool.Pool.refresh

    def stop(self, step):
        if step == 5:
            raise KeyboardInterrupt
        refresh(self, step)

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(pool, "refresh", stop)
        run(tool, interrupted, tmp_path, "parts", 7)
    assert (tmp_path / "parts.checkpoint").exists() and not (tmp_path / "parts.safetensors").exists()
    with pytest.raises(SystemExit, match="parts.checkpoint: of a run with other steps; delete it"):
        run(tool, monkeypatch, tmp_path, "parts", 8)
    assert run(tool, monkeypatch, tmp_path, "parts", 7).read_bytes() == whole.read_bytes()


def test_the_file_is_the_network_that_was_trained(tool, tmp_path):
    """Channel by channel up to their scale, but for those that never fire; layers have a mean of 1, and channels more
    even deviations."""
    start = tool.untrained(read_weights(tmp_path / tool.NARROW_TEACHER))
    silent = {"relu1_2": [3], "relu3_1": [0], "relu5_1": [95]}
    for layer, channels in silent.items():
        start.convolutions[f"conv{layer[4:]}"][1][channels] = -1e6
    student = tool.Student(start)
    images = tool.Pictures([tmp_path / "package" / f"{i}.png" for i in (1, 2)], 0).batch(0)
    save_file(student.tensors(images), tmp_path / "any.safetensors", {"padding": "zeros", "pooling": "max_floor"})
    weights = read_weights(tmp_path / "any.safetensors")
    assert tuple(weights.convolutions) == tool.LAYERS
    encoder = Encoder(weights)
    with torch.no_grad():
        ours, theirs = encoder(images, encoder.layers), student.features(images, encoder.layers)
    for layer, found in ours.items():
        assert float(found.mean()) == pytest.approx(1, rel=0.02), layer
        found, wanted = (f.permute(1, 0, 2, 3).flatten(1) for f in (found, theirs[layer]))
        fires = wanted.amax(1) > 0
        assert not fires[silent.get(layer, [])].any()
        wanted = wanted[fires]
        assert len(found) == len(wanted), layer
        scale = found.norm(dim=1) / wanted.norm(dim=1)
        assert (found - scale[:, None] * wanted).norm() < 0.02 * found.norm(), layer
        spread = [(f.std(1).log().quantile(0.9) - f.std(1).log().quantile(0.1)) for f in (found, wanted)]
        assert spread[0] < 0.7 * spread[1], layer


def test_a_written_file_says_how_and_leaves_no_checkpoint(tool, tmp_path, monkeypatch):
    weights = read_weights(run(tool, monkeypatch, tmp_path, "any", 3))
    assert (weights.padding, weights.pooling, weights.licence) == ("zeros", "max_floor", "MIT")
    assert "--steps 3 --seed 0" in weights.source
    assert not (tmp_path / "any.checkpoint").exists()


def test_missing_teachers_are_named_before_photos_are_fetched(tool, tmp_path, monkeypatch):
    (tmp_path / tool.NARROW_TEACHER).unlink()
    (tmp_path / "list.txt").write_text("no-such-package-here usr/share/photo.png\n")
    with pytest.raises(SystemExit, match=f"{tool.NARROW_TEACHER}: No such file"):
        run(tool, monkeypatch, tmp_path, "any", 2)
    assert not (tmp_path / "any.safetensors").exists()


def test_training_lowers_the_losses(tool, tmp_path):
    """On one batch, from random weights, with heads solved for anew at every step."""
    teachers = tool.Teachers(tmp_path)
    pictures = tool.Pictures([tmp_path / "package" / "0.png"], 0)
    targets = teachers(pictures.batch(0))
    start = tool.untrained(teachers.weights[tool.NARROW_TEACHER])
    random = torch.Generator().manual_seed(1)
    for weight, _ in start.convolutions.values():
        weight += 0.5 * weight.std() * torch.randn(weight.shape, generator=random)
    student = tool.Student(start)
    optimiser = torch.optim.AdamW(list(student.parameters.values()), 2e-3)
    totals = []
    for _ in range(20):
        losses = student.losses(targets)
        total = sum(losses.values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append({name: float(loss.detach()) for name, loss in losses.items()})
    for name in ("relu1_1", "relu2_1", "relu3_1"):  # deeper ones of random teachers are nearly linear, and easy
        assert totals[-1][name] < 0.9 * totals[0][name], name


def test_losses_are_the_errors_of_the_heads(tool, tmp_path):
    """The sums over channels that never touch a pixel twice give the plain definition."""
    teachers = tool.Teachers(tmp_path)
    images = tool.Pictures([tmp_path / "package" / "0.png"], 0).batch(0)
    targets = teachers(images)
    student = tool.Student(tool.untrained(teachers.weights[tool.NARROW_TEACHER]))
    losses = student.losses(targets)
    features = student.features(images, list(targets.features))
    for layer, target in targets.features.items():
        guess = torch.einsum("dc,bchw->bdhw", student._head(layer), features[layer])
        error = (guess - target.float()).square().sum() / target.float().square().sum()
        assert float(losses[layer].detach()) == pytest.approx(float(error.detach()), rel=0.02, abs=2e-3), layer


def test_pictures_are_the_same_at_every_call(tool, tmp_path):
    paths = [tmp_path / "package" / f"{i}.png" for i in (0, 1)]
    first, second = tool.Pictures(paths, 0), tool.Pictures(paths, 0)
    assert torch.equal(first.batch(3), second.batch(3))
    assert not torch.equal(first.batch(3), first.batch(4))
    assert not torch.equal(first.batch(3), tool.Pictures(paths, 1).batch(3))
    assert first.batch(3).shape == (tool.BATCH, 3, tool.SIDE, tool.SIDE)
    assert first.batch(3).min() >= 0 and first.batch(3).max() <= 1


def test_a_package_that_cannot_be_fetched_is_named(tool, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("no-such-package-here usr/share/photo.png\n")
    with pytest.raises(SystemExit, match="packages no-such-package-here are missing"):
        tool.fetch_photos(tmp_path)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")
def test_missing_photos_come_from_their_packages(tool, tmp_path, monkeypatch):
    """Into a folder that is not there yet, once; apt-get is a script that hands out a package made here."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = {"Package": "photo", "Version": "1", "Architecture": "all", "Maintainer": "x", "Description": "x"}
    (tree / "DEBIAN" / "control").write_text("".join(f"{k}: {v}\n" for k, v in control.items()))
    (tree / "usr").mkdir()
    (tree / "usr" / "photo.png").write_bytes((tmp_path / "package" / "0.png").read_bytes())
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, tmp_path / "photo.deb"], check=True)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "apt-get"
    script.write_text(f"#!/bin/sh\n[ \"$*\" = 'download photo' ] && cp {tmp_path / 'photo.deb'} photo_1_all.deb\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    (tmp_path / "list.txt").write_text("photo usr/photo.png\n")
    (fetched,) = tool.fetch_photos(tmp_path / "new" / "folder")
    assert fetched.read_bytes() == (tmp_path / "package" / "0.png").read_bytes()
    script.unlink()
    assert tool.fetch_photos(tmp_path / "new" / "folder") == [fetched]


def test_the_photo_list_is_what_the_card_says():
    listed = (TOOL.parent / "training_photos.txt").read_text().splitlines()
    card = (TOOL.parents[1] / "fastphoto" / "encoders" / "embedded" / "MODEL_CARD.md").read_text()
    assert len(set(listed)) == len(listed) and f"{len(listed)} that" in card
    packages = [line.split(" ", 1)[0] for line in listed]
    for package in set(packages) - {"lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"}:
        assert f"| {package} | {packages.count(package)} |" in card, package
