"""The preset "paper" against the published formulas, written out once more in float64 and plain PyTorch.

Two differences are meant. The style gradient is the exact one, with the mask squared; the published code leaves one
factor of the mask out, which is right for binary masks only. And regions that are in one photo only are not pushed to
zero but treated as `Settings.orphans` says, so the reference here is given photos whose regions agree.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_pairs import full_size_objective, rendered_pair
from rendered_photos import day, dusk
from torch import Tensor
from torch.nn import functional as F
from watched_steps import steps_alone

import fastphoto
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.optimisation.descent import minimise
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.solvers import LBFGS
from fastphoto.optimisation.start import start_image
from fastphoto.photos.resize import fit_size
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import layer_masks

BLOCKS = (
    ("1_1", "1_2"),
    ("2_1", "2_2"),
    ("3_1", "3_2", "3_3", "3_4"),
    ("4_1", "4_2", "4_3", "4_4"),
    ("5_1",),
)
CONVOLUTION_NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
STYLE_LAYERS = ("1_1", "2_1", "3_1", "4_1", "5_1")
MEAN = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)  # B, G, R


@pytest.fixture(scope="module")
def caffe(tmp_path_factory) -> Path:
    """Random weights of VGG-19's shape, narrower, in a file whose name says that they are Caffe's."""
    generator = torch.Generator().manual_seed(5)
    tensors, channels = {}, 3
    for number, width in zip(CONVOLUTION_NUMBERS, (8, 8, 16, 16, 24, 24, 24, 24, 32, 32, 32, 32, 32), strict=True):
        weight = torch.randn(width, channels, 3, 3, generator=generator) * math.sqrt(2 / (9 * channels))
        tensors[f"features.{number}.weight"] = weight
        tensors[f"features.{number}.bias"] = torch.randn(width, generator=generator) * 3
        channels = width
    path = tmp_path_factory.mktemp("weights") / "random_caffe.pth"
    torch.save(tensors, path)
    return path


# ---- the published objective -------------------------------------------------------------------------------


def activations(x: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Caffe's VGG-19 on pixels x (3, H, W), BGR in 0..256: {"1_1": (C, h, w)} after the ReLUs."""
    x = (x - MEAN[:, None, None])[None]
    found, numbers = {}, iter(CONVOLUTION_NUMBERS)
    for index, block in enumerate(BLOCKS):
        if index:
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        for layer in block:
            weight, bias = (
                tensors[f"features.{p}.{part}"].double() for p in [next(numbers)] for part in ("weight", "bias")
            )
            x = F.conv2d(x, weight, bias, padding=1).relu()
            found[layer] = x[0]
    return found


def area_mean(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrunk by averaging over area, pixels counted by the fraction that is covered."""
    for axis in (0, 1):
        mask = np.moveaxis(mask, axis, 0)
        ratio = len(mask) / size[axis]
        rows = []
        for i in range(size[axis]):
            low, high = i * ratio, (i + 1) * ratio
            row = np.zeros(mask.shape[1])
            for j in range(len(mask)):
                row += max(0.0, min(high, j + 1) - max(low, j)) / ratio * mask[j]
            rows.append(row)
        mask = np.moveaxis(np.stack(rows), 0, axis)
    return mask


def blurred(mask: np.ndarray) -> np.ndarray:
    """The 3x3 sum over 9 with zeros around."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    total = np.zeros((height, width))
    for dy in range(3):
        for dx in range(3):
            total += padded[dy : dy + height, dx : dx + width]
    return total / 9


def masks_of_layers(picture: np.ndarray) -> dict[str, Tensor]:
    """The nine masks of a picture (H, W, 3) uint8 at the five style layers: {"1_1": (9, h, w)}."""
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in STYLE_LAYERS}
    for colour in PALETTE.values():
        mask = (picture == np.array(colour)).all(-1).astype(np.float64)
        for number, block in enumerate(BLOCKS):
            if number:
                mask = area_mean(mask, (math.ceil(mask.shape[0] / 2), math.ceil(mask.shape[1] / 2)))
            for layer in block:
                mask = blurred(mask)
                if layer in STYLE_LAYERS:
                    found[layer].append(mask)
    return {layer: torch.from_numpy(np.stack(masks)) for layer, masks in found.items()}


