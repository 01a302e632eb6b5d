"""Solvers over one image: L-BFGS, Adam, gradient descent; on its device all along, safe against non-finite values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from fastphoto.errors import FastPhotoError
from fastphoto.ops import inner_products
from fastphoto.optimisation.cuda_graph import capture_graph

MAXIMUM_RESTARTS = 3
_CHECK_EVERY = 10  # steps between two looks at the restart counter, each of which waits for the device
_STEPS_BEFORE_CAPTURE = 3  # by then every buffer is where it stays, and every library has chosen its kernels
_LARGEST_CAPTURED = 3 * 4_000_000  # numbers in an image; a graph keeps all memory of its work to itself

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor, Mapping[str, Tensor]]]


class Rule(Protocol):
    """How a solver turns gradients into steps; its state is forgotten after a restart.

    After the first two steps all state stays where it is in memory, so that a step can be captured in a CUDA graph.
    """

    def step(self, gradient: Tensor, finite: Tensor, shrink: Tensor) -> Tensor:
        """The change of x, flat, times `shrink`; `finite` is whether the gradient can be used."""
        ...


class LBFGS:
    """Limited-memory BFGS without line search; step length 1 after the first step.

    history: pairs kept. first_change: RMS change of x in the first step, or None for the published rule, the
    gradient times min(1, 1 / |g|_1). maximum_change: no element of x changes by more in one step (a longer step
    is scaled down as a whole). Nothing is read back from the device: a pair with too little curvature gets weight 0.

    The direction is that of the two-loop recursion, but taken from the inner products of the pairs kept (Byrd,
    Nocedal and Schnabel 1994): two passes over the history instead of four for each pair.
    """

    def __init__(self, history: int, first_change: float | None, maximum_change: float) -> None:
        self.history, self.first_change, self.maximum_change = history, first_change, maximum_change
        self.previous: Tensor | None = None  # the gradient before this one
        self.change: Tensor  # what the last step made of it
        self.diagonal: Tensor  # of the first approximation of the inverse Hessian

    def step(self, gradient: Tensor, finite: Tensor, shrink: Tensor) -> Tensor:
        # An unusable gradient becomes 0, and with it the change, which the caller does not make either.
        gradient = torch.where(finite, gradient.flatten(), 0)
        if self.previous is None:
            self._allocate(gradient)
            direction = gradient * -self.diagonal
        else:
            direction = self._direction(gradient, finite)
        direction = direction * shrink
        if math.isfinite(self.maximum_change):
            longest = direction.abs().max()
            direction = direction * (self.maximum_change / longest.clamp_min(1e-30)).clamp(max=1)
        # Past a minimum in float32 the direction can point uphill; standing still then keeps the history sane.
        direction = torch.where((direction * gradient).sum() < 0, direction, 0)
        self.previous.copy_(gradient)
        self.change.copy_(direction)
        return direction

    def _allocate(self, gradient: Tensor) -> None:
        count, size = self.history, gradient.numel()
        self.previous, self.change = torch.empty_like(gradient), torch.empty_like(gradient)
        self.diagonal = self._first_length(gradient).double()
        # Changes of x in the first `history` rows, the changes of the gradient that belong to them in the others.
        self.pairs = gradient.new_zeros((2 * count, size))
        self.products = gradient.new_zeros((2 * count, 2 * count), dtype=torch.float64)  # pairs times pairs
        self.usable = gradient.new_zeros(count, dtype=torch.float64)  # 1 for pairs that count
        self.place = torch.arange(count, device=gradient.device)
        self.oldest = torch.zeros((), dtype=torch.int64, device=gradient.device)  # whose row the next pair takes

    def _first_length(self, gradient: Tensor) -> Tensor:
        if self.first_change is None:
            return (1 / gradient.abs().sum().clamp_min(1e-30)).clamp(max=1)
        return self.first_change * math.sqrt(gradient.numel()) / gradient.norm().clamp_min(1e-30)

    def _direction(self, gradient: Tensor, finite: Tensor) -> Tensor:
        """Takes the last step's pair into the history and returns minus the inverse Hessian times the gradient."""
        count = self.history
        difference = gradient - self.previous
        rows = torch.stack((self.oldest, self.oldest + count))
        self.pairs.index_copy_(0, rows, torch.stack((self.change, difference)))
        found = inner_products(self.pairs, torch.stack((gradient, self.change, difference)))  # (2 history, 3)
        self.products.index_copy_(0, rows, found[:, 1:].t())
        self.products.index_copy_(1, rows, found[:, 1:])

        curvature = found[:count, 2].index_select(0, rows[:1])[0]
        use = (curvature > 1e-10) & finite
        # After a non-finite value every earlier pair is worthless: its weight becomes 0 too.
        self.usable.mul_(finite).index_copy_(0, rows[:1], use.double()[None])
        size = found[count:, 2].index_select(0, rows[:1])[0]
        self.diagonal.copy_(torch.where(use, curvature / size.clamp_min(1e-30), self.diagonal))
        self.oldest.copy_((self.oldest + 1) % count)

        order = (self.place + self.oldest) % count  # oldest pair first
        usable = self.usable[order]
        both = usable[:, None] * usable
        change_by_difference = self.products[:count, count:][order][:, order] * both
        difference_by_difference = self.products[count:, count:][order][:, order] * both
        # Row and column of a pair that does not count are those of the unit matrix.
        triangle = change_by_difference.triu() + torch.diag(1 - usable)
        along_change, along_difference = found[:count, 0][order] * usable, found[count:, 0][order] * usable
        inner = torch.linalg.solve_triangular(triangle, along_change[:, None], upper=True)[:, 0]
        right = change_by_difference.diagonal() * inner + self.diagonal * (
            difference_by_difference @ inner - along_difference
        )
        outer = torch.linalg.solve_triangular(triangle.t(), right[:, None], upper=False)[:, 0]
        factors = found.new_empty(2 * count)
        factors.index_copy_(0, order, -outer).index_copy_(0, order + count, self.diagonal * inner)
        return self.pairs.t() @ factors.to(gradient.dtype) - gradient * self.diagonal.to(gradient.dtype)


