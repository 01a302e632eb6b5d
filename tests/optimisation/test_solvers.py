"""The solvers: they converge, keep the best image, survive non-finite values, and can be stopped."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from fastphoto.errors import FastPhotoError
from fastphoto.optimisation.descent import MAXIMUM_RESTARTS, minimise
from fastphoto.optimisation.settings import Settings, Solver
from fastphoto.optimisation.solvers import LBFGS, Adam, GradientDescent, make_rule


def lbfgs(history: int = 10, first: float | None = 0.03, longest: float = math.inf) -> LBFGS:
    return LBFGS(history, first, longest)


RULES = {
    "lbfgs": lbfgs,
    "published": lambda: lbfgs(100, None),
    "adam": lambda: Adam(0.05, 400),
    "gradient": lambda: GradientDescent(0.19, math.inf),  # just below where the stiffest direction diverges
}


def evaluating(function):
    """value, gradient and parts of function(x)."""

    def evaluate(x: Tensor):
        x = x.detach().requires_grad_()
        value = function(x)
        (gradient,) = torch.autograd.grad(value, x)
        return value.detach(), gradient, {"value": value.detach()}

    return evaluate


def quadratic(x: Tensor) -> Tensor:
    """Curvatures from 0.1 to 10, the minimum at 0.3."""
    curvature = torch.logspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    return (curvature * (x - 0.3).square()).sum()


def rosenbrock(x: Tensor) -> Tensor:
    return 100 * (x[1] - x[0].square()).square() + (1 - x[0]).square()


def start(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_every_rule_finds_the_minimum_of_a_quadratic(rule, dtype):
    x = minimise(evaluating(quadratic), start(dtype), 400, RULES[rule]())
    assert x.dtype == dtype and x.shape == (3, 4, 5)
    assert (x - 0.3).abs().max() < (1e-3 if dtype == torch.float32 or rule in ("adam", "gradient") else 1e-6)


def test_lbfgs_learns_curvature():
    """Far fewer steps than the 500 or so that gradient descent takes with curvatures 100 apart."""
    x = minimise(evaluating(quadratic), start(), 60, lbfgs(history=20))
    assert (x - 0.3).abs().max() < 1e-5


@pytest.mark.parametrize("rule", [lbfgs(longest=0.1), lbfgs(100, None, 0.1), Adam(0.05, 3000)], ids=str)
def test_lbfgs_and_adam_find_the_minimum_of_rosenbrocks_function(rule):
    begin = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    x = minimise(evaluating(rosenbrock), begin, 3000 if isinstance(rule, Adam) else 300, rule)
    assert rosenbrock(x) < (1e-3 if isinstance(rule, Adam) else 1e-10)


def visited_by(rule, steps: int) -> list[Tensor]:
    """The images that a rule evaluates on the way to the quadratic's minimum."""
    visited: list[Tensor] = []

    def evaluate(x: Tensor):
        visited.append(x.clone())
        return evaluating(quadratic)(x)

    minimise(evaluate, start(), steps, rule)
    return visited


def test_the_first_change_of_lbfgs_has_the_given_size():
    first, second = visited_by(lbfgs(first=0.03), 2)
    assert float((second - first).square().mean().sqrt()) == pytest.approx(0.03)


def test_no_change_of_lbfgs_is_larger_than_the_maximum():
    visited = visited_by(lbfgs(first=0.03, longest=0.02), 30)
    changes = [float((b - a).abs().max()) for a, b in zip(visited, visited[1:], strict=False)]
    assert max(changes) == pytest.approx(0.02)
    # As a whole: a step that is too long is shorter and not bent.
    _, gradient, _ = evaluating(quadratic)(visited[0])
    along = torch.nn.functional.cosine_similarity((visited[0] - visited[1]).flatten(), gradient.flatten(), dim=0)
    assert float(along) == pytest.approx(1)


def test_gradient_descent_takes_a_fixed_multiple_of_the_gradient():
    gradients = [random_like(start(), seed) * size for seed, size in ((1, 3.0), (2, 0.5), (3, 40.0))]
    rule = GradientDescent(0.02, math.inf)
    changes = [minimise_change(rule, gradient) for gradient in gradients]
    assert float(changes[0].square().mean().sqrt()) == pytest.approx(0.02)
    rate = 0.02 / float(gradients[0].square().mean().sqrt())
    for gradient, change in zip(gradients, changes, strict=True):
        torch.testing.assert_close(change, -rate * gradient.flatten())
    half = rule.step(gradients[1], torch.tensor(True), torch.tensor(0.5))
    torch.testing.assert_close(half, changes[1] / 2)


