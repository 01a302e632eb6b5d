"""Measures against their definitions, written out in plain loops over pixels and windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from compared_measures import assert_same_measures
from rendered_photos import Rendered, day, dusk
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.evaluation.measures import measure
from fastphoto.evaluation.style_measures import GRAM_LAYERS


def region_map(photo: Rendered) -> Tensor:
    return torch.from_numpy(photo.region_map)


def plain_lab(colour: np.ndarray) -> list[float]:
    """CIELAB of one sRGB colour, written out."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.tolist())
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]


def plain_planes(image: Tensor) -> np.ndarray:
    """Lab (3, H, W), pixel by pixel."""
    pixels = image.double().permute(1, 2, 0).numpy()
    return np.array([[plain_lab(p) for p in row] for row in pixels]).transpose(2, 0, 1)


def plain_blur(plane: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """Gaussian blur by its taps, the border mirrored."""
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    height, width = plane.shape
    padded = np.pad(plane, radius, mode="symmetric")
    rows = sum(t * padded[i : i + height] for i, t in enumerate(taps))
    return sum(t * rows[:, i : i + width] for i, t in enumerate(taps))


def plain_similarity(x: np.ndarray, y: np.ndarray, span: float, radius: int, crop: int) -> float:
    """Structural similarity from the weighted mean, variance and covariance of one window after another."""
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    px, py = np.pad(x, radius, mode="symmetric"), np.pad(y, radius, mode="symmetric")
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    index = []
    for i in range(crop, x.shape[0] - crop):
        for j in range(crop, x.shape[1] - crop):
            a, b = (p[i : i + 2 * radius + 1, j : j + 2 * radius + 1] for p in (px, py))
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            index.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(index))


def plain_edges(lightness: np.ndarray) -> np.ndarray:
    p = np.pad(lightness, 1, mode="symmetric")
    magnitude = np.zeros_like(lightness)
    for i in range(lightness.shape[0]):
        for j in range(lightness.shape[1]):
            w = p[i : i + 3, j : j + 3]
            down = (w[2] - w[0]) @ [1, 2, 1]
            right = (w[:, 2] - w[:, 0]) @ [1, 2, 1]
            magnitude[i, j] = math.hypot(down, right)
    return magnitude / (magnitude.mean() + 1e-6)


def plain_residuals(content: np.ndarray, result: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """A ridge regression for every window, as a least squares problem with three more rows; (windows, channels)."""
    side = 2 * radius + 1
    x, y = (np.pad(image, ((0, 0), (radius, radius), (radius, radius)), mode="edge") for image in (content, result))
    left = []
    for i in range(content.shape[1]):
        for j in range(content.shape[2]):
            a, b = (p[:, i : i + side, j : j + side].reshape(3, side * side).T for p in (x, y))
            a, b = a - a.mean(0), b - b.mean(0)
            rows = np.concatenate([a / side, math.sqrt(epsilon) * np.eye(3)])
            expected = np.concatenate([b / side, np.zeros((3, 3))])
            maps = np.linalg.lstsq(rows, expected, rcond=None)[0]
            left.append(((rows @ maps - expected) ** 2).sum(0))
    return np.array(left)


def plain_affine(content: Tensor, result: Tensor) -> float:
    return 255 * math.sqrt(plain_residuals(content.double().numpy(), result.double().numpy(), 1, 1e-4).mean())


def plain_half(planes: np.ndarray) -> np.ndarray:
    """The means of squares of four pixels; a last odd row or column is left out."""
    height, width = planes.shape[1] // 2, planes.shape[2] // 2
    half = np.zeros((3, height, width))
    for i in range(height):
        for j in range(width):
            half[:, i, j] = planes[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2))
    return half


def plain_stains(content: np.ndarray, result: np.ndarray) -> float:
    """The mean over four sizes of what the maps of 9 x 9 windows leave of a* and b*, from Lab (3, H, W)."""
    found = []
    for _ in range(4):
        left = plain_residuals(content, result, radius=4, epsilon=1.0)
        found.append(np.sqrt(left[:, 1] + left[:, 2]).mean())
        content, result = plain_half(content), plain_half(result)
    return float(np.mean(found))


def plain_invented(content: np.ndarray, result: np.ndarray) -> float:
    """Local strength of four bands beyond that of the content, amplified as the median pixel is, from Lab (3, H, W)."""
    total = 0.0
    for fine, coarse in ((0, 2), (2, 4), (4, 8), (8, 16)):
        strength = []
        for lab in (content, result):
            bands = [
                (plain_blur(plane, fine, 4 * fine) if fine else plane) - plain_blur(plane, coarse, 4 * coarse)
                for plane in lab
            ]
            strength.append(np.sqrt(plain_blur(sum(band**2 for band in bands), 2 * coarse, 8 * coarse)))
        theirs, ours = strength
        gain = max(1.0, float(np.median(ours / (theirs + 0.25))))
        total += np.mean([max(o - (1.5 * gain * t + 0.5), 0) for o, t in zip(ours.flat, theirs.flat, strict=True)])
    return float(total)


