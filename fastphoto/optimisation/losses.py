"""Losses on content and image: modules that hold their target and return a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.colour.projection import LocalAffineProjection
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.ops import box_sum, contrast_excess, matting_laplacian_stencil, stencil_energy
from fastphoto.ops.contrasts import band_contrasts, window_means
from fastphoto.optimisation.settings import Settings, Stage
from fastphoto.optimisation.weighted import Weighted

_FAINT_VARIANCE = 1e-3  # local variance of a photo below which noise would count as contrast; by eye
_UNIT = 100.0  # squared L*a*b* distance that counts as 1: a difference of 10
# The next four as in the measure `invented`.
_BANDS = 4
_SLACK = 1.5
_VISIBLE = 0.5
_FAINT_BAND = 0.25
_CALM = 4.0  # by how much more an excess counts where the content has no contrast; by eye
_MIXED = 0.05  # share of other regions in a window above which it lies on a border; by eye


class ContentLoss(nn.Module):
    """Mean squared distance to target activations, mean (F - P)^2, in float32 at least.

    Args:
        target: (C, h, w), the activations P.
    """

    target: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target)

    def forward(self, features: Tensor) -> Tensor:
        """Return the loss of activations (C, h, w)."""
        exact = torch.promote_types(features.dtype, torch.float32)
        return (features.to(exact) - self.target.to(exact)).square().mean()


class PhotorealismLoss(nn.Module):
    """Distance from a local affine colour map of the content, scale sum_c v_c^T L v_c (Luan et al. 2017, equation 4).

    Args:
        stencil: (12, H, W), the matting Laplacian L of the content as `matting_laplacian_stencil` returns it.
        scale: factor of the energy.
    """

    stencil: Tensor

    def __init__(self, stencil: Tensor, scale: float) -> None:
        super().__init__()
        self.register_buffer("stencil", stencil)
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """Return the loss of an image (3, H, W)."""
        return stencil_energy(self.stencil, image.permute(1, 2, 0))[0] * self.scale


class WideWindowLoss(nn.Module):
    """The photorealism loss with windows of (2 radius + 1)^2 pixels, cropped at the border, scale sum_c v_c^T L_r v_c.

    L_r = D (1 - P), with P the colour guided filter of that radius and D the number of windows that hold a pixel.

    Args:
        content: (3, H, W), sRGB in [0, 1].
        radius: radius of the windows in pixels.
        epsilon: regularisation of windows of little variance.
        scale: factor of the energy.
    """

    content: Tensor
    windows: Tensor

    def __init__(self, content: Tensor, radius: int, epsilon: float, scale: float) -> None:
        super().__init__()
        self.radius, self.epsilon, self.scale = radius, epsilon, scale
        self.register_buffer("content", content)
        self.register_buffer("windows", box_sum(torch.ones_like(content[0, ..., None]), radius)[..., 0])

    def forward(self, image: Tensor) -> Tensor:
        """Return the loss of an image (3, H, W)."""
        maps = fit_affine_maps(self.content, image, radius=self.radius, epsilon=self.epsilon, smooth_radius=self.radius)
        return (image * (image - apply_affine_maps(maps, self.content)) * self.windows).sum() * self.scale


class TotalVariationLoss(nn.Module):
    """scale sum (dx^2 + dy^2)^(power / 2) over the (H - 1) x (W - 1) block (Mahendran and Vedaldi 2015).

    dx = x_i,j+1 - x_ij, dy = x_i+1,j - x_ij, each channel by itself.

    Args:
        scale: factor of the sum.
        power: exponent beta.
    """

    def __init__(self, scale: float, power: float = 2.0) -> None:
        super().__init__()
        self.scale, self.power = scale, power

    def forward(self, image: Tensor) -> Tensor:
        """Return the loss of an image (3, H, W)."""
        corner = image[:, :-1, :-1]
        right, below = image[:, :-1, 1:] - corner, image[:, 1:, :-1] - corner
        if self.power == 2:
            return (right.square().sum() + below.square().sum()) * self.scale
        # The small constant bounds the derivative of powers below 2 where nothing varies.
        return (right.square() + below.square() + 1e-8).pow(self.power / 2).sum() * self.scale


class GamutLoss(nn.Module):
    """Distance of pixel values from the range [0, 1], scale sum (x - clamp(x))^2.

    Args:
        scale: factor of the sum.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        """Return the loss of an image (3, H, W)."""
        return (image - image.clamp(0, 1)).square().sum() * self.scale


class StainsLoss(nn.Module):
    """Chroma that no local affine map of the content explains, mean |c - P c|^2 / 100 over a* and b*.

    This is the photorealism loss of Luan et al. (2017) for chroma alone, in windows wide enough for objects: it sees
    colour that ignores what is there.

    Args:
        projection: the projection P of images (3, H, W) to local affine recolourings of the content.
    """

    def __init__(self, projection: LocalAffineProjection) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, image: Tensor) -> Tensor:
        """Return the loss of an image (3, H, W), in [0, 1]."""
        lab = srgb_to_lab(image)
        return (lab - self.projection(lab))[1:].square().mean() / _UNIT