class Adam:
    """Adam with moments 0.9 and 0.99 and a cosine decay of the learning rate to a tenth over `steps`."""

    def __init__(self, learning_rate: float, steps: int) -> None:
        self.learning_rate, self.steps = learning_rate, steps
        self.mean: Tensor | None = None
        self.variance: Tensor
        self.count: Tensor  # of gradients since the start or the last restart
        self.taken: Tensor  # steps since the start

    def step(self, gradient: Tensor, finite: Tensor, shrink: Tensor) -> Tensor:
        gradient = torch.where(finite, gradient.flatten(), 0)
        if self.mean is None:
            self.mean, self.variance = torch.zeros_like(gradient), torch.zeros_like(gradient)
            self.count, self.taken = gradient.new_zeros(()), gradient.new_zeros(())
        self.mean.lerp_(gradient, 0.1).mul_(finite)
        self.variance.lerp_(gradient.square(), 0.01).mul_(finite)
        self.count.add_(1).mul_(finite)
        rate = self.learning_rate * (0.1 + 0.45 * (1 + torch.cos(self.taken * (math.pi / max(1, self.steps)))))
        self.taken.add_(1)
        # The smallest divisors are those of the first step; after a restart there is nothing to divide.
        mean = self.mean / (1 - 0.9**self.count).clamp_min(0.05)
        variance = self.variance / (1 - 0.99**self.count).clamp_min(0.005)
        return -rate * shrink * mean / (variance.sqrt() + 1e-8)


