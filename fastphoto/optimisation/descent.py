"""The minimisation of a function by an update rule: stays on the device, and recovers from non-finite values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fastphoto.errors import FastPhotoError
from fastphoto.optimisation.cuda_graph import capture_graph
from fastphoto.optimisation.solvers import Rule

MAXIMUM_RESTARTS = 3
_CHECK_EVERY = 10  # steps between two checks of the restart counter; reading it waits for the device
_STEPS_BEFORE_CAPTURE = 3  # by then every buffer has its address, and every library has chosen its kernels
_LARGEST_CAPTURED = 3 * 4_000_000  # unknowns; a graph reserves all memory that its work uses

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor, Mapping[str, Tensor]]]
"""x -> (value, gradient, parts of the value by name)"""
Report = Callable[[int, Tensor, Mapping[str, Tensor]], bool]
"""(step, best x so far, parts of the value by name) -> whether to stop"""


def minimise(evaluate: Evaluate, x: Tensor, steps: int, rule: Rule, report: Report | None = None) -> Tensor:
    """Return the x of the lowest value found in `steps` gradient evaluations, starting from x.

    After a non-finite value or gradient, the solver goes back to the best x, forgets its history and halves its steps,
    at most three times. On a GPU, steps on small images are replayed from a CUDA graph, because launching their kernels
    takes longer than running them. `evaluate` must then launch the same kernels at each call and read nothing back.

    Args:
        evaluate: the function; it must not hold on to x, which later steps overwrite.
        x: tensor to start from.
        steps: number of evaluations.
        rule: update rule.
        report: called after each evaluation; returning True ends the run.

    Raises:
        FastPhotoError: values stay non-finite.
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
        if index == steps - 1 or index % _CHECK_EVERY == 0:
            descent.check()
    return descent.best


class Descent:
    """A minimisation in progress: the current x, the best one so far, and the step to the next.

    All state stays at its address in memory and nothing is read back from the device, so that `advance` can be captured
    in a CUDA graph.
    """

    def __init__(self, evaluate: Evaluate, x: Tensor, rule: Rule) -> None:
        self._evaluate, self.rule = evaluate, rule
        self.x, self.best, self.gradient = x.clone(), x.clone(), torch.zeros_like(x)
        self.lowest = torch.full((), math.inf, device=x.device, dtype=x.dtype)
        self.finite = torch.ones((), dtype=torch.bool, device=x.device)
        self.restarts = torch.zeros((), dtype=torch.float32, device=x.device)
        self.parts: dict[str, Tensor] = {}
        self.evaluate()

    def evaluate(self) -> None:
        """Evaluate the current x, and keep it if it is the best."""
        value, gradient, parts = self._evaluate(self.x)
        # A sum of finite numbers can overflow; the largest magnitude cannot.
        self.finite.copy_(torch.isfinite(value) & torch.isfinite(gradient.abs().max()))
        better = self.finite & (value < self.lowest)
        self.best.copy_(torch.where(better, self.x, self.best))
        self.lowest.copy_(torch.where(better, value, self.lowest))
        self.restarts.add_(~self.finite)
        self.gradient.copy_(gradient)
        for name, part in parts.items():
            self.parts[name] = self.parts[name].copy_(part) if name in self.parts else part.clone()

    def advance(self) -> None:
        """Take a step, or go back to the best x after a non-finite value; then evaluate."""
        change = self.rule.step(self.gradient, self.finite, 0.5**self.restarts)
        self.x.copy_(torch.where(self.finite, self.x + change.view_as(self.x), self.best))
        self.evaluate()

    def check(self) -> None:
        """Raise FastPhotoError if no value was finite or too many were not; waits for the device."""
        restarts = int(self.restarts)
        if restarts and not math.isfinite(float(self.lowest)):
            raise FastPhotoError("the loss is not finite at the start image; check the input and the weights")
        if restarts > MAXIMUM_RESTARTS:
            raise FastPhotoError(
                f"the loss stayed non-finite after {MAXIMUM_RESTARTS} restarts; use lower weights or another solver"
            )
