"""The workloads: every contender is right, a wrong output is noticed, and costs are right."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks import network_workloads, recolouring_workloads, workloads
from benchmarks.baselines.network import random_weights
from benchmarks.cpu import roofline
from benchmarks.workloads import Workload

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

SHAPES = workloads.style_layers(20, 30, (3, 4, 5, 6, 7))
WORKLOADS = {
    "laplacian": lambda: workloads.matting_laplacian(20, 24),
    "stencil-build": lambda: workloads.stencil_build(20, 24),
    "gram": lambda: workloads.masked_gram(SHAPES, workloads.smooth_partition(3, SHAPES)),
    "gram-planar": lambda: workloads.masked_gram(SHAPES[:1], [workloads.partition(3, 20, 30)], "planar"),
    "encoder": lambda: network_workloads.encoder_pass(random_weights("vgg19-16x"), ("relu1_1", "relu3_1"), 33, 30),
    "convolution": lambda: network_workloads.convolution(17, (9, 13, 22)),
    "srgb-to-lab": lambda: recolouring_workloads.colour_conversion("srgb_to_lab", 20, 24),
    "lab-to-srgb": lambda: recolouring_workloads.colour_conversion("lab_to_srgb", 20, 24),
    "sorted-distance": lambda: recolouring_workloads.sorted_distance(3, 2, 50),
    "region-moments": lambda: recolouring_workloads.region_moments(5, 3, 20, 24),
    **{name: lambda name=name: workloads.local_affine(20, 24)[name] for name in workloads.local_affine(2, 2)},
}


def check_contenders(workload: Workload) -> None:
    """Every contender is right, and an output that is wrong by 2 % is more than the tolerance."""
    installed = importlib.util.find_spec("pymatting") is not None
    names = [name for name in workload.contenders if installed or not name.startswith("pymatting")]
    for name in names:
        contender = workload.contenders[name]
        outputs = contender.prepare()()
        assert workload.error(outputs) <= workload.tolerance, f"{name} is wrong"
        for wrong in range(len(outputs)):
            changed = [1.02 * output if n == wrong else output for n, output in enumerate(outputs)]
            assert workload.error(changed) > workload.tolerance, f"a wrong output {wrong} of {name} is not noticed"
        assert contender.bytes > 0 and contender.flops > 0, f"{name} costs nothing"


@pytest.mark.parametrize("make", WORKLOADS.values(), ids=WORKLOADS)
def test_every_contender_is_right_and_a_wrong_one_is_noticed(make):
    check_contenders(make())


def test_every_objective_is_right_and_a_wrong_one_is_noticed(small_pair):
    check_contenders(network_workloads.evaluation(small_pair, random_weights("vgg19-16x")))


def test_roofline_is_the_slower_one_of_memory_and_arithmetic(monkeypatch):
    monkeypatch.setattr(roofline, "peak_rates", lambda small: {"bytes/s": 10.0, "flop/s": 100.0})
    assert roofline.least_time(20, 100) == 2
    assert roofline.least_time(20, 300) == 3


def test_vgg19_takes_as_many_operations_as_the_report_says():
    _, flops = network_workloads.pass_cost(random_weights("vgg19"), ("relu1_1", "relu5_1"), 384, 512)
    assert flops / (384 * 512) == pytest.approx(1.445e6, rel=1e-3)