def plain_gram(features: Tensor, mask: np.ndarray) -> np.ndarray:
    """sum m^2 f f^T / sum m^2 in float64, the mask shrunk by averaging the pixels that each new one touches."""
    channels, height, width = features.shape
    total, area = np.zeros((channels, channels)), 0.0
    for i in range(height):
        top, bottom = i * mask.shape[0] // height, -(-(i + 1) * mask.shape[0] // height)
        for j in range(width):
            left, right = j * mask.shape[1] // width, -(-(j + 1) * mask.shape[1] // width)
            m = mask[top:bottom, left:right].mean()
            f = features[:, i, j].double().numpy()
            total += m**2 * np.outer(f, f)
            area += m**2
    return total / area


def plain_look(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Distance of two sets of colours (3, N): along each direction the root mean square distance of quantiles."""
    random = np.random.default_rng(0).normal(size=(3, 32))
    levels = (np.arange(256) + 0.5) / 256
    apart = []
    for direction in random.T:
        direction = direction / math.sqrt(direction @ direction)
        apart.append((np.quantile(direction @ ours, levels) - np.quantile(direction @ theirs, levels)) ** 2)
    return math.sqrt(np.mean(apart))


def plain_bands(lightness: np.ndarray) -> list[np.ndarray]:
    levels = [lightness, *(plain_blur(lightness, sigma, 4 * sigma) for sigma in (1, 2, 4))]
    return [fine - coarse for fine, coarse in zip(levels, levels[1:], strict=False)]


def plain_gram_distance(content: Rendered, style: Rendered, result: Tensor, encoders: dict[str, Encoder]) -> float:
    """Mean over layers, each with its encoder, of the regions' distances weighted by their areas."""
    total = 0.0
    for layer, encoder in encoders.items():
        ours, theirs = (encoder(image, [layer])[layer] for image in (result, style.pixels))
        for number in (0, 1):
            a, b = plain_gram(ours, content.region_map == number), plain_gram(theirs, style.region_map == number)
            share = (content.region_map == number).mean()
            total += share * math.sqrt(((a - b) ** 2).sum() / (b**2).sum()) / len(encoders)
    return total


def test_style_measures_are_those_of_their_definitions(embedded):
    content, style = day(24, 35), dusk(37, 22)
    result = (content.pixels * 0.7 + 0.1 * style.pixels.mean((1, 2))[:, None, None]).clamp(0, 1)
    got = measure(content.pixels, style.pixels, result, region_map(content), region_map(style), [embedded])
    ours, theirs = plain_planes(result), plain_planes(style.pixels)
    levels = (np.arange(64) + 0.5) / 64
    look = contrast = 0.0
    for number in (0, 1):
        mask, style_mask = content.region_map == number, style.region_map == number
        look += mask.mean() * plain_look(ours[:, mask], theirs[:, style_mask])
        for a, b in zip(plain_bands(ours[0]), plain_bands(theirs[0]), strict=True):
            apart = np.abs(np.quantile(a[mask], levels) - np.quantile(b[style_mask], levels))
            contrast += mask.mean() * apart.mean() / 3
    assert got.look == pytest.approx(look, rel=1e-6)
    assert got.contrast == pytest.approx(contrast, rel=1e-6)
    gram = plain_gram_distance(content, style, result, dict.fromkeys(GRAM_LAYERS, embedded))
    assert got.gram == pytest.approx(gram, rel=1e-5)


def test_measures_of_the_content_are_those_of_their_definitions(embedded):
    content = day(24, 31).pixels
    result = (dusk(24, 31).pixels.roll(1, 2) * 0.6 + 0.5 * content).clamp(0, 1)
    result[:, 4:10, 8:20] = 1 - result[:, 4:10, 8:20]  # a blotch in the sky
    whole = torch.zeros(24, 31, dtype=torch.int64)
    got = measure(content, content, result, whole, whole, [embedded])
    lab = [plain_planes(image) for image in (content, result)]
    assert got.stains == pytest.approx(plain_stains(*lab), rel=1e-6)
    assert got.invented == pytest.approx(plain_invented(*lab), rel=1e-6)
    assert got.invented > 0.1, "the example has no invented structure"
    assert got.affine == pytest.approx(plain_affine(content, result), rel=1e-6)
    edges = [plain_edges(planes[0]) for planes in lab]
    assert got.edge == pytest.approx(plain_similarity(*edges, span=8, radius=6, crop=0), rel=1e-6)
    luma = [np.tensordot([0.299, 0.587, 0.114], image.double().numpy(), 1) for image in (content, result)]
    assert got.ssim == pytest.approx(plain_similarity(*luma, span=1, radius=5, crop=5), rel=1e-6)


def test_each_layer_is_measured_by_the_first_encoder_that_has_it(embedded, shallow):
    content, style = day(24, 35), dusk(37, 22)
    arguments = content.pixels, style.pixels, content.pixels, region_map(content), region_map(style)
    first = dict.fromkeys(GRAM_LAYERS[:2], shallow)
    both = first | dict.fromkeys(GRAM_LAYERS[2:], embedded)
    for encoders, by_layer in (([shallow, embedded], both), ([shallow], first)):
        gram = plain_gram_distance(content, style, content.pixels, by_layer)
        assert measure(*arguments, encoders).gram == pytest.approx(gram, rel=1e-5)


def test_an_encoder_after_one_that_has_all_layers_changes_nothing(embedded, shallow):
    content, style = day(24, 35), dusk(37, 22)
    arguments = content.pixels, style.pixels, content.pixels, region_map(content), region_map(style)
    assert_same_measures(measure(*arguments, [embedded, shallow]), measure(*arguments, [embedded]))
