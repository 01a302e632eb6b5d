"""Update rules of the solvers: L-BFGS, Adam and steepest descent, without a value read back from the device."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from fastphoto.ops import inner_products
from fastphoto.optimisation.settings import Settings


class Rule(Protocol):
    """The update rule of a solver: turns gradients into steps, and forgets its state after a restart.

    After the first two steps all state stays at its address in memory, so that a step can be captured in a CUDA graph.
    """

    def step(self, gradient: Tensor, finite: Tensor, shrink: Tensor) -> Tensor:
        """Return the change of x, flat, times `shrink`; `finite` says whether the gradient can be used."""
        ...


class LBFGS:
    """Limited-memory BFGS without line search; step length 1 after the first step.

    The direction is that of the two-loop recursion, computed from the inner products of the pairs in the history (Byrd,
    Nocedal and Schnabel 1994): two passes over the history instead of four for each pair. A pair with too little
    curvature gets weight 0.

    Args:
        history: number of pairs (change of x, change of the gradient) in the history.
        first_change: RMS change of x in the first step; None: the published rule, the gradient times min(1, 1 / |g|_1).
        maximum_change: largest change of an element of x in one step; a longer step is scaled down as a whole.
    """

    def __init__(self, history: int, first_change: float | None, maximum_change: float) -> None:
        self.history, self.first_change, self.maximum_change = history, first_change, maximum_change
        self.started = False
        self.previous: Tensor  # gradient of the last step
        self.change: Tensor  # change of x in the last step
        self.diagonal: Tensor  # diagonal of the initial inverse Hessian

    def step(self, gradient: Tensor, finite: Tensor, shrink: Tensor) -> Tensor:
        # A gradient that is not finite becomes 0, and so does the change; the caller goes back to its best x instead.
        gradient = torch.where(finite, gradient.flatten(), 0)
        if not self.started:
            self._allocate(gradient)
            direction = gradient * -self.diagonal
        else:
            direction = self._direction(gradient, finite)
        direction = direction * shrink
        if math.isfinite(self.maximum_change):
            longest = direction.abs().max()
            direction = direction * (self.maximum_change / longest.clamp_min(1e-30)).clamp(max=1)
        # Rounding in float32 near a minimum can make the direction point uphill; a change of 0 keeps the history valid.
        direction = torch.where((direction * gradient).sum() < 0, direction, 0)
        self.previous.copy_(gradient)
        self.change.copy_(direction)
        return direction

    def _allocate(self, gradient: Tensor) -> None:
        self.started = True
        count, size = self.history, gradient.numel()
        self.previous, self.change = torch.empty_like(gradient), torch.empty_like(gradient)
        self.diagonal = self._first_length(gradient).double()
        # The first `history` rows are changes of x, the others the changes of the gradient in the same steps.
        self.pairs = gradient.new_zeros((2 * count, size))
        self.products = gradient.new_zeros((2 * count, 2 * count), dtype=torch.float64)  # pairs times pairs
        self.usable = gradient.new_zeros(count, dtype=torch.float64)  # 1 for pairs with enough curvature, else 0
        self.slots = torch.arange(count, device=gradient.device)
        self.oldest = torch.zeros((), dtype=torch.int64, device=gradient.device)  # the pair to replace next

    def _first_length(self, gradient: Tensor) -> Tensor:
        if self.first_change is None:
            return (1 / gradient.abs().sum().clamp_min(1e-30)).clamp(max=1)
        return self.first_change * math.sqrt(gradient.numel()) / gradient.norm().clamp_min(1e-30)

    def _direction(self, gradient: Tensor, finite: Tensor) -> Tensor:
        """Add the last step's pair to the history and return minus the inverse Hessian times the gradient."""
        count = self.history
        difference = gradient - self.previous
        rows = torch.stack((self.oldest, self.oldest + count))
        self.pairs.index_copy_(0, rows, torch.stack((self.change, difference)))
        dots = inner_products(self.pairs, torch.stack((gradient, self.change, difference)))  # (2 history, 3)
        self.products.index_copy_(0, rows, dots[:, 1:].t())
        self.products.index_copy_(1, rows, dots[:, 1:])

        curvature = dots[:count, 2].index_select(0, rows[:1])[0]
        use = (curvature > 1e-10) & finite  # the threshold of torch.optim.LBFGS
        # After a non-finite value the solver restarts: the weights of all earlier pairs become 0 too.
        self.usable.mul_(finite).index_copy_(0, rows[:1], use.double()[None])
        size = dots[count:, 2].index_select(0, rows[:1])[0]
        self.diagonal.copy_(torch.where(use, curvature / size.clamp_min(1e-30), self.diagonal))
        self.oldest.copy_((self.oldest + 1) % count)

        order = (self.slots + self.oldest) % count  # oldest pair first
        usable = self.usable[order]
        both = usable[:, None] * usable
        change_by_difference = self.products[:count, count:][order][:, order] * both
        difference_by_difference = self.products[count:, count:][order][:, order] * both
        # An unusable pair has the row and the column of the identity matrix.
        triangle = change_by_difference.triu() + torch.diag(1 - usable)
        along_change, along_difference = dots[:count, 0][order] * usable, dots[count:, 0][order] * usable
        inner = torch.linalg.solve_triangular(triangle, along_change[:, None], upper=True)[:, 0]
        right = change_by_difference.diagonal() * inner + self.diagonal * (
            difference_by_difference @ inner - along_difference
        )
        outer = torch.linalg.solve_triangular(triangle.t(), right[:, None], upper=False)[:, 0]
        factors = dots.new_empty(2 * count)
        factors.index_copy_(0, order, -outer).index_copy_(0, order + count, self.diagonal * inner)
        return self.pairs.t() @ factors.to(gradient.dtype) - gradient * self.diagonal.to(gradient.dtype)


class Adam:
    """Adam with beta_1 = 0.9 and beta_2 = 0.99, and a cosine decay of the learning rate to a tenth over `steps`."""

    def __init__(self, learning_rate: float, steps: int) -> None:
        self.learning_rate, self.steps = learning_rate, steps
        self.mean: Tensor | None = None
        self.variance: Tensor
        self.count: Tensor  # gradients since the start or the last restart
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
        # The divisors are at least 0.1 and 0.01, but 0 right after a restart, when the moments are 0 too.
        mean = self.mean / (1 - 0.9**self.count).clamp_min(0.05)
        variance = self.variance / (1 - 0.99**self.count).clamp_min(0.005)
        return -rate * shrink * mean / (variance.sqrt() + 1e-8)


class GradientDescent:
    """Steepest descent: a fixed multiple of the gradient.

    Args:
        first_change: RMS change of x in the first step, which fixes the multiple.
        maximum_change: largest change of an element of x in one step.
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


def make_rule(settings: Settings, steps: int, unit: float) -> Rule:
    """Return the update rule of a level's solver.

    Args:
        settings: solver and its settings; rates and bounds are multiples of `unit`.
        steps: steps of the level, over which Adam lowers its learning rate.
        unit: value of an unknown that stands for a pixel value of 1, see `Objective.unit`.
    """
    if settings.solver == "adam":
        return Adam(settings.learning_rate * unit, steps)
    if settings.solver == "gradient":
        return GradientDescent(settings.learning_rate * unit, settings.maximum_change * unit)
    if settings.solver == "lbfgs":
        first_change = None if settings.first_change is None else settings.first_change * unit
        return LBFGS(settings.history, first_change, settings.maximum_change * unit)
    raise AssertionError(f"no rule for solver {settings.solver!r}")
