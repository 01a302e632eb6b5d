"""Times the native operators on the CPU against what one would use without them, in one run so that ratios hold.

    pytest benchmarks/bench_ops.py --benchmark-columns=min,median,rounds

Every contender is checked against float64 before it is timed. Those of one piece of work follow one another, for the
speed of a shared machine changes within minutes.
"""

from __future__ import annotations

from functools import lru_cache

import network_workloads
import pytest
import workloads
from plain_ops import WIDTHS

full = pytest.mark.full


def at(*sizes: tuple[int, int], short: tuple[int, int]) -> pytest.MarkDecorator:
    """Parametrises (height, width); all but one are for the full run only."""
    cases = [pytest.param(size, id=f"{size[1]}x{size[0]}", marks=[] if size == short else full) for size in sizes]
    return pytest.mark.parametrize("size", cases)


# The exact result, which the error is taken from, is the same for all contenders.
matting_laplacian = lru_cache(1)(workloads.matting_laplacian)
building_the_stencil = lru_cache(1)(workloads.building_the_stencil)
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
def test_building_the_stencil(timed, scaled, form, size):
    if form == "pymatting":
        pytest.importorskip("pymatting")
    timed(building_the_stencil(*scaled(*size)), form)


@lru_cache(1)
def five_layers(
    height: int, width: int, regions: int, widths: tuple[int, ...], hard: bool = False
) -> workloads.Workload:
    shapes = workloads.style_layers(height, width, widths)
    partition = workloads.hard_partition if hard else workloads.smooth_partition
    return workloads.masked_gram(shapes, partition(regions, shapes))


GRAMS = [("native", 1), ("native", 9), ("gather", 9), ("dense", 9)]
IN_FULL = GRAMS[2:]  # at 700 px, where nine dense products take seconds


@pytest.mark.parametrize(
    ("size", "form", "regions"),
    [
        pytest.param(size, *case, id="-".join(map(str, (name, *case))), marks=full if large and case in IN_FULL else ())
        for size, name, large in (((233, 350), "350x233", False), ((466, 700), "700x466", True))
        for case in GRAMS
    ],
)
def test_masked_gram_of_five_layers(timed, scaled, shape_of, benchmark, form, regions, size):
    height, width = scaled(*size)
    widths = WIDTHS[shape_of("vgg19")]
    benchmark.group = f"masked Gram and gradient, VGG-19's five style layers, {width}x{height}"  # one beside nine
    timed(five_layers(height, width, regions, widths), form, small=five_layers(36, 48, regions, widths))


@at((466, 700), short=(466, 700))
def test_masked_gram_of_hard_regions(timed, scaled, shape_of, benchmark, size):
    height, width = scaled(*size)
    widths = WIDTHS[shape_of("vgg19")]
    benchmark.group = f"masked Gram and gradient, VGG-19's five style layers, {width}x{height}"
    timed(five_layers(height, width, 9, widths, hard=True), "native", small=five_layers(36, 48, 9, widths, hard=True))


# The layers of a VGG-19, and those of one with a quarter of the channels.
LAYERS = [
    *workloads.style_layers(233, 350, WIDTHS["vgg19"])[:4],
    *workloads.style_layers(233, 350, WIDTHS["vgg19-16x"])[:3],
]


@pytest.mark.parametrize(
    ("form", "regions"),
    [("native", 1), ("native", 9), ("native_without_plan", 9), ("gather", 9), ("dense", 1), ("dense", 9)],
)
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "x".join(map(str, layer)))
@full
def test_masked_gram_of_a_layer(timed, benchmark, form, regions, layout, layer):
    benchmark.group = f"masked Gram and gradient, {layout}, {layer}"  # one region beside nine
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


def of(channels: int, out: int, height: int, width: int, marks: object = ()) -> object:
    return pytest.param(channels, (out, height, width), marks=marks, id=f"{channels}-{out}-{width}x{height}")


CONVOLUTIONS = [  # VGG-19's at 512 x 384, the embedded encoder's at 700 x 466
    of(64, 64, 384, 512, full),
    of(128, 128, 192, 256),
    of(256, 256, 96, 128, full),
    of(512, 512, 48, 64),
    of(16, 16, 466, 700),
    of(28, 32, 233, 350, full),
]


@pytest.mark.parametrize("form", ["onednn", "native"])
@pytest.mark.parametrize(("channels", "shape"), CONVOLUTIONS)
def test_convolution(timed, scaled, form, channels, shape):
    timed(convolution(channels, (shape[0], *scaled(*shape[1:]))), form, small=convolution(channels, (shape[0], 24, 31)))
