"""The catalogue: every operator has a row, every contender is right, a wrong output is noticed, and costs are right."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from benchmarks import workloads
from benchmarks.baselines.network import random_weights
from benchmarks.catalogue import PEERLESS, ROWS, Row
from benchmarks.cpu import roofline
from benchmarks.network_workloads import pass_cost
from fastphoto import ops

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

NOT_OPERATORS = {
    "MattingLaplacian": "an object around the stencil's operators",
    "PixelLists": "what list_pixels returns",
    "build_info": "facts about the library",
}
# Rows that differ in nothing but their size are the same at the size of a test.
DIFFERENT = {row.make: name for name, row in reversed(ROWS.items())}
PLANAR = replace(
    ROWS["masked Gram, 350x233, 9 regions"],
    make=lambda *_: workloads.masked_gram([(3, 20, 30)], [workloads.partition(3, 20, 30)], "planar"),
)


def test_every_operator_has_a_row():
    timed = {operator for row in ROWS.values() for operator in row.ours.values()}
    missing = set(ops.__all__) - timed - set(NOT_OPERATORS)
    assert not missing, f"without a row in benchmarks/catalogue.py: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", DIFFERENT.values())
def test_every_contender_calls_the_operator_that_its_row_names(name, monkeypatch):
    called: list[str] = []

    def record(operator: str) -> None:
        original = getattr(ops, operator)
        monkeypatch.setattr(ops, operator, lambda *a, **k: (called.append(operator), original(*a, **k))[1])

    for operator in set(ROWS[name].ours.values()) - {""}:
        record(operator)
    work = ROWS[name].workload(dry_run=True)
    for contender, operator in ROWS[name].ours.items():
        if operator:
            called.clear()
            work.contenders[contender].prepare()()
            assert operator in called, f"{contender} does not call {operator}"


@pytest.mark.parametrize(
    "row", [*(ROWS[name] for name in DIFFERENT.values()), PLANAR], ids=[*DIFFERENT.values(), "planar"]
)
def test_every_contender_is_right_and_a_wrong_one_is_noticed(row: Row):
    workload = row.workload(dry_run=True)
    missing = () if importlib.util.find_spec("pymatting") else PEERLESS
    # The compiled contender runs the definition, which is a contender, too; compiling takes longer than all others.
    names = [name for name in workload.contenders if name not in missing and "compiled" not in name]
    assert set(row.ours) <= set(names)
    for name in names:
        contender = workload.contenders[name]
        outputs = contender.prepare()()
        assert workload.error(outputs) <= workload.tolerance, f"{name} is wrong"
        for wrong in range(len(outputs)):
            changed = [1.02 * output if n == wrong else output for n, output in enumerate(outputs)]
            assert workload.error(changed) > workload.tolerance, f"a wrong output {wrong} of {name} is not noticed"
        assert contender.bytes > 0 and contender.flops > 0, f"{name} costs nothing"


@pytest.mark.parametrize("name", ROWS)
def test_rows_name_contenders_that_exist(name):
    row = ROWS[name]
    names = set(row.workload(dry_run=True).contenders)
    assert set(row.ours) | set(row.short or ()) | set(row.leave_out) <= names


def test_roofline_is_the_slower_one_of_memory_and_arithmetic(monkeypatch):
    monkeypatch.setattr(roofline, "peak_rates", lambda small: {"bytes/s": 10.0, "flop/s": 100.0})
    assert roofline.least_time(20, 100) == 2
    assert roofline.least_time(20, 300) == 3


def test_vgg19_takes_as_many_operations_as_the_report_says():
    _, flops = pass_cost(random_weights("vgg19"), ("relu1_1", "relu5_1"), 384, 512)
    assert flops / (384 * 512) == pytest.approx(1.445e6, rel=1e-3)
