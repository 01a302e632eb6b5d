"""Measures of results that were published: by another implementation, and as the paper describes them."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from locations import SHARED
from PIL import Image

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.errors import FastPhotoWarning
from fastphoto.evaluation.measures import ReferencePair
from fastphoto.evaluation.scores import evaluate
from fastphoto.regions.palette import PALETTE


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    path = SHARED / "eval" / "metrics.py"
    if not (path.is_file() and (SHARED / "pairs").is_dir() and (SHARED / "weights").is_dir()):
        pytest.skip("needs published pairs of photos, weights and metrics.py, which are not part of the project")
    spec = importlib.util.spec_from_file_location("shared_metrics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def both_encoders(metrics) -> list[Encoder]:
    files = {"vgg19": "vgg19_conv1_1_to_conv3_1.safetensors", "vgg19-16x": "vgg19_16x.safetensors"}
    return [load_encoder(name, SHARED / "weights" / file) for name, file in files.items()]


def shrunk(path: Path, side: int, resample: Image.Resampling) -> Image.Image:
    image = Image.open(path).convert("RGB")
    return image.resize(tuple(round(n * side / max(image.size)) for n in image.size), resample)


@pytest.mark.parametrize("number", ["3", "8"])
def test_published_results_measure_the_same_by_both_implementations(metrics, both_encoders, number):
    folder, side = SHARED / "pairs" / number, 200
    content, style, *results = (
        np.asarray(shrunk(folder / f"{name}.png", side, Image.Resampling.LANCZOS)) / 255
        for name in ("content", "style", "published", "stage1")
    )
    colours = np.array(list(PALETTE.values()))
    maps = []
    for role in ("content", "style"):
        mask = np.asarray(shrunk(folder / f"{role}_mask.png", side, Image.Resampling.NEAREST)).astype(int)
        maps.append(((mask[:, :, None] - colours) ** 2).sum(-1).argmin(-1))
    pixels = [torch.from_numpy(image).permute(2, 0, 1).float() for image in (content, style, *results)]
    pair = ReferencePair(pixels[0], pixels[1], *map(torch.from_numpy, maps), both_encoders)
    for image, tensor in zip(results, pixels[2:], strict=True):
        expected, got = metrics.measure(content, style, image, *maps), asdict(pair.measure(tensor))
        expected["look"] = expected.pop("colour")
        del got["ssim"]  # the other implementation lacks it
        # Pixels are float64 there and float32 here, and so are the features of the encoders.
        assert got == pytest.approx({name: expected[name] for name in got}, rel=1e-5)


def test_the_first_stage_has_more_style_and_more_stains_than_the_final_result():
    folder = SHARED / "pairs" / "5"
    if not folder.is_dir():
        pytest.skip("needs a published pair of photos, which is not part of the project")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastPhotoWarning)
        evaluations = evaluate(
            folder / "content.png",
            folder / "style.png",
            {name: folder / f"{name}.png" for name in ("published", "stage1")},
            folder / "content_mask.png",
            folder / "style_mask.png",
        )
    final, first = evaluations["published"].scores, evaluations["stage1"].scores
    assert first.style < final.style
    assert first.photorealism > 1.5 * final.photorealism
    assert first.stains > 1.1 * final.stains
    for name, score in asdict(final).items():
        assert 0.5 < score < 2, f"{name} is far from the median of the published results, which is 1"
