"""The native operators, typed and documented: matting Laplacian, masked Gram, local affine colour maps.

Pictures are (H, W, 3) and quantities on their pixels (H, W, K); pass ``tensor.permute(1, 2, 0)`` of planar
(K, H, W) memory, which is used as it is, while other layouts are copied first. Results are such views too.
float32 and float64 are supported. Bad shapes, dtypes and numbers raise ``RuntimeError`` from the native
check, whose one line names the operator, the argument, what came and what is wanted. All operators work
under ``torch.compile(fullgraph=True)`` (`masked_gram` with a RegionPlan); their sums have a fixed order, so the
same call gives the same bits with any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import InputError

try:
    from fastphoto import _C
except ModuleNotFoundError as error:
    if error.name != "fastphoto._C":
        raise
    raise ImportError("fastphoto's native library is not built: run pip install --no-build-isolation -e .") from error
except ImportError as error:
    if "cannot import name '_C'" not in str(error):
        raise
    raise ImportError("fastphoto's native library is not built: run pip install --no-build-isolation -e .") from error

from fastphoto import _derivatives  # noqa: F401  (registers what torch must know of the operators)

_ops = torch.ops.fastphoto


def build_info() -> dict[str, Any]:
    """How the native library was built: keys version, torch, compiler, cuda (None without), cpu_features."""
    return _C.build_info()


def _refuse_gradient(op: str, name: str, tensor: Tensor) -> None:
    if tensor.requires_grad and torch.is_grad_enabled():
        raise InputError(f"{op}: {name} requires a gradient, which the operator lacks; pass {name}.detach()")


# ---- matting Laplacian -------------------------------------------------------------------------------------


def matting_laplacian(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The product L x with the matting Laplacian of an image, without storing L.

    L = sum over the 3 x 3 windows k that lie fully inside the image of
    delta_ij - (1 + (I_i - mu_k)^T (Sigma_k + epsilon / 9 Id)^-1 (I_j - mu_k)) / 9 (Levin et al. 2008).
    L is symmetric, positive semi-definite, and zero on constants. Window statistics are computed in double.

    Args:
        image: (H, W, 3), H and W at least 3, values in [0, 1]; a constant (InputError if it requires a
            gradient).
        x: (H, W, K), same dtype and device.
        epsilon: regularises windows of little variance; finite and above 0.

    Returns:
        L x, (H, W, K). Differentiable in x to any order.
    """
    _refuse_gradient("matting_laplacian", "image", image)
    return _ops.matting_laplacian.default(image, x, epsilon)