def grams(features: Tensor, masks: Tensor) -> Tensor:
    """(m F)(m F)^T / (C h w mu) of nine masks, (9, C, C); undivided where the mask is empty."""
    channels, height, width = features.shape
    result = []
    for mask in masks:
        masked = (features * mask).flatten(1)
        mean = float(mask.mean())
        result.append(masked @ masked.T / (channels * height * width * mean if mean > 0 else 1))
    return torch.stack(result)


def laplacian(image: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The matting Laplacian of (3, H, W) in [0, 1] as a dense matrix, window by window."""
    _, height, width = image.shape
    colours = image.permute(1, 2, 0).reshape(-1, 3)
    numbers = torch.arange(height * width).view(height, width)
    matrix = torch.zeros(height * width, height * width, dtype=torch.float64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            window = numbers[y - 1 : y + 2, x - 1 : x + 2].flatten()
            centred = colours[window] - colours[window].mean(0)
            covariance = centred.T @ centred / 9 + epsilon / 9 * torch.eye(3, dtype=torch.float64)
            affinity = (1 + centred @ torch.linalg.solve(covariance, centred.T)) / 9
            matrix[window[:, None], window[None]] += torch.eye(9, dtype=torch.float64) - affinity
    return matrix


def published_parts(
    x: Tensor, content: Tensor, style: Tensor, content_mask: np.ndarray, style_mask: np.ndarray, tensors: dict
) -> dict[str, Tensor]:
    """The four losses of stage 2 for pixels x (3, H, W), BGR in 0..256; photos (3, H, W) BGR in [0, 1]."""
    result, expected, painted = (activations(pixels, tensors) for pixels in (x, content * 256, style * 256))
    content_masks, style_masks = masks_of_layers(content_mask), masks_of_layers(style_mask)
    style_loss = torch.zeros((), dtype=torch.float64)
    for layer in STYLE_LAYERS:
        target = grams(painted[layer], style_masks[layer])
        squares = (grams(result[layer], content_masks[layer]) - target).square().mean((1, 2))
        style_loss = style_loss + 100 * (content_masks[layer].mean((1, 2)) * squares).sum()
    corner = x[:, :-1, :-1]
    variation = (corner - x[:, :-1, 1:]).square().sum() + (corner - x[:, 1:, :-1]).square().sum()
    v = (x / 256).flatten(1)
    return {
        "content": 5 * (result["4_2"] - expected["4_2"]).square().mean(),
        "style": style_loss,
        "total variation": 0.5e-3 * variation,
        "photorealism": 1e4 * (v @ laplacian(content) * v).sum(),
    }


def palette_mask(height: int, width: int, colours: tuple[str, ...]) -> np.ndarray:
    """Wavy bands of palette colours, and a corner in a colour off the palette, which belongs to no region."""
    y, x = np.mgrid[:height, :width]
    band = ((y + 3 * np.sin(x / 5)) / height * len(colours)).clip(0, len(colours) - 1).astype(int)
    picture = np.array([PALETTE[c] for c in colours], np.uint8)[band]
    picture[:8, :8] = (200, 60, 120)
    return picture


def masks_of(picture: np.ndarray, names: tuple[str, ...]) -> Tensor:
    return torch.stack([torch.from_numpy((picture == np.array(PALETTE[n])).all(-1)) for n in names]).float()


@pytest.mark.parametrize("height, width", [(45, 38), (32, 48)])
def test_gradient_is_the_published_one(caffe, height, width):
    names = ("blue", "grey", "red")
    content, style = day(height, width).pixels, dusk(42, 51).pixels
    content_mask, style_mask = palette_mask(height, width, names), palette_mask(42, 51, names[::-1])
    generator = torch.Generator().manual_seed(3)
    image = (content + 0.1 * torch.randn(content.shape, generator=generator)).clamp(0, 1)

    bgr = [pixels.flip(0).double() for pixels in (image, content, style)]
    x = (bgr[0] * 256).requires_grad_()
    tensors = torch.load(caffe, weights_only=True)
    expected = published_parts(x, bgr[1], bgr[2], content_mask, style_mask, tensors)

    network = load_encoder("vgg19", caffe)
    pair = PhotoPair(content, style, names, masks_of(content_mask, names), masks_of(style_mask, names))
    objective = full_size_objective(pair, network, preset_settings("paper"))
    pixels = image * 256
    _, gradient, parts = objective.value_and_gradient(pixels)

    assert set(parts) == set(expected)
    for name, part in expected.items():
        assert float(parts[name]) == pytest.approx(part.item(), rel=1e-4), name
        # Each alone, so that the largest does not hide the others.
        (alone,) = torch.autograd.grad(part, x, retain_graph=True)
        own = pixels.clone().requires_grad_()
        (got,) = torch.autograd.grad(objective(own)[1][name], own)
        assert (got.flip(0) - alone).norm() <= 1e-4 * alone.norm(), name
    (total,) = torch.autograd.grad(sum(expected.values()), x)
    assert (gradient.flip(0) - total).norm() <= 1e-4 * total.norm()
    first_stage = full_size_objective(pair, network, preset_settings("paper"), "style")
    assert set(first_stage.image_losses) == {"total variation"}


@pytest.fixture
def torchvision(caffe, tmp_path) -> Encoder:
    """The same weights, in a file whose name says that they are torchvision's."""
    path = tmp_path / "random_torchvision.pth"
    path.write_bytes(caffe.read_bytes())
    return load_encoder("vgg19", path)


def test_only_caffes_activations_have_the_published_scale(caffe, torchvision):
    assert load_encoder("vgg19", caffe).published_scale
    assert not torchvision.published_scale
    assert not load_encoder("embedded").published_scale


def first_stage_losses(network: Encoder) -> dict[str, Tensor]:
    """The losses of the mirrored content, as the result of the first stage."""
    objective = full_size_objective(rendered_pair(day(), dusk()), network, preset_settings("paper"), "style")
    return objective.value_and_gradient(day().pixels.flip(2) * 256)[2]


def multiply_activations(network: Encoder, factor: float) -> None:
    network.conv1_1_weight.mul_(factor)
    for name in network.names:
        getattr(network, f"{name}_bias").mul_(factor)


@pytest.mark.parametrize("loss", ["content", "style"])
def test_activations_of_other_encoders_are_brought_to_the_published_scale(torchvision, loss):
    before = float(first_stage_losses(torchvision)[loss])
    multiply_activations(torchvision, 7)
    assert float(first_stage_losses(torchvision)[loss]) == pytest.approx(before, rel=1e-3)


def test_caffes_activations_keep_their_scale(caffe):
    network = load_encoder("vgg19", caffe)
    before = float(first_stage_losses(network)["content"])
    multiply_activations(network, 7)
    assert float(first_stage_losses(network)["content"]) == pytest.approx(49 * before, rel=1e-3)


# ---- the published solver ----------------------------------------------------------------------------------


def rosenbrock_chain(x: Tensor) -> Tensor:
    return (0.2 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square() + 0.1 * (x[1:] - 0.5).square()).sum()


def test_solver_is_lbfgs_as_published():
    """torch.optim.LBFGS without line search is the published algorithm; the same iterates for 20 steps."""
    settings = preset_settings("paper")
    begin = torch.linspace(-0.4, 0.9, 12, dtype=torch.float64)
    theirs = begin.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [theirs], lr=1, max_iter=20, max_eval=100, history_size=100, tolerance_grad=0, tolerance_change=0
    )
    published: list[Tensor] = []

    def closure() -> Tensor:
        solver.zero_grad()
        published.append(theirs.detach().clone())
        value = rosenbrock_chain(theirs)
        value.backward()
        return value

    solver.step(closure)

    visited: list[Tensor] = []

    def evaluate(x: Tensor):
        visited.append(x.clone())
        x = x.detach().requires_grad_()
        value = rosenbrock_chain(x)
        return value.detach(), torch.autograd.grad(value, x)[0], {}

    minimise(evaluate, begin.clone(), 20, LBFGS(settings.history, settings.first_change, settings.maximum_change))
    assert len(published) >= 20 and len(visited) == 20
    for step, (a, b) in enumerate(zip(published, visited, strict=False)):
        assert (a - b).abs().max() < 1e-8, f"step {step}"
    assert (visited[-1] - begin).norm() > 0.5, "it hardly moved, and proves nothing"


