"""Training photographs: fetching them from packages, and reproducible pictures made of them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import torch
from locations import ROOT

SHARED_ROW = {"lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"}  # both in one row of the card


def test_pictures_are_the_same_at_every_call(training_photos, photos):
    first, second = training_photos.Pictures(photos[:2], 0), training_photos.Pictures(photos[:2], 0)
    assert torch.equal(first.batch(3), second.batch(3))
    assert not torch.equal(first.batch(3), first.batch(4)), "all batches are the same"
    assert not torch.equal(first.batch(3), training_photos.Pictures(photos[:2], 1).batch(3)), "the seed has no effect"
    assert first.batch(3).shape == (training_photos.BATCH, 3, training_photos.SIDE, training_photos.SIDE)
    assert first.batch(3).min() >= 0 and first.batch(3).max() <= 1


def test_a_package_that_cannot_be_fetched_is_named(training_photos, tmp_path):
    (tmp_path / "list.txt").write_text("no-such-package-here usr/share/photo.png\n")
    with pytest.raises(SystemExit, match="packages no-such-package-here are missing"):
        training_photos.fetch_photos(tmp_path)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")
def test_missing_photos_come_from_their_packages(training_photos, photos, tmp_path, monkeypatch):
    """They are fetched once, into a new folder. Here apt-get is a script that copies a package made for the test."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = {"Package": "photo", "Version": "1", "Architecture": "all", "Maintainer": "x", "Description": "x"}
    (tree / "DEBIAN" / "control").write_text("".join(f"{k}: {v}\n" for k, v in control.items()))
    (tree / "usr").mkdir()
    (tree / "usr" / "photo.png").write_bytes(photos[0].read_bytes())
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, tmp_path / "photo.deb"], check=True)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "apt-get"
    script.write_text(f"#!/bin/sh\n[ \"$*\" = 'download photo' ] && cp {tmp_path / 'photo.deb'} photo_1_all.deb\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    (tmp_path / "list.txt").write_text("photo usr/photo.png\n")
    (fetched,) = training_photos.fetch_photos(tmp_path / "new" / "folder")
    assert fetched.read_bytes() == photos[0].read_bytes()
    script.unlink()
    assert training_photos.fetch_photos(tmp_path / "new" / "folder") == [fetched]


def test_the_photo_list_is_the_one_of_the_model_card():
    listed = (ROOT / "tools" / "training_photos.txt").read_text().splitlines()
    card = (ROOT / "fastphoto" / "encoders" / "embedded" / "MODEL_CARD.md").read_text()
    assert len(set(listed)) == len(listed) and f"{len(listed)} that" in card
    packages = [line.split(" ", 1)[0] for line in listed]
    for package in set(packages) - SHARED_ROW:
        assert f"| {package} | {packages.count(package)} |" in card, package