def matting_laplacian_energy(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> tuple[Tensor, Tensor]:
    """The energy sum_k x_k^T L x_k and L x in one pass; arguments as in :func:`matting_laplacian`.

    The energy is a sum of squares, sum over windows of sum_i r_i^2 + epsilon |a|^2 with r the residual of
    the best affine model a of x by the image's colours, so it is never negative. Its gradient, 2 L x, costs
    no second pass.

    Returns:
        (energy, L x): a scalar of x's dtype, accumulated in double, and (H, W, K).
    """
    _refuse_gradient("matting_laplacian_energy", "image", image)
    return _ops.matting_laplacian_energy.default(image, x, epsilon)


def matting_laplacian_stencil(image: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The coefficients of L that :func:`stencil_product` needs, 12 for each pixel.

    Plane n at (y, x) is L_ij for i = (y, x) and j = i + (dy, dx), with (dy, dx) in the order (0, 1), (0, 2),
    (1, -2), ..., (1, 2), (2, -2), ..., (2, 2); pairs that leave the image are 0. The other half of L follows
    from its symmetry, the diagonal from its zero row sums. Computed in double, stored in the image's dtype.

    Args:
        image: (H, W, 3), H and W at least 3, values in [0, 1]; a constant (InputError if it requires a
            gradient).
        epsilon: finite and above 0.

    Returns:
        (12, H, W).
    """
    _refuse_gradient("matting_laplacian_stencil", "image", image)
    return _ops.matting_laplacian_stencil.default(image, epsilon)


def stencil_product(stencil: Tensor, x: Tensor) -> Tensor:
    """L x from the coefficients: y_i = sum over j != i of L_ij (x_j - x_i).

    Several times faster than :func:`matting_laplacian` for 12 stored numbers a pixel, and more accurate on
    smooth x.

    Args:
        stencil: (12, H, W) of :func:`matting_laplacian_stencil`; a constant (InputError if it requires a
            gradient).
        x: (H, W, K), same dtype and device.

    Returns:
        L x, (H, W, K). Differentiable in x to any order.
    """
    _refuse_gradient("stencil_product", "stencil", stencil)
    return _ops.stencil_product.default(stencil, x)


def stencil_energy(stencil: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The energy sum_k x_k^T L x_k and L x in one pass; arguments as in :func:`stencil_product`.

    The energy is -sum over pairs i < j of L_ij (x_i - x_j)^2. Its gradient, 2 L x, costs no second pass.

    Returns:
        (energy, L x): a scalar of x's dtype, accumulated in double, and (H, W, K).
    """
    _refuse_gradient("stencil_energy", "stencil", stencil)
    return _ops.stencil_energy.default(stencil, x)


# ---- masked Gram matrices ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RegionPlan:
    """The pixels of each region, made once from masks by :func:`plan_regions` and used for every Gram matrix.

    Region r owns the entries offsets[r] ... offsets[r + 1] - 1: ascending pixel numbers y * width + x in
    `indices`, (P,) int32, and mask values in `weights`, (P,). `offsets`, (R + 1,) int64, stays on the CPU.
    """

    indices: Tensor
    weights: Tensor
    offsets: Tensor
    height: int
    width: int

    def to(self, device: torch.device | str) -> RegionPlan:
        return replace(self, indices=self.indices.to(device), weights=self.weights.to(device))


def plan_regions(masks: Tensor) -> RegionPlan:
    """Lists the pixels with mask > 0, region by region.

    Args:
        masks: (R, H, W), finite values of at least 0, normally in [0, 1]; regions may overlap, be soft, or
            be empty. Other dtypes than float32 and float64 are taken as float32.

    Raises:
        InputError: wrong rank, negative or not finite values, or masks that require a gradient.
    """
    if masks.dim() != 3 or masks.numel() == 0:
        raise InputError(f"plan_regions: masks is {tuple(masks.shape)}, wanted a non-empty (R, H, W)")
    _refuse_gradient("plan_regions", "masks", masks)
    regions, height, width = masks.shape
    values = masks.detach().to("cpu", torch.float64 if masks.dtype == torch.float64 else torch.float32)
    try:
        lists = _C.plan_regions(values.reshape(regions, -1).contiguous().numpy())
    except ValueError as error:
        raise InputError(f"plan_regions: {error}") from None
    indices, weights, offsets = (torch.from_numpy(values) for values in lists)
    return RegionPlan(indices.to(masks.device), weights.to(masks.device), offsets, height, width)


def masked_gram(features: Tensor, masks: Tensor | RegionPlan) -> Tensor:
    """The Gram matrix of each region, G_r = sum over pixels p of m_rp^2 f_p f_p^T, divided by nothing.

    The cost follows the regions' total area and not their number. The gradient is exact,
    dF_p = sum_r m_rp^2 (dG_r + dG_r^T) f_p, and keeps the features' memory format (planar or channels-last).

    Args:
        features: (C, H, W), float32 or float64, on CUDA also bfloat16, whose Gram matrices are float32.
        masks: (R, H, W) on the same device, or a :class:`RegionPlan` of them, which saves listing their
            pixels again.

    Returns:
        (R, C, C), symmetric; zeros for an empty region. Differentiable once, in the features.

    Raises:
        InputError: masks of another size than the features, or that require a gradient.
    """
    plan = masks if isinstance(masks, RegionPlan) else plan_regions(masks)
    if features.dim() != 3 or features.shape[1:] != (plan.height, plan.width):
        raise InputError(f"masked_gram: features is {tuple(features.shape)}, wanted (C, {plan.height}, {plan.width})")
    exact = torch.promote_types(features.dtype, torch.float32)
    return _ops.masked_gram.default(features, plan.indices, plan.weights.to(exact), plan.offsets)


# ---- inner products ------------------------------------------------------------------------------------------


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """All inner products of a few long vectors with a few others, a b^T, in one pass over them.

    Args:
        a: (A, N), contiguous, float32 or float64.
        b: (B, N), contiguous; same dtype and device.

    Returns:
        (A, B) float64, summed in a fixed order. Not differentiable.
    """
    return _ops.inner_products.default(a, b)


# ---- convolutions --------------------------------------------------------------------------------------------


def convolution_weights(weight: Tensor) -> Tensor:
    """Filters as :func:`convolution` wants them: G w G^T of each, 4 times the memory.

    Args:
        weight: (O, I, 3, 3), float32 or float64, on the CPU.

    Returns:
        (36, ceil(O / 16), I, 16): points of the transform, panels of output channels, filled up with zeros.
    """
    return _ops.convolution_weights.default(weight)


def convolution(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    out_channels: int,
    padding: int = 1,
    reflect: bool = False,
    relu: bool = False,
) -> Tensor:
    """3 x 3 convolution with stride 1 on the CPU by Winograd's F(4 x 4, 3 x 3), Lavin and Gray (CVPR 2016).

    y = A^T [(G w G^T) . (B^T x B)] A for each 4 x 4 tile of the output: a quarter of the definition's products,
    and in float32 an error of about 1e-6 relative to the output's size. Not differentiable itself: the gradient
    in x is the convolution with the filters turned round, `weight.transpose(0, 1).flip(2, 3)`. On a GPU cuDNN
    has as good ones.

    Args:
        x: (B, I, H, W) in dense channels-last memory, float32 or float64.
        weights: of :func:`convolution_weights`; same dtype. out_channels: O.
        bias: (O,) or None. relu: whether negative outputs become 0.
        padding: 0, 1 or 2 pixels around x, zeros or, with `reflect`, x mirrored.

    Returns:
        (B, O, H + 2 padding - 2, W + 2 padding - 2), channels-last.
    """
    return _ops.convolution.default(x, weights, bias, out_channels, padding, reflect, relu)


# ---- max-pooling ---------------------------------------------------------------------------------------------


def max_pool(x: Tensor, ceil: bool = False) -> Tensor:
    """The maxima of 2 x 2 windows of activations; not differentiable itself, see :func:`max_pool_backward`.

    Args:
        x: (B, C, H, W) in dense channels-last memory, float32 or float64 (on CUDA also bfloat16).
        ceil: whether a last odd row or column is a window too; else it is left out.

    Returns:
        (B, C, h, w), channels-last.
    """
    return _ops.max_pool.default(x, ceil)


def max_pool_backward(grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of max_pool(relu(z)) in z, from x = relu(z).

    dz = [x > 0][x is the first maximum of its window] dy: no index is stored for any window.

    Args:
        grad: dy, (B, C, h, w), channels-last; its size tells how the pooling rounded.
        x: (B, C, H, W), channels-last, 0 or more; same dtype and device.

    Returns:
        dz, (B, C, H, W), channels-last.
    """
    return _ops.max_pool_backward.default(grad, x)


# ---- local affine colour maps ------------------------------------------------------------------------------


def local_affine_fit(content: Tensor, result: Tensor, radius: int = 1, epsilon: float = 1e-3) -> Tensor:
    """The affine colour map of each pixel's window that best takes the content to the result.

    Minimises sum over the window of |A c + b - r|^2 + epsilon |A|^2, with windows of (2 radius + 1)^2
    pixels cropped at the border; the cost does not grow with the radius. Sums and solution are in double.

    Args:
        content: (H, W, 3), values in [0, 1]; a constant (InputError if it requires a gradient).
        result: (H, W, 3), same dtype and device.
        radius: of the window, in pixels, 0 or more.
        epsilon: pulls A to zero where colours vary little; finite and above 0.

    Returns:
        maps, (H, W, 3, 4): A and, in the last column, b. Differentiable in the result to any order.
    """
    _refuse_gradient("local_affine_fit", "content", content)
    return _ops.local_affine_fit.default(content, result, radius, epsilon)


def local_affine_apply(maps: Tensor, content: Tensor) -> Tensor:
    """A c + b at each content pixel, with maps of any size sampled bilinearly; not clamped.

    Sampling is that of ``interpolate(mode="bilinear", align_corners=False)`` without the upsampled copy.

    Args:
        maps: (h, w, 3, 4).
        content: (H, W, 3), same dtype and device.

    Returns:
        (H, W, 3). Differentiable once, in maps and content.
    """
    return _ops.local_affine_apply.default(maps, content)


def box_sum(x: Tensor, radius: int) -> Tensor:
    """The sum over each pixel's window of (2 radius + 1)^2 pixels, cropped at the border.

    Args:
        x: (H, W, K).
        radius: in pixels, 0 or more; the cost does not grow with it.

    Returns:
        (H, W, K), accumulated in double. Differentiable to any order.
    """
    return _ops.box_sum.default(x, radius)


def bilateral_sum(
    guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float = float("inf")
) -> Tensor:
    """The sum over each pixel's window, weighted by nearness in space and in the guide's colour.

    y_i = sum_j exp(-|i - j|^2 / (2 sigma_space^2)) exp(-(|g_i - g_j|^2 / 3) / (2 sigma_colour^2)) x_j over
    the (2 radius + 1)^2 window, cropped at the border. Divide by the sum for ones to get a mean.

    Args:
        guide: (H, W, 3); a constant (InputError if it requires a gradient).
        x: (H, W, K), same dtype and device.
        radius: in pixels, 0 or more; the cost grows with its square.
        sigma_space: in pixels, above 0 or infinite.
        sigma_colour: in units of the guide, above 0 or infinite (then the guide has no influence).

    Returns:
        (H, W, K). Differentiable in x to any order.
    """
    _refuse_gradient("bilateral_sum", "guide", guide)
    return _ops.bilateral_sum.default(guide, x, radius, sigma_space, sigma_colour)


def local_affine_smooth(maps: Tensor, guide: Tensor, radius: int = 15, sigma_colour: float = 0.01) -> Tensor:
    """Maps averaged over neighbours of similar guide colour (Luan et al. 2017), sigma_space = radius / 3.

    Args:
        maps: (H, W, 3, 4).
        guide: (H, W, 3), normally the content; same dtype and device.
        radius: of the window, in pixels, 1 or more.
        sigma_colour: in units of the guide, above 0 or infinite.

    Returns:
        (H, W, 3, 4). Differentiable in maps.
    """
    _check_maps("local_affine_smooth", maps)
    if radius < 1:
        raise InputError(f"local_affine_smooth: radius is {radius}, wanted 1 pixel or more")
    height, width = maps.shape[:2]
    planes = maps.reshape(height, width, 12).permute(2, 0, 1)
    quantities = torch.cat([planes, maps.new_ones((1, height, width))])
    sums = bilateral_sum(guide, quantities.permute(1, 2, 0), radius, radius / 3, sigma_colour)
    return (sums[..., :12] / sums[..., 12:]).reshape(height, width, 3, 4)


def local_affine_smooth_box(maps: Tensor, radius: int) -> Tensor:
    """Maps averaged over the (2 radius + 1)^2 window, cropped at the border.

    Args:
        maps: (H, W, 3, 4).
        radius: in pixels, 0 or more; the cost does not grow with it.

    Returns:
        (H, W, 3, 4). Differentiable in maps.
    """
    _check_maps("local_affine_smooth_box", maps)
    height, width = maps.shape[:2]
    counts = _window_lengths(height, radius, maps)[:, None] * _window_lengths(width, radius, maps)
    return (box_sum(maps.reshape(height, width, 12), radius) / counts[..., None]).reshape(height, width, 3, 4)


def _window_lengths(size: int, radius: int, like: Tensor) -> Tensor:
    position = torch.arange(size, device=like.device)
    lengths = (position + radius).clamp(max=size - 1) - (position - radius).clamp(min=0) + 1
    return lengths.to(like.dtype)


def _check_maps(op: str, maps: Tensor) -> None:
    if maps.dim() != 4 or maps.shape[2:] != (3, 4):
        raise InputError(f"{op}: maps is {tuple(maps.shape)}, wanted (H, W, 3, 4)")