# ---- the preset from end to end ----------------------------------------------------------------------------


def test_published_constants():
    paper = preset_settings("paper")
    assert (paper.stages, paper.start, paper.scales) == (("style", "photorealism"), "noise", (1.0,))
    assert (paper.content_weight, paper.content_layers, paper.style_weights) == (5, ("relu4_2",), (100,) * 5)
    assert (paper.total_variation_weight, paper.photorealism_weight, paper.epsilon) == (1e-3, 1e4, 1e-7)
    assert (paper.history, paper.steps, paper.pixel_scale) == (100, (1000,), 256)
    assert (paper.affine_radius, paper.affine_epsilon, paper.smooth_radius, paper.smooth_colour) == (
        1,
        1e-3,
        15,
        0.01,
    )


def test_noise_start_is_the_mean_colour_in_the_published_range():
    def start(seed: int) -> Tensor:
        return start_image(rendered_pair(day(), dusk()), preset_settings("paper"), seed)

    centred = start(1).flip(0).double() * 256 - MEAN[:, None, None]
    assert centred.std() == pytest.approx(1e-4, rel=0.15)  # float32 has steps of 8e-6 near 124
    assert centred.mean().abs() < 1e-5
    assert torch.equal(start(1), start(1)) and not torch.equal(start(1), start(2))


