"""Measures of a result against the content: how much of a photograph of the content it still is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts, such as scipy.ndimage, when they are used

from fastphoto.colour.spaces import LUMA, srgb_to_lab

Array = npt.NDArray[np.float64]

_AFFINE_RADIUS, _AFFINE_EPSILON = 1, 1e-4  # windows of 3 x 3 pixels; sRGB in [0, 1]
_STAIN_LEVELS = 4  # the photo, and its halves, quarters and eighths
_STAIN_RADIUS, _STAIN_EPSILON = 4, 1.0  # windows of 9 x 9 pixels; CIELAB
_INVENTED_SIGMAS = (2, 4, 8, 16)  # pixels
_INVENTED_SLACK = 1.5  # structure may grow by half, beyond the gain of the whole photo
_INVENTED_VISIBLE = 0.5  # delta E: structure that nobody sees
_INVENTED_NOISE = 0.25  # delta E: keeps the gain finite where the content is flat
_EDGE_RANGE = 8.0  # range of values for the similarity of edges, as a multiple of their mean
_EDGE_RADIUS = 6  # pixels
_SIMILARITY_SIGMA = 1.5  # pixels
_LUMA_RADIUS = 5  # pixels: windows of 11 x 11


class ContentReference:
    """A content with all that is computed of it once, to measure any number of results against.

    `Measures` defines the measures.

    Args:
        content: sRGB, (3, H, W), in [0, 1].
    """

    def __init__(self, content: Array) -> None:
        lab = srgb_to_lab(content)
        self._affine = _LocalAffineFit(content, _AFFINE_RADIUS, _AFFINE_EPSILON)
        self._stains = [_LocalAffineFit(level, _STAIN_RADIUS, _STAIN_EPSILON) for level in _halved(lab)]
        self._structure = _structure(lab)
        self._edges = _edges(lab[0])
        self._luma = _luma(content)

    def stains(self, lab: Array) -> float:
        """Return the colour structure of a result, CIELAB (3, H, W), that local maps of the content do not explain."""
        levels = zip(self._stains, _halved(lab[1:]), strict=True)
        return float(np.mean([np.sqrt(fit.residual(colours).sum(0)).mean() for fit, colours in levels]))

    def invented(self, lab: Array) -> float:
        """Return the structure of a result, CIELAB (3, H, W), that the content has not, whatever its colour."""
        return float(sum(excess.mean() for excess in self._excesses(lab)))

    def invented_map(self, lab: Array) -> Array:
        """Return where `invented` sees structure of a result, CIELAB (3, H, W), as (H, W) whose mean it is."""
        return np.sum(list(self._excesses(lab)), axis=0, dtype=np.float64)

    def _excesses(self, lab: Array) -> Iterator[Array]:
        """Yield for each band the structure (H, W) beyond the content's own."""
        for own, theirs in zip(_structure(lab), self._structure, strict=True):
            gain = max(1.0, float(np.median(own / (theirs + _INVENTED_NOISE))))
            yield np.maximum(own - (_INVENTED_SLACK * gain * theirs + _INVENTED_VISIBLE), 0)

    def affine(self, planes: Array) -> float:
        """Return the residual of the best local affine maps to a result, sRGB (3, H, W)."""
        return 255 * float(np.sqrt(self._affine.residual(planes).mean()))

    def edge(self, lightness: Array) -> float:
        """Return the similarity of a result's edges, L* (H, W)."""
        return float(_similarity(self._edges, _edges(lightness), _EDGE_RANGE, _EDGE_RADIUS).mean())

    def ssim(self, planes: Array) -> float:
        """Return the structural similarity of a result's luma, sRGB (3, H, W)."""
        inner = np.s_[_LUMA_RADIUS:-_LUMA_RADIUS]  # where the window lies inside the image
        return float(_similarity(self._luma, _luma(planes), 1.0, _LUMA_RADIUS)[inner, inner].mean())