class GradientDescent:
    """Steepest descent: a fixed multiple of the gradient, chosen so that the first step has an RMS of `first_change`.

    maximum_change: no element of x changes by more in one step.
    """

    def __init__(self, first_change: float, maximum_change: float) -> None:
        self.first_change, self.maximum_change = first_change, maximum_change
        self.rate: Tensor | None = None

    def step(self, gradient: Tensor, finite: Tensor, shrink: Tensor) -> Tensor:
        gradient = torch.where(finite, gradient.flatten(), 0)
        if self.rate is None:
            self.rate = self.first_change * math.sqrt(gradient.numel()) / gradient.norm().clamp_min(1e-30)
        change = gradient * (-self.rate * shrink)
        longest = change.abs().max()
        return change * (self.maximum_change / longest.clamp_min(1e-30)).clamp(max=1)


class Descent:
    """A minimisation in progress: an image, the best one so far, and the steps that lead on from there.

    All of it stays in place in memory and nothing is read back from the device, so that `advance` can be captured in a
    CUDA graph.
    """

    def __init__(self, evaluate: Evaluate, x: Tensor, rule: Rule) -> None:
        self.evaluate, self.rule = evaluate, rule
        self.x, self.best, self.gradient = x.clone(), x.clone(), torch.zeros_like(x)
        self.lowest = torch.full((), math.inf, device=x.device, dtype=x.dtype)
        self.finite = torch.ones((), dtype=torch.bool, device=x.device)
        self.restarts = torch.zeros((), device=x.device)
        self.parts: dict[str, Tensor] = {}
        self.look()

    def look(self) -> None:
        """Evaluates the image, and keeps it if it is the best."""
        value, gradient, parts = self.evaluate(self.x)
        # A sum of finite numbers can overflow; the largest magnitude can not.
        self.finite.copy_(torch.isfinite(value) & torch.isfinite(gradient.abs().max()))
        better = self.finite & (value < self.lowest)
        self.best.copy_(torch.where(better, self.x, self.best))
        self.lowest.copy_(torch.where(better, value, self.lowest))
        self.restarts.add_(~self.finite)
        self.gradient.copy_(gradient)
        for name, part in parts.items():
            self.parts[name] = self.parts[name].copy_(part) if name in self.parts else part.clone()

    def advance(self) -> None:
        """Takes a step, or goes back to the best image after a value that is not finite, and evaluates the image."""
        change = self.rule.step(self.gradient, self.finite, 0.5**self.restarts)
        self.x.copy_(torch.where(self.finite, self.x + change.view_as(self.x), self.best))
        self.look()


def minimise(
    evaluate: Evaluate,
    x: Tensor,
    steps: int,
    rule: Rule,
    report: Callable[[int, Tensor, Mapping[str, Tensor]], bool] | None = None,
) -> Tensor:
    """The x of the lowest value that `steps` gradient evaluations find, starting from x.

    evaluate(x) returns value, gradient and the value's parts; it must not keep x, which later steps overwrite.
    report(step, best x so far, parts) is called after each evaluation; returning True ends the run early. A
    non-finite value or gradient sends the solver back to the best x with its memory cleared and steps half as long,
    at most three times. On a GPU, steps are replayed from a CUDA graph where the image is small enough for launching
    kernels to take longer than running them; `evaluate` must then do the same at every call and read nothing back.

    Raises FastPhotoError where values stay non-finite.
    """
    if steps == 0:
        return x
    descent = Descent(evaluate, x, rule)
    advance = descent.advance
    for index in range(steps):
        if index == _STEPS_BEFORE_CAPTURE and x.is_cuda and x.numel() <= _LARGEST_CAPTURED:
            advance = capture_graph(descent.advance)
        if index > 0:
            advance()
        if report is not None:
            parts = {name: part.clone() for name, part in descent.parts.items()}
            if report(index + 1, descent.best.clone(), parts):
                break
        if (index == steps - 1 or index % _CHECK_EVERY == 0) and (failed := int(descent.restarts)):
            if not math.isfinite(float(descent.lowest)):
                raise FastPhotoError("the loss is not finite at the start image; check the input and the weights")
            if failed > MAXIMUM_RESTARTS:
                raise FastPhotoError(
                    f"the loss stayed non-finite after {MAXIMUM_RESTARTS} restarts; use lower weights or another solver"
                )
    return descent.best