def test_short_run_from_noise(caffe):
    content, style = day(), dusk()
    totals: dict[str, list[float]] = {"style": [], "photorealism": []}
    previews = []

    def watch(progress: fastphoto.Progress) -> None:
        totals[progress.stage].append(sum(progress.losses.values()))
        previews.append(progress.preview())

    def run(seed: int, callback=None) -> Tensor:
        return fastphoto.transfer(
            content.pixels, style.pixels, content.mask_picture, style.mask_picture, preset="paper", encoder="vgg19",
            weights=caffe, size=48, seed=seed, steps=30, callback=callback,
        )  # fmt: skip

    first = run(1, steps_alone(watch))
    assert first.shape == content.pixels.shape and torch.isfinite(first).all()
    assert float(first.min()) >= 0 and float(first.max()) <= 1
    assert [len(values) for values in totals.values()] == [30, 30]
    for stage, values in totals.items():
        assert values[-1] < 0.995 * values[0] and values[-1] == min(values), stage
    # Stage 2 begins from stage 1's result as an 8-bit file.
    begun = previews[30] * 255
    assert (begun - begun.round()).abs().max() < 1e-3
    assert torch.equal(first, run(1)), "the same seed gave another result"
    assert not torch.equal(first, run(2)), "another seed gave the same result"


def test_masks_are_read_and_shrunk_as_published():
    """Palette pictures through the readers of transfer(): the nine masks, at every layer."""
    content, style = day(45, 38), dusk(42, 51)
    read = read_masks(content.mask_picture, (45, 38), "content")
    own = layer_masks(
        read.masks,
        [f"relu{layer}" for layer in STYLE_LAYERS],
        {"relu1_1": (45, 38), "relu2_1": (23, 19)},
    )
    expected = masks_of_layers(content.mask_picture)
    for layer in STYLE_LAYERS:
        rows = [list(PALETTE).index(name) for name in read.names]
        assert (own[f"relu{layer}"] - expected[layer][rows]).abs().max() < 1e-6
        assert float(expected[layer].sum()) == pytest.approx(float(expected[layer][rows].sum())), (
            "a mask that was not read has pixels"
        )
    assert fit_size(*style.pixels.shape[1:], 700) == (42, 51), "the photo is enlarged"