class _LocalAffineFit:
    """The best affine maps from a content (3, H, W) to any result, in all windows of (2 radius + 1)^2 pixels."""

    def __init__(self, content: Array, radius: int, epsilon: float) -> None:
        self.content, self.radius = content, radius
        self.mean = self._box(content)
        covariance = self._covariance(content, self.mean).transpose(2, 3, 0, 1) + epsilon * np.eye(3)
        self.inverse = np.ascontiguousarray(np.linalg.inv(covariance).transpose(2, 3, 0, 1))

    def residual(self, result: Array) -> Array:
        """Return the variance of a result (K, H, W) that the map of each window does not explain, per channel.

        It is var_r - c^T (S + epsilon)^-1 c, with S the content's covariance and c that of content and result. This is
        the minimum of mean (a^T (x - mean x) - (r - mean r))^2 + epsilon a^T a, the objective of the colour guided
        filter (He et al. 2010).
        """
        mean = self._box(result)
        covariance = self._covariance(result, mean)
        maps = (self.inverse[:, :, None] * covariance).sum(1)  # (content channel, result channel, H, W)
        variance = self._box(result * result) - mean * mean
        residual: Array = np.maximum(variance - (maps * covariance).sum(0), 0)
        return residual

    def _covariance(self, image: Array, mean: Array) -> Array:
        """Return covariances (3, K, H, W) of each content channel with each channel of an image, in each window."""
        return self._box(self.content[:, None] * image) - self.mean[:, None] * mean

    def _box(self, planes: Array) -> Array:
        """Return means over the windows of the last two axes; beyond the border the nearest pixel repeats."""
        size = (1,) * (planes.ndim - 2) + (2 * self.radius + 1,) * 2
        means: Array = scipy.ndimage.uniform_filter(planes, size, mode="nearest")
        return means


def _halved(planes: Array) -> list[Array]:
    """Return planes (K, H, W) and their halves, quarters and eighths, each pixel the mean of four."""
    levels = [planes]
    while len(levels) < _STAIN_LEVELS:
        height, width = (side // 2 for side in levels[-1].shape[1:])
        whole = levels[-1][:, : 2 * height, : 2 * width]
        levels.append(whole.reshape(-1, height, 2, width, 2).mean((2, 4)))
    return levels


def _structure(lab: Array) -> list[Array]:
    """Return the local strength (H, W) of the structure of CIELAB (3, H, W) in four bands, from fine to coarse.

    It is the root mean square length of the band-pass L*, a*, b* under a Gaussian of twice the band's sigma.
    """
    levels = [lab, *(scipy.ndimage.gaussian_filter(lab, (0, sigma, sigma)) for sigma in _INVENTED_SIGMAS)]
    bands = zip(levels, levels[1:], _INVENTED_SIGMAS, strict=False)
    return [
        np.sqrt(scipy.ndimage.gaussian_filter(np.square(fine - coarse).sum(0), 2 * sigma))
        for fine, coarse, sigma in bands
    ]


def _luma(planes: Array) -> Array:
    luma: Array = np.tensordot(LUMA, planes, 1)
    return luma


def _edges(lightness: Array) -> Array:
    """Return the Sobel magnitude of L* (H, W) divided by its mean, so that overall contrast does not change it."""
    magnitude: Array = np.hypot(scipy.ndimage.sobel(lightness, 0), scipy.ndimage.sobel(lightness, 1))
    return magnitude / (magnitude.mean() + 1e-6)


def _similarity(x: Array, y: Array, value_range: float, radius: int) -> Array:
    """Return the structural similarity index of every pixel (Wang et al. 2004, equation 13).

    (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2)) with C1 = (0.01 range)^2,
    C2 = (0.03 range)^2, means m and (co)variances s under a Gaussian of sigma 1.5 in windows of (2 radius + 1)^2
    pixels.
    """

    def mean(z: Array) -> Array:
        blurred: Array = scipy.ndimage.gaussian_filter(z, _SIMILARITY_SIGMA, radius=radius)
        return blurred

    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    mx, my = mean(x), mean(y)
    variances, covariance = mean(x * x) + mean(y * y) - mx * mx - my * my, mean(x * y) - mx * my
    return (2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2))
