"""The recolouring of a content by few smooth unknowns: tone, local contrast and chroma of each region."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastphoto.colour.spaces import lab_to_srgb, srgb_to_lab
from fastphoto.ops import box_sum, region_recolouring

# All numbers below were chosen by eye and by the measures stains, look and invented of 24 pairs, on L*a*b* values.
_TONES = 8  # knots of a tone curve, over L* from 0 to 100
_CELL = 1 / 6  # side of a grid cell, as a share of the long side
_WINDOW = 0.12  # radius of the windows that part broad tones from local contrast, as a share of the long side
_BROAD_VARIANCE = 50.0  # variance of L* in a window above which it has an edge, which stays in the broad tones
_FLAT_DEVIATION = 2.5  # deviation of L* in a cell, at one tone, below which the cell changes as the region does
_MOST_CONTRAST = 1.2  # largest magnitude of the logarithm of the gain of local contrast
_VISIBLE_NOISE = 1.5  # deviation of L* that amplified noise must not exceed
_VISIBLE_CHROMA_NOISE = 1.0  # the same of a* and b*
_MOST_CHROMA = 0.5  # largest norm of a matrix's first column, and of the others
# What an unknown of 1 stands for: L* in a region's curves, which act on all its cells; L* in a cell's curves; the
# logarithm of a gain; and a matrix entry. With the first as large as the second, L-BFGS needs 40 steps instead of 16.
_UNITS = (12.5, 50.0, 2.5, 1.0)
_LIGHTNESS_SHARE = 0.5  # of L* beside a* and b*, in the linear change of chroma


class Recolouring(nn.Module):
    """A recolouring of the content, region by region, in L*a*b*.

    Region r has an image of its own, v_r, here split into broad tones b_r, local contrast v_r - b_r, and chroma c_r.
    The recolouring is sum_r m_r w_r, with the mattes m_r and the region's new colours w_r:

        L*:     b_r + t_r + exp(g_r) (L*(v_r) - b_r)
        chroma: c_r + u_r + M_r (q_r - mean_r q_r), where q_r = (b_r / 2, c_r)

    The tone curve t_r, (dL*), and the chroma curve u_r, (da*, db*), are piecewise linear in the content's broad tones.
    Each is a curve of the whole region plus one of each cell of a coarse grid, which counts only where the content
    varies. The logarithm g_r of the contrast's gain varies on the same grid; M_r is a 2 x 3 matrix. Both are bounded so
    that the content's noise stays invisible. Nothing here can draw: where the content is flat, the recolouring is flat.

    Args:
        content: content photo, (3, H, W), in [0, 1].
        images: image of each region, (R, 3, H, W), in [0, 1].
        mattes: weights of the regions, (R, H, W), in [0, 1], with a sum of at most 1; the content fills the rest.

    Example:
        >>> content = torch.rand(3, 32, 48)
        >>> recolouring = Recolouring(content, 0.5 * content[None], torch.ones(1, 32, 48))
        >>> torch.allclose(recolouring(recolouring.zeros()), 0.5 * content, atol=1e-3)
        True
    """

    content: Tensor  # (3, H, W), L*a*b*
    tones: Tensor  # (H, W): broad tones of the content, in knots of the curves
    broad: Tensor  # (R, H, W)
    contrast: Tensor  # (R, H, W)
    chroma: Tensor  # (R, 2, H, W)
    mattes: Tensor  # (R, H, W)
    rest: Tensor  # (3, H, W): the content, L*a*b*, times the share that no region covers
    centre: Tensor  # (R, 3): means of (b_r / 2, c_r) over each region
    most_gain: Tensor  # (R,): largest logarithm of the gain that keeps noise invisible
    most_chroma: Tensor  # (R, 1, 1): largest norm of the matrix's part that acts on chroma, likewise
    freedom: Tensor  # (T, gh, gw), [0, 1]: how far a cell may depart from its region at each tone

    def __init__(self, content: Tensor, images: Tensor, mattes: Tensor) -> None:
        super().__init__()
        height, width = content.shape[1:]
        cell = max(height, width) * _CELL
        self.grid = (len(mattes), max(2, round(height / cell)) + 1, max(2, round(width / cell)) + 1)
        lab = srgb_to_lab(content)
        radius = max(1, round(max(height, width) * _WINDOW))
        tones = _broad(lab[0], lab[:1], radius)[0]
        regions = torch.stack([srgb_to_lab(image) for image in images])
        broad = _broad(lab[0], regions[:, 0], radius)
        contrast = regions[:, 0] - broad
        self._register(lab, tones * ((_TONES - 1) / 100), broad, contrast, regions[:, 1:], mattes)
        shares = mattes / mattes.sum((1, 2), keepdim=True).clamp_min(1)
        averaged = torch.cat([broad[:, None] * _LIGHTNESS_SHARE, regions[:, 1:]], 1)
        self.register_buffer("centre", (averaged * shares[:, None]).sum((2, 3)))
        self._bound_contrast(lab[0] - tones, contrast, mattes, _noise(lab[0]))
        self._bound_chroma(regions[:, 1:])
        self._free(tones)

    def _register(
        self, content: Tensor, tones: Tensor, broad: Tensor, contrast: Tensor, chroma: Tensor, mattes: Tensor
    ) -> None:
        names = ("content", "tones", "broad", "contrast", "chroma", "mattes")
        for name, planes in zip(names, (content, tones, broad, contrast, chroma, mattes), strict=True):
            self.register_buffer(name, planes)
        self.register_buffer("rest", content * (1 - mattes.sum(0)).clamp_min(0))

    def _bound_contrast(self, detail: Tensor, contrast: Tensor, mattes: Tensor, noise: Tensor) -> None:
        already = (contrast.abs() * mattes).sum((1, 2)) / (detail.abs() * mattes).sum((1, 2)).clamp_min(1e-3)
        most = (_VISIBLE_NOISE / (noise * already + 0.05)).clamp_min(1).log().clamp_max(_MOST_CONTRAST)
        self.register_buffer("most_gain", most)

    def _bound_chroma(self, chroma: Tensor) -> None:
        """Bound what the matrices add to the chroma of the regions' images, (R, 2, H, W), by the noise in it."""
        noise = torch.stack([torch.stack([_noise(plane) for plane in planes]).amax() for planes in chroma])
        most = (_VISIBLE_CHROMA_NOISE / noise.clamp_min(1e-6) - 1).clamp(0, _MOST_CHROMA)
        self.register_buffer("most_chroma", most[:, None, None])

    def _free(self, tones: Tensor) -> None:
        """Let grid cells depart from their region where the content's broad tones, (H, W), vary around a knot.

        In a flat wall, a plain sky or the paper of a page, a change from place to place would be invented.
        """
        freedoms = []
        for tone in range(_TONES):
            weight = (1 - (self.tones - tone).abs()).clamp_min(0)
            planes = torch.stack([weight, weight * tones, weight * tones.square()]).double()
            share, mean, square = F.adaptive_avg_pool2d(planes[None], self.grid[1:])[0]
            mean, square = mean / share.clamp_min(1e-6), square / share.clamp_min(1e-6)
            variance = (square - mean.square()).clamp_min(0)
            freedoms.append(variance / (variance + _FLAT_DEVIATION**2))
        self.register_buffer("freedom", torch.stack(freedoms).to(tones))

    def resized(self, size: tuple[int, int]) -> Recolouring:
        """Return the same recolouring of a smaller content, (height, width), with the same unknowns."""
        if size == tuple(self.content.shape[1:]):
            return self

        def shrink(planes: Tensor) -> Tensor:
            stacked = planes.flatten(0, -3)[None]
            small = F.interpolate(stacked, size, mode="bilinear", antialias=True)[0]
            return small.view(*planes.shape[:-2], *size)

        smaller = Recolouring.__new__(Recolouring)
        nn.Module.__init__(smaller)
        smaller.grid = self.grid
        smaller._register(
            shrink(self.content),
            shrink(self.tones[None])[0],
            shrink(self.broad),
            shrink(self.contrast),
            shrink(self.chroma),
            shrink(self.mattes),
        )
        for name in ("centre", "most_gain", "most_chroma", "freedom"):
            smaller.register_buffer(name, getattr(self, name))
        return smaller

    def zeros(self) -> Tensor:
        """Return the unknowns (N,) that change nothing."""
        regions, height, width = self.grid
        return self.content.new_zeros(regions * ((3 * _TONES + 1) * height * width + 3 * _TONES + 6))

    def fit(self, image: Tensor) -> Tensor:
        """Return the unknowns to start from, zeros; the image is that of zeros at the start of a run."""
        return self.zeros()

    def forward(self, x: Tensor) -> Tensor:
        """Return the image (3, H, W), in [0, 1], that unknowns (N,) stand for."""
        constants = (self.tones, self.broad, self.contrast, self.chroma, self.mattes, self.centre, self.most_gain)
        lab = region_recolouring(
            *constants, *self._parts(x), self.rest, share=_LIGHTNESS_SHARE, most_contrast=_MOST_CONTRAST
        )
        return lab_to_srgb(lab)

    def roughness(self, x: Tensor) -> Tensor:
        """Return what unknowns (N,) cost: by how much curves bend, cells differ, and anything changes at all."""
        whole, cells, gains, matrices = self._split(x)
        curves = whole[..., None, None] + self.freedom * cells

        def differences(values: Tensor) -> Tensor:
            return values.diff(dim=-2).square().sum() + values.diff(dim=-1).square().sum()

        bends = curves.diff(n=2, dim=2).square().sum() + 0.1 * curves.diff(dim=2).square().sum()
        smooth = 0.03 * differences(cells[:, :1]) + 0.06 * differences(cells[:, 1:]) + 0.1 * differences(gains)
        small = 5e-4 * (curves.square().sum() + cells.square().sum()) + 0.02 * gains.square().sum()
        return (smooth + 0.01 * bends + small) / math.prod(self.grid) + 0.3 * matrices.square().mean()

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return curves (R, 3, T, gh, gw) in L*a*b*, logarithms of gains (R, gh, gw) and matrices (R, 2, 3)."""
        whole, cells, gains, matrices = self._split(x)
        by_tone = _bounded(matrices[:, :, :1], _MOST_CHROMA)
        by_chroma = _bounded(matrices[:, :, 1:], self.most_chroma)
        return whole[..., None, None] + self.freedom * cells, gains, torch.cat([by_tone, by_chroma], 2)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return a region's curves (R, 3, T), what cells add (R, 3, T, gh, gw), gains and matrices, in their units."""
        regions, height, width = self.grid
        count = regions * height * width
        whole, cells, gains, matrices = x.split([3 * _TONES * regions, 3 * _TONES * count, count, 6 * regions])
        return (
            whole.view(regions, 3, _TONES) * _UNITS[0],
            cells.view(regions, 3, _TONES, height, width) * _UNITS[1],
            gains.view(regions, height, width) * _UNITS[2],
            matrices.view(regions, 2, 3) * _UNITS[3],
        )


