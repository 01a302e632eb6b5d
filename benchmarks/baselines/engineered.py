"""B1 and B2: the method as a good engineer would write it in PyTorch today, at one scale and from coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.network import PlainVgg
from benchmarks.baselines.operators import GatheredGram, QuadraticForm, gather_lists
from benchmarks.baselines.problem import Losses, Problem
from benchmarks.baselines.published import lbfgs
from benchmarks.torch_modes import captured, convolution_precision, product_precision


class Engineered:
    """B1: present regions only, gathered; one sparse product; channels-last, TF32 or bfloat16; Adam in a CUDA graph."""

    def __init__(self, problem: Problem, precision: str = "float32", compiled: bool = False) -> None:
        """compiled: whether torch.compile rewrites the losses and their gradient."""
        self.problem, self.precision = problem, precision
        self._parts = torch.compile(self.parts, dynamic=False) if compiled else self.parts
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.network = PlainVgg(problem.weights, dtype, torch.channels_last).to(problem.content.device)
        self.losses = Losses(problem, self.network.layout, present_only=True)
        self.lists = {layer: gather_lists(term.masks, dtype) for layer, term in self.losses.style.items()}

    def parts(self, image: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses by name of an image (3, h, w) in [0, 1]."""
        losses = self.losses
        parts = losses.image_losses(image)
        if losses.photorealism:
            columns = image.permute(1, 2, 0).reshape(-1, 3)
            parts["photorealism"] = QuadraticForm.apply(losses.matrix, columns) * losses.photorealism
        features = self.network(image, losses.layers)
        parts["content"] = losses.content_loss(features)
        terms = [
            term.distance(GatheredGram.apply(features[layer], *self.lists[layer]))
            for layer, term in losses.style.items()
        ]
        parts["style"] = torch.stack(terms).sum()
        return parts

    def value_and_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the total loss and its gradient in the image."""
        with self._rounding():
            x = image.detach().requires_grad_()
            total = torch.stack(list(self._parts(x).values())).sum()
            return total.detach(), torch.autograd.grad(total, x)[0]

    @contextmanager
    def _rounding(self) -> Iterator[None]:
        tf32 = self.precision == "tf32"
        with convolution_precision(tf32, benchmark=self.precision != "float32"), product_precision(tf32):
            yield

    def value(self, image: Tensor) -> float:
        """Return the total loss alone."""
        with torch.no_grad(), self._rounding():
            return float(torch.stack(list(self.parts(image).values())).sum())

    def stepper(self, image: Tensor, steps: int, learning_rate: float) -> tuple[Tensor, Callable[[], None]]:
        """Return an image and a function that changes it in place by one step of Adam, on a GPU by a CUDA graph."""
        x = image.detach().clone().requires_grad_()
        x.grad = torch.zeros_like(x)
        rate = torch.tensor(learning_rate, device=x.device)
        solver = torch.optim.Adam([x], rate if x.is_cuda else learning_rate, fused=True, capturable=x.is_cuda)
        taken = 0

        def work() -> None:
            x.grad.copy_(self.value_and_gradient(x)[1])
            solver.step()

        replay = work
        if x.is_cuda:
            replay = captured(work, [x])
            solver.zero_grad(set_to_none=False)
            for state in solver.state.values():  # undoes the warm-up steps
                for value in state.values():
                    value.zero_()

        def step() -> None:
            nonlocal taken
            decayed = learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * taken / max(1, steps))))
            if x.is_cuda:
                rate.fill_(decayed)
            else:
                solver.param_groups[0]["lr"] = decayed
            taken += 1
            replay()

        return x, step

    def run(self, steps: int, learning_rate: float = 0.02, start: Tensor | None = None) -> Tensor:
        """Return the image after `steps` steps of Adam, from the content unless a start is given."""
        x, step = self.stepper(self.problem.content if start is None else start, steps, learning_rate)
        for _ in range(steps):
            step()
        return x.detach()

    def run_lbfgs(self, steps: int, start: Tensor | None = None) -> Tensor:
        """Return the image after `steps` evaluations of torch's L-BFGS with line search."""
        start = self.problem.content if start is None else start
        return lbfgs(self.value_and_gradient, start, steps, "strong_wolfe")


def coarse_to_fine(
    problem: Problem,
    scales: Sequence[float],
    steps: Sequence[int],
    learning_rate: float = 0.02,
    precision: str = "float32",
) -> Tensor:
    """B2: return the result of `Engineered` from coarse to fine; it starts from fastphoto's start image.

    From one scale to the next, the change of the start image is resized bilinearly.
    """
    image, before = problem.start, problem.start
    for scale, count in zip(scales, steps, strict=True):
        level = problem.scaled(scale)
        change = F.interpolate((image - before)[None], level.size, mode="bilinear", align_corners=False)[0]
        before = level.start
        image = Engineered(level, precision).run(count, learning_rate, before + change)
    return image
