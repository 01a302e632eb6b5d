"""B0: the published method, a faithful port of the paper's program."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.baselines.network import PlainVgg
from benchmarks.baselines.operators import SymmetricProduct, dense_gram
from benchmarks.baselines.problem import Losses, Problem
from benchmarks.torch_modes import convolution_precision
from fastphoto.encoders.weights import CAFFE_MEAN


class Published:
    """B0: every mask dense at every layer, float32, autograd throughout, torch's L-BFGS with a history of 100.

    The published program computes in float32. `tf32=True` lets convolutions round to TF32, PyTorch's default on a GPU.
    """

    def __init__(self, problem: Problem, tf32: bool = False) -> None:
        self.problem, self.tf32 = problem, tf32
        self.network = PlainVgg(problem.weights, torch.float32, torch.contiguous_format).to(problem.content.device)
        self.losses = Losses(problem, self.network.layout, present_only=False)

    def parts(self, image: Tensor, photorealism: bool = True) -> dict[str, Tensor]:
        """Return the weighted losses by name of an image (3, h, w) in [0, 1]."""
        losses = self.losses
        parts = losses.image_losses(image)
        if photorealism:
            columns = image.permute(1, 2, 0).reshape(-1, 3)
            parts["photorealism"] = (columns * SymmetricProduct.apply(losses.matrix, columns)).sum()
            parts["photorealism"] = parts["photorealism"] * losses.photorealism
        features = self.network(image, losses.layers)
        parts["content"] = losses.content_loss(features)
        terms = [term.distance(dense_gram(features[layer], term.masks)) for layer, term in losses.style.items()]
        parts["style"] = torch.stack(terms).sum()
        return parts

    def value_and_gradient(self, image: Tensor, photorealism: bool = True) -> tuple[Tensor, Tensor]:
        """Return the total loss and its gradient in the image."""
        with convolution_precision(self.tf32):
            x = image.detach().requires_grad_()
            total = torch.stack(list(self.parts(x, photorealism).values())).sum()
            return total.detach(), torch.autograd.grad(total, x)[0]

    def run(self, steps: int) -> Tensor:
        """Return the image after `steps` steps from noise without the photorealism loss, and as many with it."""
        content = self.problem.content
        noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(612)) * 1e-4
        image = ((torch.tensor(CAFFE_MEAN[::-1])[:, None, None] + noise) / 256).to(content)
        for photorealism in (False, True):
            image = self.descend(image, steps, photorealism)
            image = (image.clamp(0, 1) * 255).round() / 255 if not photorealism else image
        return image

    def descend(self, image: Tensor, steps: int, photorealism: bool = True) -> Tensor:
        """Return an image after `steps` steps of L-BFGS without line search."""
        return lbfgs(lambda x: self.value_and_gradient(x, photorealism), image, steps, None)


def lbfgs(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]], image: Tensor, steps: int, line_search: str | None
) -> Tensor:
    """Return the image after at most `steps` evaluations of torch.optim.LBFGS.

    As published, pixels are in 0 to 256, the history holds 100 steps, and no tolerance ends the run.
    """
    x = (image.detach() * 256).clone().requires_grad_()
    solver = torch.optim.LBFGS([x], 1, steps, steps, 0.0, 0.0, history_size=100, line_search_fn=line_search)

    def closure() -> Tensor:
        value, gradient = evaluate(x.detach() / 256)
        x.grad = gradient.contiguous() / 256  # contiguous, because the solver with line search flattens it as a view
        return value

    solver.step(closure)
    return x.detach() / 256
