"""The native operators and functions built on them: matting Laplacian, masked Gram matrices, local affine colour maps.

Images have shape (H, W, 3), and quantities on their pixels (H, W, K). Memory is planar: views such as
``planes.permute(1, 2, 0)`` of (K, H, W) tensors are used without a copy, and other layouts are copied first. Results
are such views too. The dtypes float32 and float64 are supported; under autocast, others are cast to float32.

A wrong shape, dtype or number raises ``RuntimeError``. Its message is one line with the operator, the argument, the
value given and the value expected. All operators work under ``torch.compile(fullgraph=True)``, where `masked_gram`
needs `PixelLists`. They sum in a fixed order: the same call gives the same bits with any number of threads.
"""

from fastphoto.ops.affine import (
    local_affine_apply,
    local_affine_factors,
    local_affine_fit,
    local_affine_smooth,
    local_affine_smooth_box,
    local_affine_sum,
)
from fastphoto.ops.colours import lab_to_srgb, srgb_to_lab
from fastphoto.ops.contrasts import contrast_excess
from fastphoto.ops.convolutions import convolution, convolution_weights
from fastphoto.ops.gram import PixelLists, list_pixels, masked_gram
from fastphoto.ops.laplacian import MattingLaplacian
from fastphoto.ops.library import build_info
from fastphoto.ops.linear_solver import conjugate_gradients
from fastphoto.ops.matting import (
    matting_laplacian,
    matting_laplacian_energy,
    matting_laplacian_stencil,
    stencil_energy,
    stencil_product,
)
from fastphoto.ops.moments import region_moments
from fastphoto.ops.pooling import max_pool, max_pool_backward
from fastphoto.ops.recolouring import region_recolouring
from fastphoto.ops.sorting import sorted_distance
from fastphoto.ops.vectors import inner_products
from fastphoto.ops.windows import bilateral_sum, box_sum

__all__ = [
    "MattingLaplacian",
    "PixelLists",
    "bilateral_sum",
    "box_sum",
    "build_info",
    "conjugate_gradients",
    "contrast_excess",
    "convolution",
    "convolution_weights",
    "inner_products",
    "lab_to_srgb",
    "list_pixels",
    "local_affine_apply",
    "local_affine_factors",
    "local_affine_fit",
    "local_affine_smooth",
    "local_affine_smooth_box",
    "local_affine_sum",
    "masked_gram",
    "matting_laplacian",
    "matting_laplacian_energy",
    "matting_laplacian_stencil",
    "max_pool",
    "max_pool_backward",
    "region_moments",
    "region_recolouring",
    "sorted_distance",
    "srgb_to_lab",
    "stencil_energy",
    "stencil_product",
]
