"""Runs of tools/train_encoder.py: interrupted ones, what they write, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from locations import ROOT

from fastphoto.encoders.weights import read_weights


def run(train_encoder, monkeypatch, folder: Path, name: str, steps: int) -> Path:
    out = folder / f"{name}.safetensors"
    options = {"--teachers": folder, "--photos": folder, "--checkpoint": folder / f"{name}.checkpoint", "-o": out}
    arguments = [str(x) for option in options.items() for x in option]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--steps", str(steps)])
    try:
        train_encoder.main()
    finally:
        torch.use_deterministic_algorithms(False)
    return out


def test_an_interrupted_run_ends_in_the_same_bits(train_encoder, tmp_path, monkeypatch, capsys):
    whole = run(train_encoder, monkeypatch, tmp_path, "whole", 7)
    assert "SHA-256" in capsys.readouterr().out
    refresh = train_encoder.Pool.refresh

    def stop(self, step):
        if step == 5:
            raise KeyboardInterrupt
        refresh(self, step)

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(train_encoder.Pool, "refresh", stop)
        run(train_encoder, interrupted, tmp_path, "parts", 7)
    assert (tmp_path / "parts.checkpoint").exists() and not (tmp_path / "parts.safetensors").exists()
    with pytest.raises(SystemExit, match="parts.checkpoint: of a run with other steps; delete it"):
        run(train_encoder, monkeypatch, tmp_path, "parts", 8)
    assert run(train_encoder, monkeypatch, tmp_path, "parts", 7).read_bytes() == whole.read_bytes()


def test_a_written_file_names_its_run_and_leaves_no_checkpoint(train_encoder, tmp_path, monkeypatch):
    weights = read_weights(run(train_encoder, monkeypatch, tmp_path, "any", 3))
    assert (weights.padding, weights.pooling, weights.licence) == ("zeros", "max_floor", "MIT")
    assert "--steps 3 --seed 0" in weights.source
    assert not (tmp_path / "any.checkpoint").exists()


def test_missing_teachers_are_named_before_photos_are_fetched(train_encoder, distillation, tmp_path, monkeypatch):
    (tmp_path / distillation.NARROW_TEACHER).unlink()
    (tmp_path / "list.txt").write_text("no-such-package-here usr/share/photo.png\n")
    with pytest.raises(SystemExit, match=f"{distillation.NARROW_TEACHER}: No such file"):
        run(train_encoder, monkeypatch, tmp_path, "any", 2)
    assert not (tmp_path / "any.safetensors").exists()


def test_the_script_runs_from_any_folder(tmp_path):
    """It finds the modules beside it."""
    command = [sys.executable, ROOT / "tools" / "train_encoder.py", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "--teachers" in done.stdout, done.stderr
