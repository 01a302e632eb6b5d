"""The baselines: they have the losses of fastphoto, and their solvers lower them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks.baselines.engineered import Engineered, coarse_to_fine
from benchmarks.baselines.published import Published
from benchmarks.transfers import NINE, native_objective
from benchmarks.workloads import relative_error

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

BASELINES = {
    "published": Published,
    "published-nine-regions": lambda problem: Published(problem.with_regions(NINE)),
    "engineered": Engineered,
}


def some_image(problem) -> Tensor:
    """Neither content nor start, and partly out of gamut."""
    noise = torch.randn(problem.start.shape, generator=torch.Generator().manual_seed(0))
    return (problem.content + problem.start) / 2 + 0.1 * noise


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
@pytest.mark.parametrize(
    ("normalisation", "published_scale"),
    [("relative", True), ("published", True), ("published", False)],
    ids=["relative", "published", "published-other-scale"],
)
def test_baseline_has_the_losses_of_a_transfer(make_problem, baseline, normalisation, published_scale):
    problem = make_problem(normalisation, published_scale)
    x = some_image(problem)
    total, gradient, parts = native_objective(problem).value_and_gradient(x)
    assert {"content", "style", "photorealism"} < set(parts)
    other = baseline(problem)
    other_parts = {name: float(part) for name, part in other.parts(x).items()}
    assert other_parts == pytest.approx({name: float(part) for name, part in parts.items()}, rel=1e-4)
    value, slope = other.value_and_gradient(x)
    assert float(value) == pytest.approx(float(total), rel=1e-4)
    assert relative_error(slope, gradient) < 1e-4


def test_engineered_leaves_out_regions_without_a_pixel(make_problem):
    problem = make_problem("relative")
    x, engineered = some_image(problem), Engineered(problem)
    total = native_objective(problem).value_and_gradient(x)[0]
    assert engineered.value(x) == pytest.approx(float(total), rel=1e-4)
    assert len(engineered.losses.style["relu1_1"].masks) == 3
    assert len(engineered.losses.style["relu5_1"].masks) == 2, "the third region is in a layer where it has no pixel"


def test_baselines_agree_where_deep_layers_have_no_region(make_problem):
    problem = make_problem("relative")
    tiny = replace(problem, content_masks=problem.content_masks[2:], style_masks=problem.style_masks[2:])
    x = some_image(problem)
    value, gradient = Engineered(tiny).value_and_gradient(x)
    published_value, published_gradient = Published(tiny).value_and_gradient(x)
    assert float(value) == pytest.approx(float(published_value), rel=1e-4)
    assert relative_error(gradient, published_gradient) < 1e-4


def test_adam_lowers_the_loss(make_problem):
    problem = make_problem("relative")
    engineered = Engineered(problem)
    assert engineered.value(engineered.run(8)) < 0.9 * engineered.value(problem.content)


def test_lbfgs_with_line_search_lowers_the_loss(make_problem):
    problem = make_problem("relative")
    engineered = Engineered(problem)
    assert engineered.value(engineered.run_lbfgs(8)) < 0.99 * engineered.value(problem.content)


def test_coarse_to_fine_lowers_the_loss(make_problem):
    problem = make_problem("relative")
    judge = Engineered(problem)
    assert judge.value(coarse_to_fine(problem, (0.5, 1.0), (6, 6), 0.001)) < 0.9 * judge.value(problem.start)


def test_published_solver_lowers_the_loss(make_problem):
    problem = make_problem("published")
    judge = Engineered(problem)
    assert judge.value(Published(problem).descend(problem.content, 8)) < 0.99 * judge.value(problem.content)
