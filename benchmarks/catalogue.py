"""The catalogue: one row for each piece of work that is timed, on CPUs and on GPUs, with its size and its contenders.

To add an operator, write its workload in workloads.py, network_workloads.py or elementary_workloads.py, and a row here.
A test says which operator of `fastphoto.ops` has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from benchmarks import elementary_workloads as elementary
from benchmarks import network_workloads as network
from benchmarks import workloads
from benchmarks.baselines.network import WIDTHS
from benchmarks.elementary_workloads import Device
from benchmarks.transfers import demo_photos, encoder_weights
from benchmarks.workloads import Workload
from fastphoto.optimisation.presets import preset_settings

Size = tuple[int, int]
LANDSCAPE, HALF, MEGAPIXEL = (466, 700), (233, 350), (866, 1155)  # height, width
RECOLOURED = 128, 192  # what a recolouring is optimised at
TINY = 36, 48
PEERLESS = "pymatting_csr", "pymatting"  # contenders that need a package that need not be installed


@dataclass(frozen=True)
class Row:
    """A piece of work at one size."""

    make: Callable[[int, int, Device, bool], Workload]
    """Prepares the work at (height, width) on a device; with True, with few channels or photos, for a dry run."""
    size: Size
    ours: Mapping[str, str]
    """Contenders that are fastphoto's, with the function of `fastphoto.ops` that each calls; "" for several."""
    short: tuple[str, ...] | None = None
    """Contenders in the short run; None: all."""
    checked_at: Size | None = None
    """Size at which contenders are compared with float64, where their own size would take too long."""
    gpu: bool = True
    """Whether the work has a form on a GPU that no other section of the run on a GPU times."""
    leave_out: tuple[str, ...] = field(default=())
    """Contenders that are not timed, because they take too long or too much memory at this size."""

    def workload(self, dry_run: bool = False, device: Device = "cpu") -> Workload:
        """Return the work to time."""
        return self.make(*(TINY if dry_run else self.size), device, dry_run)

    def small_workload(self, dry_run: bool = False, device: Device = "cpu") -> Workload | None:
        """Return the work to compare with float64; None: the work that is timed."""
        return None if self.checked_at is None or dry_run else self.make(*self.checked_at, device, dry_run)


def _on(make: Callable[..., Workload], *arguments: object) -> Callable[[int, int, Device, bool], Workload]:
    """Return a maker of work on a photo, whose arguments come before height, width and device."""
    return lambda height, width, device, _: make(*arguments, height, width, device)


def _on_cpu(make: Callable[..., Workload], *arguments: object) -> Callable[[int, int, Device, bool], Workload]:
    return lambda height, width, _, __: make(*arguments, height, width)


def _affine(call: str) -> Callable[[int, int, Device, bool], Workload]:
    return lambda height, width, device, _: workloads.local_affine(height, width, device)[call]


def _gram(regions: int, hard: bool = False) -> Callable[[int, int, Device, bool], Workload]:
    def make(height: int, width: int, device: Device, few: bool) -> Workload:
        shapes = workloads.style_layers(height, width, WIDTHS["vgg19-16x" if few else "vgg19"])
        if hard:
            return workloads.masked_gram(shapes, workloads.hard_partition(regions, shapes))
        return workloads.masked_gram(shapes, workloads.smooth_partition(regions, shapes, device))

    return make


def _convolution(channels: int, out: int) -> Callable[[int, int, Device, bool], Workload]:
    return lambda height, width, _, __: network.convolution(channels, (out, height, width))


def _encoder(name: str) -> Callable[[int, int, Device, bool], Workload]:
    def make(height: int, width: int, device: Device, few: bool) -> Workload:
        weights = encoder_weights("vgg19-16x" if few and name == "vgg19" else name, None)
        return network.encoder_pass(weights, preset_settings("fast").style_layers, height, width)

    return make


def _evaluation(name: str) -> Callable[[int, int, Device, bool], Workload]:
    def make(height: int, width: int, device: Device, few: bool) -> Workload:
        weights = encoder_weights("vgg19-16x" if few and name == "vgg19" else name, None)
        return network.evaluation(demo_photos(max(height, width)), weights)

    return make


