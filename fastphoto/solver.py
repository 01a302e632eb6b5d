"""Solvers: L-BFGS and Adam over one image, on its device from start to end, safe against non-finite values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from .errors import FastPhotoError

MAXIMUM_RESTARTS = 3
_CHECK_EVERY = 10  # steps between two looks at the restart counter, each of which waits for the device

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor, Mapping[str, Tensor]]]


class Rule(Protocol):
    """How a solver turns gradients into steps; its state is forgotten after a restart."""

    def step(self, gradient: Tensor, finite: Tensor, index: int, shrink: Tensor) -> Tensor:
        """The change of x, flat, times `shrink`; `finite` is whether the gradient can be used."""
        ...


class LBFGS:
    """Limited-memory BFGS without line search; step length 1 after the first step.

    history: pairs kept. first_change: RMS change of x in the first step, or None for the published rule, the
    gradient times min(1, 1 / |g|_1). maximum_change: no element of x changes by more in one step (a longer step
    is scaled down as a whole). Nothing is read back from the device: a pair with too little curvature gets weight 0.
    """

    def __init__(self, history: int, first_change: float | None, maximum_change: float) -> None:
        self.history, self.first_change, self.maximum_change = history, first_change, maximum_change
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # (change of x, change of gradient, 1 / their product)
        self.diagonal: Tensor | None = None
        self.previous: Tensor | None = None
        self.change: Tensor | None = None

    def step(self, gradient: Tensor, finite: Tensor, index: int, shrink: Tensor) -> Tensor:
        # An unusable gradient becomes 0, and with it the change, which the caller does not make either.
        gradient = torch.where(finite, gradient.flatten(), torch.zeros_like(gradient.flatten()))
        if self.previous is None or self.change is None:
            self.diagonal = self._first_length(gradient)
        else:
            self._remember(self.change, gradient - self.previous, finite)
        direction = self._direction(gradient) * shrink
        longest = direction.abs().max()
        if math.isfinite(self.maximum_change):
            direction = direction * (self.maximum_change / longest.clamp_min(1e-30)).clamp(max=1)
        # Past a minimum in float32 the direction can point uphill; standing still then keeps the history sane.
        direction = torch.where((direction * gradient).sum() < 0, direction, torch.zeros_like(direction))
        self.previous, self.change = gradient, direction
        return direction

    def _first_length(self, gradient: Tensor) -> Tensor:
        if self.first_change is None:
            return (1 / gradient.abs().sum().clamp_min(1e-30)).clamp(max=1)
        return self.first_change * math.sqrt(gradient.numel()) / gradient.norm().clamp_min(1e-30)

    def _remember(self, change: Tensor, difference: Tensor, finite: Tensor) -> None:
        product = torch.dot(change, difference)
        use = (product > 1e-10) & finite
        inverse = torch.where(use, 1 / product.clamp_min(1e-30), torch.zeros_like(product))
        # After a non-finite value every earlier pair is worthless: its weight becomes 0 too.
        self.pairs = [(s, y, w * finite) for s, y, w in self.pairs]
        self.pairs.append((change, difference, inverse))
        del self.pairs[: -self.history]
        length = product / torch.dot(difference, difference).clamp_min(1e-30)
        self.diagonal = torch.where(use, length, self.diagonal)

    def _direction(self, gradient: Tensor) -> Tensor:
        direction = -gradient
        factors = []
        for s, y, inverse in reversed(self.pairs):
            factor = torch.dot(s, direction) * inverse
            direction = direction - factor * y
            factors.append(factor)
        direction = direction * self.diagonal
        for (s, y, inverse), factor in zip(self.pairs, reversed(factors), strict=True):
            direction = direction + s * (factor - torch.dot(y, direction) * inverse)
        return direction


class Adam:
    """Adam with moments 0.9 and 0.99 and a cosine decay of the learning rate to a tenth over `steps`."""

    def __init__(self, learning_rate: float, steps: int) -> None:
        self.learning_rate, self.steps = learning_rate, steps
        self.mean: Tensor | None = None
        self.variance: Tensor | None = None
        self.count: Tensor  # of gradients since the start or the last restart

    def step(self, gradient: Tensor, finite: Tensor, index: int, shrink: Tensor) -> Tensor:
        gradient = torch.where(finite, gradient.flatten(), torch.zeros_like(gradient.flatten()))
        if self.mean is None or self.variance is None:
            self.mean, self.variance = torch.zeros_like(gradient), torch.zeros_like(gradient)
            self.count = torch.zeros((), dtype=gradient.dtype, device=gradient.device)
        self.mean = self.mean.lerp(gradient, 0.1) * finite
        self.variance = self.variance.lerp(gradient.square(), 0.01) * finite
        self.count = (self.count + 1) * finite
        rate = self.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * index / max(1, self.steps))))
        # The smallest divisors are those of the first step; after a restart there is nothing to divide.
        mean = self.mean / (1 - 0.9**self.count).clamp_min(0.05)
        variance = self.variance / (1 - 0.99**self.count).clamp_min(0.005)
        return -rate * shrink * mean / (variance.sqrt() + 1e-8)


def minimise(
    evaluate: Evaluate,
    x: Tensor,
    steps: int,
    rule: Rule,
    report: Callable[[int, Tensor, Mapping[str, Tensor]], bool] | None = None,
) -> Tensor:
    """The x of the lowest value that `steps` gradient evaluations find, starting from x.

    evaluate(x) returns value, gradient and the value's parts. report(step, best x so far, parts) is called after
    each evaluation; returning True ends the run early. A non-finite value or gradient sends the solver back to the
    best x with its memory cleared and steps half as long, at most three times.

    Raises FastPhotoError where values stay non-finite.
    """
    best = x
    lowest = torch.full((), math.inf, device=x.device, dtype=x.dtype)
    restarts = torch.zeros((), device=x.device)
    for index in range(steps):
        value, gradient, parts = evaluate(x)
        # A sum of finite numbers can overflow; the largest magnitude can not.
        finite = torch.isfinite(value) & torch.isfinite(gradient.abs().max())
        better = finite & (value < lowest)
        best, lowest = torch.where(better, x, best), torch.where(better, value, lowest)
        restarts = restarts + ~finite
        if report is not None and report(index + 1, best, parts):
            break
        last = index == steps - 1
        if (last or index % _CHECK_EVERY == 0) and (failed := int(restarts)):
            if not math.isfinite(float(lowest)):
                raise FastPhotoError("the loss is not finite at the start image; check the input and the weights")
            if failed > MAXIMUM_RESTARTS:
                raise FastPhotoError(
                    f"the loss stayed non-finite after {MAXIMUM_RESTARTS} restarts; use lower weights or another solver"
                )
        if last:
            break
        change = rule.step(gradient, finite, index, 0.5**restarts)
        x = torch.where(finite, x + change.view_as(x), best)
    return best
