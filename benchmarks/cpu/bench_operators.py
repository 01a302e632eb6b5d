"""Benchmarks of the native operators on the CPU against their peers.

    pytest benchmarks/cpu/bench_operators.py --benchmark-columns=min,median,rounds

Every contender is checked against float64 before it is timed. The contenders of one workload run one after the other,
as the speed of a shared machine changes within minutes.
"""

from __future__ import annotations

from functools import lru_cache

import pytest

from benchmarks import network_workloads, recolouring_workloads, workloads
from benchmarks.baselines.network import WIDTHS

full = pytest.mark.full


def at(*sizes: tuple[int, int], short: tuple[int, int]) -> pytest.MarkDecorator:
    """Parametrise a benchmark by (height, width); all sizes but `short` are for the full run only."""
    cases = [pytest.param(size, id=f"{size[1]}x{size[0]}", marks=[] if size == short else full) for size in sizes]
    return pytest.mark.parametrize("size", cases)


# Cached, since all contenders of a workload share its exact result.
matting_laplacian = lru_cache(1)(workloads.matting_laplacian)
stencil_build = lru_cache(1)(workloads.stencil_build)
convolution = lru_cache(2)(network_workloads.convolution)

MEGAPIXEL = 866, 1155
FORMS = [
    pytest.param("scipy_csr", marks=full),
    pytest.param("pymatting_csr", marks=full),
    pytest.param("on_the_fly", marks=full),
    "stencil",
    pytest.param("on_the_fly_energy", marks=full),
    "csr_int32_rows_energy",
    "stencil_energy",
    "csr_int32_columns_energy",
]


@pytest.mark.parametrize("form", FORMS)
@at((233, 350), (466, 700), MEGAPIXEL, short=MEGAPIXEL)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_matting_laplacian(timed, scaled, form, size):
    if form.startswith("pymatting"):
        pytest.importorskip("pymatting")
    timed(matting_laplacian(*scaled(*size)), form)


@pytest.mark.parametrize("form", ["pymatting", "native", "numpy"])
@at((466, 700), MEGAPIXEL, short=(466, 700))
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_stencil_build(timed, scaled, form, size):
    if form == "pymatting":
        pytest.importorskip("pymatting")
    timed(stencil_build(*scaled(*size)), form)


@lru_cache(1)
def five_layers(
    height: int, width: int, regions: int, widths: tuple[int, ...], hard: bool = False
) -> workloads.Workload:
    shapes = workloads.style_layers(height, width, widths)
    partition = workloads.hard_partition if hard else workloads.smooth_partition
    return workloads.masked_gram(shapes, partition(regions, shapes))


GRAMS = [("native", 1), ("native", 9), ("gather", 9), ("dense", 9)]
FULL_GRAMS = GRAMS[2:]  # at 700 px only in the full run: nine dense products take seconds there


@pytest.mark.parametrize(
    ("size", "form", "regions"),
    [
        pytest.param(
            size, *case, id="-".join(map(str, (name, *case))), marks=full if large and case in FULL_GRAMS else ()
        )
        for size, name, large in (((233, 350), "350x233", False), ((466, 700), "700x466", True))
        for case in GRAMS
    ],
)
def test_masked_gram_of_five_layers(timed, scaled, shape_of, benchmark, form, regions, size):
    height, width = scaled(*size)
    widths = WIDTHS[shape_of("vgg19")]
    benchmark.group = f"masked Gram and gradient, VGG-19's five style layers, {width}x{height}"  # 1 region beside 9
    timed(five_layers(height, width, regions, widths), form, small=five_layers(36, 48, regions, widths))


@at((466, 700), short=(466, 700))
def test_masked_gram_of_hard_regions(timed, scaled, shape_of, benchmark, size):
    height, width = scaled(*size)
    widths = WIDTHS[shape_of("vgg19")]
    benchmark.group = f"masked Gram and gradient, VGG-19's five style layers, {width}x{height}"
    timed(five_layers(height, width, 9, widths, hard=True), "native", small=five_layers(36, 48, 9, widths, hard=True))


# Layers of VGG-19, and of an encoder with a quarter of its channels.
LAYERS = [
    *workloads.style_layers(233, 350, WIDTHS["vgg19"])[:4],
    *workloads.style_layers(233, 350, WIDTHS["vgg19-16x"])[:3],
]


@pytest.mark.parametrize(
    ("form", "regions"),
    [("native", 1), ("native", 9), ("native_without_lists", 9), ("gather", 9), ("dense", 1), ("dense", 9)],
)
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "x".join(map(str, layer)))
@full
def test_masked_gram_of_a_layer(timed, benchmark, form, regions, layout, layer):
    benchmark.group = f"masked Gram and gradient, {layout}, {layer}"  # 1 region beside 9
    timed(workloads.masked_gram([layer], [workloads.partition(regions, *layer[1:])], layout), form)


@pytest.mark.parametrize("call", ["fit_radius_1", "fit_radius_30", "smooth_box_radius_8", "apply"])
@at((233, 350), (466, 700), short=(466, 700))
def test_local_affine(timed, scaled, benchmark, call, size):
    height, width = scaled(*size)
    benchmark.group = f"local affine maps, {width}x{height}"
    timed(workloads.local_affine(height, width)[call], "native")


@full
def test_bilateral_smoothing(timed, scaled):
    timed(workloads.local_affine(*scaled(233, 350))["smooth_bilateral_radius_15"], "native")


def convolution_case(channels: int, out: int, height: int, width: int, marks: object = ()) -> object:
    return pytest.param(channels, (out, height, width), marks=marks, id=f"{channels}-{out}-{width}x{height}")


CONVOLUTIONS = [  # VGG-19's at 512 x 384, the embedded encoder's at 700 x 466
    convolution_case(64, 64, 384, 512, full),
    convolution_case(128, 128, 192, 256),
    convolution_case(256, 256, 96, 128, full),
    convolution_case(512, 512, 48, 64),
    convolution_case(16, 16, 466, 700),
    convolution_case(28, 32, 233, 350, full),
]


@pytest.mark.parametrize("form", ["onednn", "native"])
@pytest.mark.parametrize(("channels", "shape"), CONVOLUTIONS)
def test_convolution(timed, scaled, form, channels, shape):
    timed(convolution(channels, (shape[0], *scaled(*shape[1:]))), form, small=convolution(channels, (shape[0], 24, 31)))


RECOLOURING = {  # at the size that a recolouring is optimised at
    "srgb-to-lab": lambda: recolouring_workloads.colour_conversion("srgb_to_lab", 128, 192),
    "lab-to-srgb": lambda: recolouring_workloads.colour_conversion("lab_to_srgb", 128, 192),
    "sorted-distance": lambda: recolouring_workloads.sorted_distance(24, 3, 4096),
    "region-moments": lambda: recolouring_workloads.region_moments(16, 3, 128, 192),
}


@pytest.mark.parametrize("form", ["torch", "native"])
@pytest.mark.parametrize("work", RECOLOURING)
def test_recolouring(timed, form, work):
    timed(RECOLOURING[work](), form)