class InventedLoss(nn.Module):
    """Local contrast beyond the content's own, sum over bands of mean w max(r - (1.5 gain c + 0.5), 0)^2 / 100.

    r and c are the local contrasts of image and content in one band of an L*a*b* pyramid, the root mean square over
    5 x 5 pixels and all channels. A band is what the photo at half the size lacks, of the photo, its half, and so on.
    The gain, 1 or more, is how much the start image amplifies the band's contrast in the median. This bounds what the
    measure `invented` sees; in calm skies and walls, where structure shows most, it counts w = 1 + 4 exp(-c) times. On
    the borders of regions, whose looks differ, the start image's own contrast is allowed too.

    Args:
        content: (3, H, W), sRGB in [0, 1].
        start: (3, H, W), the start image.
        masks: (R, H, W), the regions.
    """

    importance: Tensor  # (N,): of the pixels of all bands
    limit: Tensor  # (N,)

    def __init__(self, content: Tensor, start: Tensor, masks: Tensor) -> None:
        super().__init__()
        importance, limits = [], []
        contents, starts = (band_contrasts(srgb_to_lab(image), _BANDS) for image in (content, start.clamp(0, 1)))
        for own, amplified in zip(contents, starts, strict=True):
            gain = (amplified / (own + _FAINT_BAND)).median().clamp_min(1)
            border = (window_means(_mixture(masks)) / _MIXED).clamp_max(1)
            masks = F.avg_pool2d(masks[None], 2, ceil_mode=True)[0]
            limit = _SLACK * gain * own + _VISIBLE
            importance.append((1 + _CALM * (-own).exp()).flatten())
            limits.append((limit + border * (amplified - limit).clamp_min(0)).flatten())
        self.bands = len(limits)
        none = [content.new_zeros(0)]
        self.register_buffer("importance", torch.cat(none + importance))
        self.register_buffer("limit", torch.cat(none + limits))

    def forward(self, lab: Tensor) -> Tensor:
        """Return the loss of an image (3, H, W), L*a*b*."""
        if self.bands == 0:
            return lab.sum() * 0
        return contrast_excess(lab, self.importance, self.limit, self.bands) / _UNIT


def _mixture(masks: Tensor) -> Tensor:
    """Return the share of regions other than the largest around each pixel, (H, W)."""
    around = window_means(masks)
    return around.sum(0) - around.amax(0)


def image_losses(settings: Settings, stage: Stage, content: Tensor, start: Tensor) -> dict[str, Weighted]:
    """Return the losses on the image itself, by name.

    Args:
        settings: weights, normalisation and the settings of each loss.
        stage: "photorealism" adds the photorealism loss.
        content: (3, h, w), the content.
        start: (3, h, w), the start image.
    """
    pixels = content.shape[1] * content.shape[2]
    published = settings.normalisation != "relative"
    power = settings.total_variation_power
    # The published total variation is a sum over pixels of values up to 256.
    variation = TotalVariationLoss(256.0**power / 2 if published else 1 / (2 * pixels), power)
    losses = {
        "total variation": Weighted(settings.total_variation_weight, variation),
        "gamut": Weighted(settings.gamut_weight, GamutLoss(1 / pixels)),  # not in Luan et al. (2017)
    }
    if settings.stains_weight:
        projection = LocalAffineProjection(content, **settings.smoothing())
        losses["stains"] = Weighted(settings.stains_weight, StainsLoss(projection))
    if stage == "photorealism" and settings.photorealism_weight:
        # Differs from Luan et al. (2017): the energy is relative to the contrast of the start image by colour, or else
        # of the content, so that the weight means the same for a faint photo and for one in hard light.
        reference = start if settings.start == "colour" else content
        scale = 1.0 if published else 1 / (pixels * (_local_variance(reference) + _FAINT_VARIANCE))
        losses["photorealism"] = Weighted(settings.photorealism_weight, _photorealism(settings, content, scale))
    return losses


def _photorealism(settings: Settings, content: Tensor, scale: float) -> nn.Module:
    if settings.photorealism_radius == 1:
        stencil = matting_laplacian_stencil(content.permute(1, 2, 0), settings.epsilon)
        return PhotorealismLoss(stencil, scale)
    # A pixel lies in this many times more windows than the 3 x 3 = 9 that the weight is chosen for.
    windows = (2 * settings.photorealism_radius + 1) ** 2 / 9
    return WideWindowLoss(content, settings.photorealism_radius, settings.epsilon * windows, scale / windows)


def _local_variance(image: Tensor) -> float:
    """Return the variance within 3 x 3 windows of an image (3, H, W), averaged over windows and channels."""
    return float((F.avg_pool2d(image.square(), 3, 1) - F.avg_pool2d(image, 3, 1).square()).mean())