def test_no_change_of_gradient_descent_is_larger_than_the_maximum():
    """A step that is too long is shorter as a whole; one that is not stays."""
    rule = GradientDescent(0.02, 0.05)
    first, long, short = (random_like(start(), 1) * size for size in (1.0, 300.0, 0.1))
    free = GradientDescent(0.02, math.inf)
    for gradient in (first, long, short):
        change, unbounded = minimise_change(rule, gradient), minimise_change(free, gradient)
        longest = float(unbounded.abs().max())
        assert float(change.abs().max()) == pytest.approx(min(longest, 0.05))
        torch.testing.assert_close(change, unbounded * min(1, 0.05 / longest))


def random_like(x: Tensor, seed: int) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(x)


def test_best_image_is_returned_and_not_the_last():
    """Steps of a fixed length jump back and forth over the minimum."""
    values: dict[float, Tensor] = {}

    def evaluate(x: Tensor):
        value, gradient, parts = evaluating(quadratic)(x)
        values[float(value)] = x.clone()
        return value, gradient, parts

    class Jump:
        steps = 0

        def step(self, gradient, finite, shrink):
            self.steps += 1
            return -0.3 * gradient.flatten().sign() * (1 if self.steps <= 3 else 4)

    best = minimise(evaluate, start(), 12, Jump())
    assert torch.equal(best, values[min(values)])
    assert list(values)[-1] > min(values)


@pytest.mark.parametrize("rule", RULES)
def test_the_start_image_and_reported_images_stay_as_they_were(rule):
    begin, reported = start(), []

    def report(step: int, best: Tensor, parts) -> bool:
        reported.append((best, best.clone()))
        return False

    result = minimise(evaluating(quadratic), begin, 15, RULES[rule](), report)
    assert torch.equal(begin, start()), "the start image was changed"
    assert not torch.equal(result, begin)
    assert all(torch.equal(best, before) for best, before in reported), "a reported image was changed later"


def test_runs_are_independent():
    assert torch.equal(
        minimise(evaluating(quadratic), start(), 20, lbfgs()),
        minimise(evaluating(quadratic), start(), 20, lbfgs()),
    )


@pytest.mark.parametrize("rule", RULES)
def test_no_step_and_one_step(rule):
    calls = []

    def evaluate(x: Tensor):
        calls.append(x)
        return evaluating(quadratic)(x)

    assert torch.equal(minimise(evaluate, start(), 0, RULES[rule]()), start()) and not calls
    assert torch.equal(minimise(evaluate, start(), 1, RULES[rule]()), start()) and len(calls) == 1


@pytest.mark.parametrize("rule", RULES)
def test_a_start_at_the_minimum_stays_there(rule):
    """Nothing is divided by the gradient, which is zero."""
    x = minimise(evaluating(quadratic), torch.full((3, 4, 5), 0.3), 12, RULES[rule]())
    assert torch.equal(x, torch.full((3, 4, 5), 0.3))


# ---- reports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_reports_tell_of_every_evaluation_and_can_stop(rule):
    reports: list[tuple[int, Tensor]] = []

    def report(step: int, best: Tensor, parts) -> bool:
        assert set(parts) == {"value"}
        reports.append((step, best))
        return step == 7

    evaluations = []

    def evaluate(x: Tensor):
        evaluations.append(x)
        return evaluating(quadratic)(x)

    result = minimise(evaluate, start(), 50, RULES[rule](), report)
    assert [step for step, _ in reports] == list(range(1, 8)) and len(evaluations) == 7
    assert torch.equal(result, reports[-1][1])
    falling = [float(quadratic(best)) for _, best in reports]
    assert falling == sorted(falling, reverse=True) and falling[-1] < falling[0]


# ---- non-finite values -------------------------------------------------------------------------------------


def breaking(steps: set[int], kind: str, bad: float):
    """The quadratic, whose value or gradient is not finite at these evaluations (from 0)."""
    count = -1

    def evaluate(x: Tensor):
        nonlocal count
        count += 1
        assert torch.isfinite(x).all(), "an image that is not finite is evaluated"
        value, gradient, parts = evaluating(quadratic)(x)
        if count in steps:
            if kind == "value":
                value = torch.full_like(value, bad)
            elif kind == "one element":
                gradient = gradient.clone()
                gradient[0, 0, 0] = bad
            else:
                gradient = torch.full_like(gradient, bad)
        return value, gradient, parts

    return evaluate


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["value", "one element", "gradient"])
@pytest.mark.parametrize("step", [1, 5])
def test_solver_goes_on_after_a_non_finite_evaluation(rule, bad, kind, step):
    before = minimise(evaluating(quadratic), start(), step, RULES[rule]())
    result = minimise(breaking({step}, kind, bad), start(), 120, RULES[rule]())
    assert torch.isfinite(result).all()
    assert quadratic(result) < 0.01 * quadratic(before), "the solver stood still afterwards"