def _sorted_distance(height: int, width: int, device: Device, few: bool) -> Workload:
    return elementary.sorted_distance(24, 3, height * width // 6, device)


_LAPLACIAN = {
    "stencil_energy": "stencil_energy",
    "stencil": "stencil_product",
    "on_the_fly": "matting_laplacian",
    "on_the_fly_energy": "matting_laplacian_energy",
}
_laplacian = partial(
    Row,
    _on(workloads.matting_laplacian),
    ours=_LAPLACIAN,
    leave_out=("csr_int64_rows_energy", "csr_int64_columns_energy"),
    gpu=False,
)
_gram_row = partial(
    Row,
    ours={"native": "masked_gram"},
    checked_at=TINY,
    leave_out=("native_without_lists", "dense_tf32", "gather_tf32"),
    gpu=False,
)

ROWS: dict[str, Row] = {
    "matting Laplacian, 1155x866": _laplacian(MEGAPIXEL),
    "matting Laplacian, 700x466": _laplacian(LANDSCAPE, short=()),
    "matting Laplacian, 350x233": _laplacian(HALF, short=()),
    "stencil, 700x466": Row(
        _on(workloads.stencil_build), LANDSCAPE, {"native": "matting_laplacian_stencil"}, gpu=False
    ),
    "conjugate gradients, 350x233": Row(
        _on_cpu(elementary.conjugate_gradients, 20), HALF, {"native": "conjugate_gradients"}, gpu=False
    ),
    "masked Gram, 350x233, 1 region": _gram_row(_gram(1), HALF, short=("native",)),
    "masked Gram, 350x233, 9 regions": _gram_row(_gram(9), HALF),
    "masked Gram, 700x466, 1 region": _gram_row(_gram(1), LANDSCAPE, short=("native",)),
    "masked Gram, 700x466, 9 regions": _gram_row(_gram(9), LANDSCAPE, short=("native",)),
    "masked Gram, 700x466, 9 hard regions": _gram_row(_gram(9, hard=True), LANDSCAPE, short=("native",)),
    "pixel lists, 700x466": Row(_on(elementary.list_pixels, 9), LANDSCAPE, {"native": "list_pixels"}),
    "local affine fit, radius 1, 700x466": Row(
        _affine("fit_radius_1"), LANDSCAPE, {"native": "local_affine_fit"}, gpu=False
    ),
    "local affine fit, radius 30, 700x466": Row(
        _affine("fit_radius_30"), LANDSCAPE, {"native": "local_affine_fit"}, short=()
    ),
    "local affine smoothing by boxes, 700x466": Row(
        _affine("smooth_box_radius_8"), LANDSCAPE, {"native": "local_affine_smooth_box"}
    ),
    "local affine smoothing by colour, 350x233": Row(
        _affine("smooth_bilateral_radius_15"), HALF, {"native": "local_affine_smooth"}, checked_at=TINY, gpu=False
    ),
    "local affine maps applied, 700x466": Row(_affine("apply"), LANDSCAPE, {"native": "local_affine_apply"}, gpu=False),
    "local affine factors, 700x466": Row(
        _on(elementary.local_affine_factors, 8), LANDSCAPE, {"native": "local_affine_factors"}, gpu=False
    ),
    "local affine sums, 700x466": Row(
        _on(elementary.local_affine_sum, 8), LANDSCAPE, {"native": "local_affine_sum"}, gpu=False
    ),
    "window sums, 700x466": Row(_on(elementary.box_sum, 8), LANDSCAPE, {"native": "box_sum"}),
    "bilateral sums, 700x466": Row(
        _on(elementary.bilateral_sum, 3), LANDSCAPE, {"native": "bilateral_sum"}, short=("native",)
    ),
    "sRGB to L*a*b*, 192x128": Row(
        _on(elementary.colour_conversion, "srgb_to_lab"), RECOLOURED, {"native": "srgb_to_lab"}
    ),
    "L*a*b* to sRGB, 192x128": Row(
        _on(elementary.colour_conversion, "lab_to_srgb"), RECOLOURED, {"native": "lab_to_srgb"}
    ),
    "sorted distance, 192x128": Row(_sorted_distance, RECOLOURED, {"native": "sorted_distance"}),
    "region moments, 192x128": Row(_on(elementary.region_moments, 16, 3), RECOLOURED, {"native": "region_moments"}),
    "region recolouring, 192x128": Row(
        _on(elementary.region_recolouring, 3), RECOLOURED, {"native": "region_recolouring"}
    ),
    "excess contrast, 192x128": Row(_on(elementary.contrast_excess, 3), RECOLOURED, {"native": "contrast_excess"}),
    "max-pooling, 700x466": Row(
        lambda h, w, d, _: elementary.max_pool(16, h, w, False, d), LANDSCAPE, {"native": "max_pool"}
    ),
    "gradient of max-pooling, 700x466": Row(
        lambda h, w, d, _: elementary.max_pool(16, h, w, True, d), LANDSCAPE, {"native": "max_pool_backward"}
    ),
    "inner products, 700x466": Row(
        lambda h, w, d, _: elementary.inner_products(20, 2, 3 * h * w, d), LANDSCAPE, {"native": "inner_products"}
    ),
    **{
        f"convolution {channels} to {out}, {size[1]}x{size[0]}": Row(
            _convolution(channels, out),
            size,
            {"native": "convolution"},
            short=short,
            checked_at=(24, 31),
            gpu=False,
        )
        for channels, out, size, short in (  # VGG-19's at 512 x 384, the embedded encoder's at 700 x 466
            (16, 16, LANDSCAPE, None),
            (28, 32, HALF, None),
            (128, 128, (192, 256), None),
            (512, 512, (48, 64), None),
            (64, 64, (384, 512), ()),
            (256, 256, (96, 128), ()),
        )
    },
    "filters of a convolution, 64 to 64": Row(
        lambda *_: network.convolution_filters(64, 64), (3, 3), {"native": "convolution_weights"}, gpu=False
    ),
    **{
        f"encoder {name}, {size[1]}x{size[0]}": Row(
            _encoder(name), size, {"native": ""}, short=short, checked_at=(35, 50), gpu=False
        )
        for name, size, short in (
            ("embedded", LANDSCAPE, None),
            ("vgg19", (384, 512), ("native",)),
            ("embedded", HALF, ()),
            ("vgg19", LANDSCAPE, ()),
            ("vgg19-16x", LANDSCAPE, ()),
        )
    },
    **{
        f"evaluation {name}, {size[1]} px": Row(
            _evaluation(name), size, {"native": ""}, short=short, checked_at=(64, 96), gpu=False
        )
        for name, size, short in (
            ("embedded", LANDSCAPE, ("native", "B1", "B0")),
            ("embedded", HALF, None),
            ("vgg19", (341, 512), ()),
        )
    },
}
