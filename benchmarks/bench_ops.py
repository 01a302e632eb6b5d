"""Times the native operators on the CPU against what one would use without them, in one run so that ratios hold.

    pytest benchmarks/bench_ops.py --benchmark-columns=min,median,rounds

Every contender is checked against float64 before it is timed.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
import workloads
from plain_ops import WIDTHS

SIZES = [(233, 350), (466, 700)]
at_sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
# The exact result, which the error is taken from, is the same for all contenders.
matting_laplacian = lru_cache(workloads.matting_laplacian)

CSR = ["csr_int32_rows_energy", "csr_int32_columns_energy"]


@at_sizes
@pytest.mark.parametrize("form", ["scipy_csr", "on_the_fly", "stencil", "on_the_fly_energy", "stencil_energy", *CSR])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_matting_laplacian(timed, form, size):
    timed(matting_laplacian(*size), form)


@at_sizes
def test_building_the_stencil(timed, size):
    timed(workloads.building_the_stencil(*size), "native")


# The layers of a VGG-19, and those of one with a quarter of the channels.
LAYERS = [
    *workloads.style_layers(233, 350, WIDTHS["vgg19"])[:4],
    *workloads.style_layers(233, 350, WIDTHS["vgg19-16x"])[:3],
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "x".join(map(str, layer)))
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize(
    ("form", "regions"),
    [("native", 1), ("native", 9), ("native_without_plan", 9), ("gather", 9), ("dense", 1), ("dense", 9)],
)
def test_masked_gram_and_gradient(timed, benchmark, form, regions, layout, layer):
    benchmark.group = f"masked Gram and gradient, {layout}, {layer}"  # one region beside nine
    timed(workloads.masked_gram([layer], [workloads.partition(regions, *layer[1:])], layout), form)


@at_sizes
@pytest.mark.parametrize("call", ["fit_radius_1", "fit_radius_30", "smooth_box_radius_8", "apply"])
def test_local_affine(timed, benchmark, call, size):
    benchmark.group = f"local affine maps, {size[1]}x{size[0]}"
    timed(workloads.local_affine(*size)[call], "native")


def test_bilateral_smoothing(timed):
    timed(workloads.local_affine(233, 350)["smooth_bilateral_radius_15"], "native")
