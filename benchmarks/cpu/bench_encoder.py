"""Benchmarks of the encoders and of whole evaluations on the CPU.

    pytest benchmarks/cpu/bench_encoder.py --benchmark-columns=min,median,rounds

A pass goes forwards and backwards. An evaluation is the total loss of a photo pair and its gradient, which is what one
step of the solver needs. Encoders that are not part of the package have random weights, which cost the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest

from benchmarks.network_workloads import encoder_pass, evaluation
from benchmarks.transfers import demo_photos, encoder_weights
from benchmarks.workloads import Workload
from fastphoto.optimisation.presets import preset_settings

LAYERS = preset_settings("fast").style_layers
full = pytest.mark.full


def passes() -> Iterator[object]:
    for name, size, marks in (
        ("vgg19", (384, 512), ()),
        ("vgg19", (233, 350), full),
        ("vgg19", (466, 700), full),
        ("vgg19-16x", (466, 700), full),
        ("embedded", (466, 700), ()),
        ("embedded", (233, 350), full),
    ):
        yield pytest.param(name, size, marks=marks, id=f"{name}-{size[1]}x{size[0]}")


@pytest.mark.parametrize("form", ["native", pytest.param("plain", marks=full)])
@pytest.mark.parametrize(("name", "size"), passes())
def test_encoder(timed, scaled, shape_of, benchmark, form, name, size):
    height, width = scaled(*size)
    weights = encoder_weights(shape_of(name), None)
    benchmark.group = f"{name}, value and gradient of the style layers, {width}x{height}"
    timed(encoder_pass(weights, LAYERS, height, width), form, small=encoder_pass(weights, LAYERS, 35, 50))


@lru_cache(2)
def demo_evaluation(name: str, long_side: int) -> Workload:
    return evaluation(demo_photos(long_side), encoder_weights(name, None))


EVALUATIONS = [("embedded", 700), ("embedded", 350), pytest.param("vgg19", 512, marks=full)]


@pytest.mark.parametrize("form", ["B1", "native", "B0"])
@pytest.mark.parametrize(("name", "long_side"), EVALUATIONS)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_evaluation(timed, scaled, benchmark, form, name, long_side):
    benchmark.group = f"{name}, one evaluation, {long_side} px"
    side = max(scaled(0, long_side))
    timed(demo_evaluation(name, side), form, small=demo_evaluation(name, 96))