def _broad(guide: Tensor, planes: Tensor, radius: int) -> Tensor:
    """Return planes (K, H, W) without their local contrast, but with the guide's edges: a guided filter in L*.

    The guide is the content's lightness, (H, W) (He et al. 2010, with one channel).

    Differs from He et al.: the slope is cov(guide, plane) v / (v^2 + s^2) instead of cov / (v + s), with the guide's
    variance v in a window. It leaves less of a strong edge in the local contrast, whose gain would draw a halo.
    """
    pixels = box_sum(torch.ones_like(guide)[..., None], radius).permute(2, 0, 1)

    def mean(values: Tensor) -> Tensor:
        return box_sum(values.permute(1, 2, 0).contiguous(), radius).permute(2, 0, 1) / pixels

    centre, variance = mean(guide[None]), mean(guide[None].square())
    variance = (variance - centre.square()).clamp_min(0)
    means = mean(planes)
    share = variance / (variance.square() + _BROAD_VARIANCE**2)  # of the variance in the broad tones, over the variance
    slope = (mean(guide * planes) - centre * means) * share
    return mean(slope) * guide + mean(means - slope * centre)


def _bounded(matrices: Tensor, most: Tensor | float) -> Tensor:
    """Return matrices (R, m, n) shortened to a Frobenius norm of at most (R, 1, 1)."""
    norm = (matrices.square().sum((1, 2), keepdim=True) + 1e-12).sqrt()  # the root of 0 has no derivative
    return matrices * (most / norm).clamp_max(1)


def _noise(plane: Tensor) -> Tensor:
    """Return the deviation of the noise in a plane (H, W), from its second differences in the calmest quarter.

    For white noise the filter keeps the deviation: its squared coefficients add up to 1. 1.25 turns a mean magnitude
    into a deviation.
    """
    if min(plane.shape) < 10:
        return plane.new_zeros(())
    second = plane.new_tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    magnitude = F.conv2d(plane[None, None], second[None, None]).abs()
    return 1.25 * F.avg_pool2d(magnitude, 8, ceil_mode=True).flatten().quantile(0.25)
