"""Estimates on paper of the CUDA kernels on an H200: bytes, operations, occupancy, the least time, and what bounds it.

Registers and shared memory are those that `make cuda-compile ARGS=--resources` found for sm_90, in
kernel_resources.json. Bytes and operations are counted from the kernels' code. Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import lookup, ratio, short
from benchmarks.sections import Results

RESOURCES = Path(__file__).with_name("kernel_resources.json")

# An H200: bytes a second of its memory, operations a second, and bytes a second between the caches and the cores, which
# are 128 a clock of 1.98 GHz in each of 132 multiprocessors.
PEAKS = {
    "memory": 4.8e12,
    "float32": 67e12,
    "float64": 34e12,
    "bfloat16": 989e12,
    "tf32": 494e12,
    "caches": 128 * 1.98e9 * 132,
}
MULTIPROCESSORS = 132

# One multiprocessor of compute capability 9.0.
REGISTERS, SHARED_BYTES, WARPS, BLOCKS = 65536, 228 * 1024, 64, 32
RESERVED_SHARED = 1024  # bytes of each block that the system takes
REGISTER_UNIT = 256  # registers are given to a warp in such units

MEGAPIXELS_12, PIXELS_700 = 12_000_000, 700 * 525
SOFT_BORDERS = 1.23  # of the regions' pixels, weighted by operations, over those of the layers
TILE = 64  # channels, or pixels, of a tile of masked_gram.cu
GRAM_SHARED = 0.122  # bytes of shared memory for each operation of masked_gram.cu: 32 KB for 64 x 64 x 32 products
LAYERS = [(64, 367_500), (128, 92_050), (256, 23_100), (512, 5_808), (512, 1_452)]  # channels and pixels


@dataclass(frozen=True)
class Estimate:
    """One kernel at one piece of work."""

    kernel: str  # as in kernel_resources.json
    work: str
    costs: Mapping[str, float]  # bytes from memory and from the caches, operations by type: the keys of PEAKS
    threads: int = 256  # of a block
    measured: Callable[[Results], float | None] = field(default=lambda _: None)  # milliseconds in a run's sections
    note: str = ""  # what else the measured time holds

    def bound(self) -> str:
        """Return the resource that takes longest."""
        return max(self.costs, key=lambda name: self.costs[name] / PEAKS[name])

    def milliseconds(self) -> float:
        """Return the least time: that of the slowest resource, if all others hide behind it."""
        name = self.bound()
        return 1e3 * self.costs[name] / PEAKS[name]


def occupancy(registers: int, shared: int, threads: int) -> float:
    """Return the share of a multiprocessor's warps that can be in flight.

    Args:
        registers: registers of a thread.
        shared: bytes of shared memory of a block.
        threads: threads of a block, a multiple of 32.
    """
    warps = threads // 32
    registers_of_warp = -(-registers * 32 // REGISTER_UNIT) * REGISTER_UNIT
    by_registers = REGISTERS // registers_of_warp // warps
    by_shared = SHARED_BYTES // (shared + RESERVED_SHARED)
    return min(by_registers, by_shared, WARPS // warps, BLOCKS) * warps / WARPS


def _per_pixel(pixels: int, **costs: float) -> dict[str, float]:
    return {name: pixels * cost for name, cost in costs.items()}


def _gram_value(item: int, kind: str) -> dict[str, float]:
    """Return the costs of gram_kernel over all layers: the tiles of the lower triangle, and each feature once."""
    operations = sum(_pairs(channels) * 2 * TILE**2 * pixels for channels, pixels in LAYERS) * SOFT_BORDERS
    features = sum(channels * pixels for channels, pixels in LAYERS) * item * SOFT_BORDERS
    # In float32 three TF32 products take the place of one.
    products = operations * (3 if kind == "tf32" else 1)
    return {"memory": features, kind: products, "caches": operations * GRAM_SHARED * item / 2}


def _gram_gradient(item: int, kind: str) -> dict[str, float]:
    """Return the costs of gram_gradient_kernel: features are read, and their gradients written, at least once."""
    operations = sum(2 * channels**2 * pixels for channels, pixels in LAYERS) * SOFT_BORDERS
    features = sum(channels * pixels for channels, pixels in LAYERS) * item
    products = operations * (3 if kind == "tf32" else 1)
    return {"memory": features * (1 + SOFT_BORDERS), kind: products, "caches": operations * GRAM_SHARED * item / 2}


def _pairs(channels: int) -> int:
    tiles = -(-channels // TILE)
    return tiles * (tiles + 1) // 2


def _measured(*path: str) -> Callable[[Results], float | None]:
    return lambda sections: lookup(sections, *path, "ms")


def _row(name: str) -> Callable[[Results], float | None]:
    return _measured("operators", name, "native")


_TILE_OVERHEAD = 256 / (30 * 6)  # of matting_laplacian.cu: threads of a block, over pixels that they write
ESTIMATES = [
    Estimate(
        "stencil_product_kernel<float, true>",
        "12 MP, three planes",
        # 24 coefficients from the caches, and 25 values of three planes from shared memory.
        _per_pixel(MEGAPIXELS_12, memory=72, caches=4 * (24 + 75), float32=324),
        measured=_measured("laplacian", "12 MP", "stencil_energy"),
    ),
    Estimate(
        "laplacian_kernel<float, true>",
        "12 MP, three planes",
        _per_pixel(
            MEGAPIXELS_12, memory=36, caches=4 * 9 * 12 * _TILE_OVERHEAD + 8 * 108, float64=620 * _TILE_OVERHEAD
        ),
        measured=_measured("laplacian", "12 MP", "on_the_fly_energy"),
    ),
    Estimate(
        "stencil_kernel<float>",
        "12 MP",
        # 36 pairs of 16 operations, and the window's factors.
        _per_pixel(MEGAPIXELS_12, memory=60, caches=8 * 81 + 4 * 135, float64=576 + 135 * _TILE_OVERHEAD),
        measured=_measured("laplacian", "12 MP", "build"),
    ),
    Estimate("gram_kernel<bfloat16>", "five layers, 700 px, nine regions", _gram_value(2, "bfloat16")),
    Estimate(
        "gram_gradient_kernel<bfloat16>",
        "five layers, 700 px, nine regions",
        _gram_gradient(2, "bfloat16"),
        measured=_measured("gram", "native, bfloat16, 9"),
        note="with gram_kernel and 20 small launches",
    ),
    Estimate("gram_kernel<float>", "five layers, 700 px, nine regions", _gram_value(4, "tf32")),
    Estimate(
        "gram_gradient_kernel<float>",
        "five layers, 700 px, nine regions",
        _gram_gradient(4, "tf32"),
        measured=_measured("gram", "native, float32, 9"),
        note="with gram_kernel and 20 small launches",
    ),
    Estimate(
        "fit_kernel<float>",
        "12 MP, radius 1",
        _per_pixel(MEGAPIXELS_12, memory=72, caches=4 * 9 * 6, float64=600),
        measured=_measured("local_affine", "12 MP", "fit_radius_1"),
    ),
    Estimate(
        "direct_sum_kernel<float, float>",
        "12 MP, radius 1, twelve planes",
        _per_pixel(MEGAPIXELS_12, memory=96, caches=4 * 9 * 12, float64=9 * 12),
        measured=_measured("local_affine", "12 MP", "smooth_box_radius_1"),
        note="with PyTorch's copies and divisions",
    ),
    Estimate(
        "apply_kernel<float>",
        "12 MP",
        _per_pixel(MEGAPIXELS_12, memory=72, caches=4 * 51, float32=102),
        measured=_measured("local_affine", "12 MP", "apply"),
    ),
    Estimate(
        "bilateral_kernel<float>",
        "700 px, radius 15, 13 planes",
        # Two groups of seven planes, each with the weights of 961 neighbours.
        _per_pixel(PIXELS_700, memory=4 * (2 * 3 + 26), caches=2 * 961 * 4 * 10, float32=2 * 961 * 30),
        measured=_measured("local_affine", "0.4 MP", "smooth_bilateral_radius_15"),
    ),
    Estimate(
        "inner_products_kernel<float>",
        "20 x 2 vectors of 0.98 million numbers",
        {"memory": 4 * 22 * 978_600, "caches": 4 * (20 + 2 * 5) * 978_600, "float32": 80 * 978_600},
        measured=_row("inner products, 700x466"),
    ),
    Estimate(
        "pool_kernel<float, 4>",
        "16 channels, 700 x 466",
        {"memory": 4 * 1.25 * 16 * 326_200, "float32": 0.75 * 16 * 326_200},
        measured=_row("max-pooling, 700x466"),
    ),
    Estimate(
        "pool_backward_kernel<float, 4>",
        "16 channels, 700 x 466",
        {"memory": 4 * 2.25 * 16 * 326_200, "float32": 16 * 326_200},
        measured=_row("gradient of max-pooling, 700x466"),
    ),
]
# Kernels of little work beside those above, or of radii and gradients that no transfer needs.
NOT_ESTIMATED = {
    "add_chunks_kernel": "adds the chunks of gram_kernel",
    "add_pieces_kernel": "adds the pieces of inner_products_kernel",
    "fit_gradient_kernel": "the gradient of a fit",
    "fit_models_kernel": "the gradient of a fit",
    "moments_kernel": "fits of large windows",
    "slide_kernel": "sums of large windows",
    "symmetrise_kernel": "before gram_gradient_kernel",
    "tile_starts_kernel": "before gram_gradient_kernel",
    "total_kernel": "adds the energies of blocks",
}


def estimate_table(sections: Results) -> list[str]:
    """Return the lines of a table of all estimates, with the times of a run's sections where it has them."""
    resources = json.loads(RESOURCES.read_text(encoding="utf-8"))
    lines = [
        "| kernel | work | MB | Gflop | registers | shared, KB | occupancy | at least | bound by | measured | times |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|---|")
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(sections, resources)]
    return lines


def _rows(sections: Results, resources: Mapping[str, Mapping[str, int]]) -> Iterator[list[str]]:
    waiting = 0.0  # milliseconds of kernels before this one that are measured together with it
    for estimate in ESTIMATES:
        use, least = resources[estimate.kernel], estimate.milliseconds()
        share = occupancy(use["registers"], use["shared"], estimate.threads)
        operations = sum(cost for name, cost in estimate.costs.items() if name not in ("memory", "caches"))
        ms = estimate.measured(sections)
        together = waiting + least if "gram_kernel" in estimate.note else least
        cells = [f"`{estimate.kernel}`", estimate.work, short(estimate.costs["memory"] / 1e6), short(operations / 1e9)]
        cells += [str(use["registers"]), f"{use['shared'] / 1024:.3g}", f"{100 * share:.0f} %"]
        cells += [f"{short(least)} ms", estimate.bound()]
        cells.append("" if ms is None else f"{short(ms)} ms{' ' * bool(estimate.note)}{estimate.note}")
        yield [*cells, short(ratio(ms, together))]
        waiting = least