def restarted(rule: str) -> tuple[list[Tensor], list[Tensor]]:
    """The evaluated and the best images of seven steps, of which the fifth is infinite, so that a restart follows."""
    visited: list[Tensor] = []
    inner = breaking({4}, "value", math.inf)

    def evaluate(x: Tensor):
        visited.append(x.clone())
        return inner(x)

    best: list[Tensor] = []
    minimise(evaluate, start(), 7, RULES[rule](), lambda step, x, parts: best.append(x))
    return visited, best


def gradient_at(x: Tensor) -> Tensor:
    return evaluating(quadratic)(x)[1]


@pytest.mark.parametrize("rule", RULES)
def test_a_restart_is_from_the_best_image(rule):
    visited, best = restarted(rule)
    assert torch.equal(visited[5], best[4]) and torch.equal(best[4], best[3])
    assert not torch.equal(visited[6], visited[5])


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "adam"])
def test_a_restart_is_along_the_gradient(rule):
    """What the rule remembered would turn the step."""
    visited, _ = restarted(rule)
    change, gradient = visited[6] - visited[5], gradient_at(visited[5])
    along = torch.nn.functional.cosine_similarity(-change.flatten(), gradient.flatten(), dim=0)
    assert float(along) == pytest.approx(1)


def test_a_restart_of_adam_is_half_a_first_step_along_the_signs_of_the_gradient():
    visited, _ = restarted("adam")
    change, gradient = visited[6] - visited[5], gradient_at(visited[5])
    first = minimise_change(RULES["adam"](), gradient)
    assert torch.equal(change.sign(), -gradient.sign())
    assert float(change.abs().max()) < 0.52 * float(first.abs().max())


def test_a_restart_of_gradient_descent_has_half_the_rate():
    visited, _ = restarted("gradient")
    before, after = (
        float((visited[n + 1] - visited[n]).norm()) / float(gradient_at(visited[n]).norm()) for n in (0, 5)
    )
    assert after == pytest.approx(0.5 * before)


def minimise_change(rule, gradient: Tensor) -> Tensor:
    return rule.step(gradient, torch.tensor(True), torch.ones(()))


@pytest.mark.parametrize("rule", RULES)
def test_restarts_are_limited(rule):
    few = set(range(5, 5 + MAXIMUM_RESTARTS))
    assert torch.isfinite(minimise(breaking(few, "value", math.nan), start(), 60, RULES[rule]())).all()
    for steps in (6 + MAXIMUM_RESTARTS, 60):
        with pytest.raises(FastPhotoError, match=f"non-finite after {MAXIMUM_RESTARTS} restarts"):
            minimise(breaking(set(range(5, 60)), "gradient", math.nan), start(), steps, RULES[rule]())


@pytest.mark.parametrize("kind", ["value", "gradient"])
@pytest.mark.parametrize("steps", [1, 2, 30])
def test_non_finite_start_is_an_error_at_once(kind, steps):
    calls = []
    inner = breaking(set(range(100)), kind, math.nan)

    def evaluate(x: Tensor):
        calls.append(x)
        return inner(x)

    with pytest.raises(FastPhotoError, match="not finite at the start image"):
        minimise(evaluate, start(), steps, lbfgs())
    assert len(calls) == 1


def test_every_solver_of_the_settings_has_a_rule_of_its_own():
    assert set(get_args(Solver)) <= set(RULES), "a solver is missing from the rules that are tested here"
    rules = [type(make_rule(Settings(solver=solver), 10, 1.0)) for solver in get_args(Solver)]
    assert len(set(rules)) == len(rules), "two solvers share a rule"


@pytest.mark.parametrize("solver", get_args(Solver))
def test_rules_scale_with_the_unit(solver):
    """A rule for pixel values up to 256 takes the same steps, 256 times as large."""
    gradient = 0.1 * start()
    steps = [
        make_rule(Settings(solver=solver), 10, unit).step(gradient, torch.tensor(True), torch.tensor(1.0))
        for unit in (1.0, 256.0)
    ]
    torch.testing.assert_close(steps[1], 256 * steps[0], rtol=1e-5, atol=0)
