"""The definition of each native operator in plain PyTorch, for tests and benchmarks only.

Each function has the name and the arguments of the operator that it defines, except that `convolution` takes filters
that are not transformed, and `local_affine_sum` no factors. The code follows the equations, so it may be slow and need
much memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fastphoto.ops.colours import lab_to_srgb_by_torch as lab_to_srgb
from fastphoto.ops.colours import srgb_to_lab_by_torch as srgb_to_lab
from fastphoto.ops.contrasts import contrast_excess_by_torch as contrast_excess
from fastphoto.ops.recolouring import region_recolouring_by_torch as region_recolouring

# The definitions that are in use elsewhere.
__all__ = ["contrast_excess", "lab_to_srgb", "region_recolouring", "srgb_to_lab"]


def _windows(x: Tensor, radius: int) -> Tensor:
    """Return the window of each pixel, (H, W, K) -> (H, W, K, N), N = (2 radius + 1)^2, zero outside the image."""
    height, width, planes = x.shape
    side = 2 * radius + 1
    columns = functional.unfold(x.permute(2, 0, 1)[None], side, padding=radius)
    return columns.reshape(planes, side * side, height, width).permute(2, 3, 0, 1)


def matting_laplacian(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> Tensor:
    height, width, planes = x.shape
    colours = _windows(image, 1)[1:-1, 1:-1]  # windows fully inside the image
    values = _windows(x, 1)[1:-1, 1:-1]
    # L_ij of each window: delta_ij - (1 + (I_i - mu)^T (Sigma + epsilon / 9 Id)^-1 (I_j - mu)) / 9
    d = colours - colours.mean(-1, keepdim=True)
    covariance = d @ d.mT / 9 + epsilon / 9 * torch.eye(3, dtype=image.dtype, device=image.device)
    weights = (1 + d.mT @ torch.linalg.solve(covariance, d)) / 9  # (h, w, 9, 9)
    residual = values - torch.einsum("hwij,hwkj->hwki", weights, values)
    # Sum over the windows that contain each pixel.
    whole = functional.pad(residual, (0, 0, 0, 0, 1, 1, 1, 1))
    columns = whole.permute(2, 3, 0, 1).reshape(1, planes * 9, height * width)
    return functional.fold(columns, (height, width), 3, padding=1)[0].permute(1, 2, 0)


def matting_laplacian_energy(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> tuple[Tensor, Tensor]:
    product = matting_laplacian(image, x, epsilon)
    return (x * product).sum(), product


def matting_laplacian_stencil(image: Tensor, epsilon: float = 1e-7) -> Tensor:
    height, width, _ = image.shape
    unit = torch.eye(height * width, dtype=image.dtype, device=image.device)  # L times each unit vector is L
    matrix = matting_laplacian(image, unit.reshape(height, width, -1), epsilon)
    matrix = matrix.reshape(height, width, height, width)
    stencil = image.new_zeros((12, height, width))
    offsets = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]
    for plane, (dy, dx) in enumerate(offsets):
        for y in range(height - dy):
            for column in range(max(0, -dx), min(width, width - dx)):
                stencil[plane, y, column] = matrix[y, column, y + dy, column + dx]
    return stencil


def masked_gram(features: Tensor, masks: Tensor) -> Tensor:
    masked = features * masks[:, None]
    return torch.einsum("rihw,rjhw->rij", masked, masked)


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    return a.double() @ b.double().mT


def sorted_distance(values: Tensor, target: Tensor, offsets: Tensor) -> Tensor:
    bounds = offsets.tolist()
    segments = [slice(begin, end) for begin, end in zip(bounds[:-1], bounds[1:], strict=True)]
    return torch.stack([(values[:, s].sort(1)[0] - target[:, s]).square().mean() for s in segments])


def region_moments(features: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    shares = shares / shares.sum((1, 2), keepdim=True)
    mean = torch.einsum("rhw,chw->rc", shares, features)
    away = features - mean[:, :, None, None]
    return mean, torch.einsum("rhw,rchw->rc", shares, away.square())


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 1, reflect: bool = False, relu: bool = False
) -> Tensor:
    x = functional.pad(x, (padding,) * 4, mode="reflect" if reflect else "constant")
    y = functional.conv2d(x, weight, bias)
    return y.relu() if relu else y


def max_pool(x: Tensor, ceil: bool = False) -> Tensor:
    return functional.max_pool2d(x, 2, ceil_mode=ceil)


def max_pool_backward(grad: Tensor, x: Tensor) -> Tensor:
    before = x.clone().requires_grad_()  # x stands in for z: the ReLU's derivative at 0 is 0
    ceil = grad.shape[2] > x.shape[2] // 2 or grad.shape[3] > x.shape[3] // 2
    return torch.autograd.grad(max_pool(before.relu(), ceil), before, grad)[0]


def local_affine_fit(content: Tensor, result: Tensor, radius: int = 1, epsilon: float = 1e-3) -> Tensor:
    ones = torch.ones_like(content[..., :1])
    # The normal equations of each window, with phi = (c, 1).
    phi = _windows(torch.cat([content, ones], -1), radius)  # (H, W, 4, N), zero outside the image
    values = _windows(result, radius)
    regulariser = torch.diag(content.new_tensor([epsilon, epsilon, epsilon, 0]))
    return torch.linalg.solve(phi @ phi.mT + regulariser, phi @ values.mT).mT


def local_affine_apply(maps: Tensor, content: Tensor) -> Tensor:
    height, width, _ = content.shape
    planes = maps.flatten(2).permute(2, 0, 1)[None]
    sampled = functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
    sampled = sampled[0].permute(1, 2, 0).reshape(height, width, 3, 4)
    return (sampled[..., :3] @ content[..., None])[..., 0] + sampled[..., 3]


def box_sum(x: Tensor, radius: int) -> Tensor:
    return _windows(x, radius).sum(-1)


def bilateral_sum(
    guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float = float("inf")
) -> Tensor:
    offset = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    space = (offset[:, None] ** 2 + offset**2).flatten() / (2 * sigma_space**2)
    colour = ((_windows(guide, radius) - guide[..., None]) ** 2).mean(-2) / (2 * sigma_colour**2)
    return torch.einsum("hwkn,hwn->hwk", _windows(x, radius), torch.exp(-space - colour))


def local_affine_smooth(maps: Tensor, guide: Tensor, radius: int = 15, sigma_colour: float = 0.01) -> Tensor:
    x = torch.cat([maps.flatten(2), torch.ones_like(guide[..., :1])], -1)
    sums = bilateral_sum(guide, x, radius, radius / 3, sigma_colour)
    return (sums[..., :12] / sums[..., 12:]).reshape(maps.shape)


def local_affine_smooth_box(maps: Tensor, radius: int) -> Tensor:
    counts = box_sum(torch.ones_like(maps[..., 0, :1]), radius)
    return (box_sum(maps.flatten(2), radius) / counts).reshape(maps.shape)


def local_affine_factors(content: Tensor, radius: int, epsilon: float) -> Tensor:
    ones = torch.ones_like(content[..., :1])
    count = box_sum(ones, radius)[..., 0]
    mean = box_sum(content, radius) / count[..., None]
    products = box_sum((content[..., None] * content[..., None, :]).flatten(2), radius).unflatten(2, (3, 3))
    centred = products - count[..., None, None] * mean[..., None] * mean[..., None, :]
    root = torch.linalg.cholesky(centred + epsilon * torch.eye(3, dtype=content.dtype))
    scale = root.diagonal(dim1=-2, dim2=-1)
    unit = root / scale[..., None, :]
    factors = [unit[..., 1, 0], unit[..., 2, 0], unit[..., 2, 1], *(1 / scale.square()).unbind(-1)]
    return torch.stack([*mean.unbind(-1), *factors])


def local_affine_sum(content: Tensor, x: Tensor, radius: int, epsilon: float) -> Tensor:
    maps = box_sum(local_affine_fit(content, x, radius, epsilon).flatten(2), radius)
    return local_affine_apply(maps.unflatten(2, (3, 4)), content)
