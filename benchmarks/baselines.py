"""What fastphoto is measured against: the published method and a well-made rewrite of it, in plain PyTorch.

None of them uses an operator of fastphoto while it iterates. All build on the same `Problem`, whose losses are those of
`fastphoto.Settings` without the projection:

- `Published`: a faithful port of the paper's program (called B0 in results),
- `Engineered`: the same losses as a good engineer would write them today (B1),
- `coarse_to_fine`: the latter with fastphoto's schedule and start image (B2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from plain_ops import GatheredGram, PlainVgg, QuadraticForm, SymmetricProduct, csr_tensor, dense_gram, gather_lists
from torch import Tensor
from torch_modes import in_graph, matrix_products, precise

from fastphoto import ops
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.weights import CAFFE_MEAN, EncoderWeights
from fastphoto.optimisation.objective import PUBLISHED_ACTIVATION
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.resize import resize
from fastphoto.regions.resizing import layer_masks, resize_masks

# ---- the problem and its losses -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Photos and start image (3, h, w), masks (R, h, w) and losses: everything that a result depends on."""

    content: Tensor
    style: Tensor
    start: Tensor
    content_masks: Tensor
    style_masks: Tensor
    settings: Settings
    weights: EncoderWeights

    @property
    def size(self) -> tuple[int, int]:
        return self.content.shape[1], self.content.shape[2]

    def at(self, part: float) -> Problem:
        """The same problem, smaller."""
        if part == 1:
            return self
        size = round(self.size[0] * part), round(self.size[1] * part)
        small = tuple(max(16, round(n * part)) for n in self.style.shape[1:])
        return replace(
            self, content=resize(self.content, size), start=resize(self.start, size), style=resize(self.style, small)
        )


@dataclass(frozen=True)
class StyleTerm:
    """weight_r |scale_r G_r - target_r|^2, summed over the regions r of one layer."""

    masks: Tensor  # (R, h, w)
    target: Tensor  # (R, C, C)
    scale: Tensor  # (R, 1, 1)
    weight: Tensor  # (R,)

    def distance(self, gram: Tensor) -> Tensor:
        return ((gram * self.scale - self.target).square().sum((1, 2)) * self.weight).sum()


class Losses:
    """The weights and targets of a problem's losses, computed once in float32."""

    def __init__(self, problem: Problem, network: PlainVgg, present_only: bool) -> None:
        s, content, style = problem.settings, problem.content, problem.style
        self.layers = tuple(dict.fromkeys([*s.content_layers, *s.style_layers]))
        published, pixels = s.normalisation == "published", content.shape[1] * content.shape[2]
        exact = PlainVgg(problem.weights, torch.float32, network.layout).to(content.device)
        with torch.no_grad(), precise(), matrix_products(False):
            ours, theirs = exact(content, self.layers), exact(style, self.layers)
            own = s.content_target == "content" or s.start != "colour"
            target = ours if own else exact(problem.start, self.layers)
            unit = {layer: float((ours[layer].mean() + theirs[layer].mean()) / 2) for layer in self.layers}
            factor = dict.fromkeys(self.layers, 1.0)
            if not published:
                factor = {layer: 1 / value for layer, value in unit.items()}
            elif not Encoder(problem.weights).published_scale:
                factor = {layer: PUBLISHED_ACTIVATION / value for layer, value in unit.items()}
            self.content = {layer: (s.content_weight * factor[layer] ** 2, target[layer]) for layer in s.content_layers}
            masks = masks_at_layers(problem.content_masks, s.style_layers, content, ours)
            style_masks = masks_at_layers(problem.style_masks, s.style_layers, style, theirs)
            self.style: dict[str, StyleTerm] = {}
            for layer, weight in zip(s.style_layers, s.style_weights, strict=True):
                strength = weight * factor[layer] ** 4 if published else weight
                self.style[layer] = style_term(
                    masks[layer], style_masks[layer], theirs[layer], strength, published, present_only
                )
        self.total_variation = s.total_variation_weight * (256.0**2 if published else 1 / pixels) / 2
        self.gamut = s.gamut_weight / pixels
        self.photorealism = s.photorealism_weight
        if not published:
            look = problem.start if s.start == "colour" else content
            self.photorealism /= pixels * (local_variance(look) + 1e-3)
        stencil = ops.matting_laplacian_stencil(content.double().permute(1, 2, 0), s.epsilon)
        self.matrix = csr_tensor(stencil.float())

    def image_losses(self, image: Tensor) -> dict[str, Tensor]:
        """The losses that need no network, but for the photorealism loss."""
        parts = {}
        if self.total_variation:
            corner = image[:, :-1, :-1]
            right, below = image[:, :-1, 1:] - corner, image[:, 1:, :-1] - corner
            parts["total variation"] = (right.square().sum() + below.square().sum()) * self.total_variation
        if self.gamut:
            parts["gamut"] = (image - image.clamp(0, 1)).square().sum() * self.gamut
        return parts

    def content_loss(self, features: dict[str, Tensor]) -> Tensor:
        terms = [w * (features[layer].float() - t).square().mean() for layer, (w, t) in self.content.items()]
        return torch.stack(terms).sum()


def masks_at_layers(
    masks: Tensor, layers: Sequence[str], image: Tensor, features: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The masks as they are at each layer."""
    size = (image.shape[1], image.shape[2])
    sizes = {"relu1_1": size} | {layer: (f.shape[1], f.shape[2]) for layer, f in features.items()}
    return layer_masks(resize_masks(masks, size), layers, sizes)


def style_term(
    masks: Tensor, style_masks: Tensor, features: Tensor, strength: float, published: bool, present_only: bool
) -> StyleTerm:
    """The style loss of one layer; regions without a pixel at this layer weigh nothing or are left out at once."""
    present = (masks.sum((1, 2)) >= 1) & (style_masks.sum((1, 2)) >= 1)
    if present_only:
        masks, style_masks, present = masks[present], style_masks[present], present[present]
    channels = features.shape[0]
    power, divide = (1, channels) if published else (2, 1)
    scale, style_scale = (1 / (m.pow(power).sum((1, 2)).clamp_min(1e-6) * divide) for m in (masks, style_masks))
    target = dense_gram(features, style_masks) * style_scale[:, None, None]
    size = channels**2 if published else target.square().sum((1, 2)).clamp_min(1e-12)
    return StyleTerm(masks, target, scale[:, None, None], strength * masks.mean((1, 2)) / size * present)


def local_variance(image: Tensor) -> float:
    """Variance within a 3x3 window, mean over windows and channels."""
    return float((F.avg_pool2d(image.square(), 3, 1) - F.avg_pool2d(image, 3, 1).square()).mean())


# ---- the published method -----------------------------------------------------------------------------------


class Published:
    """B0: every mask dense at every layer, float32, autograd throughout, torch's L-BFGS with a history of 100.

    `tf32=True` leaves convolutions to TF32, which is PyTorch's default on a GPU; the published program had float32.
    """

    def __init__(self, problem: Problem, tf32: bool = False) -> None:
        self.problem, self.tf32 = problem, tf32
        self.network = PlainVgg(problem.weights, torch.float32, torch.contiguous_format).to(problem.content.device)
        self.losses = Losses(problem, self.network, present_only=False)

    def parts(self, image: Tensor, photorealism: bool = True) -> dict[str, Tensor]:
        """The losses of an image (3, h, w) in [0, 1], each weighted."""
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
        """The total loss and its gradient in the image."""
        with precise(self.tf32):
            x = image.detach().requires_grad_()
            total = torch.stack(list(self.parts(x, photorealism).values())).sum()
            return total.detach(), torch.autograd.grad(total, x)[0]

    def run(self, steps: int) -> Tensor:
        """`steps` evaluations without the photorealism loss from noise, then `steps` with it; the last image."""
        content = self.problem.content
        noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(612)) * 1e-4
        image = ((torch.tensor(CAFFE_MEAN[::-1])[:, None, None] + noise) / 256).to(content)
        for photorealism in (False, True):
            image = self.descend(image, steps, photorealism)
            image = (image.clamp(0, 1) * 255).round() / 255 if not photorealism else image
        return image

    def descend(self, image: Tensor, steps: int, photorealism: bool = True) -> Tensor:
        """`steps` evaluations of L-BFGS without line search."""
        return lbfgs(lambda x: self.value_and_gradient(x, photorealism), image, steps, None)


def lbfgs(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]], image: Tensor, steps: int, line_search: str | None
) -> Tensor:
    """torch.optim.LBFGS on pixels in 0 to 256, as published: history 100, no tolerance, `steps` evaluations at most."""
    x = (image.detach() * 256).clone().requires_grad_()
    solver = torch.optim.LBFGS([x], 1, steps, steps, 0.0, 0.0, history_size=100, line_search_fn=line_search)

    def closure() -> Tensor:
        value, gradient = evaluate(x.detach() / 256)
        x.grad = gradient.contiguous() / 256  # the solver with line search wants flat views of it
        return value

    solver.step(closure)
    return x.detach() / 256


# ---- as a good engineer would write it ----------------------------------------------------------------------


class Engineered:
    """B1: present regions only, gathered; one sparse product; channels-last, TF32 or bfloat16; Adam in a CUDA graph."""

    def __init__(self, problem: Problem, precision: str = "float32") -> None:
        self.problem, self.precision = problem, precision
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.network = PlainVgg(problem.weights, dtype, torch.channels_last).to(problem.content.device)
        self.losses = Losses(problem, self.network, present_only=True)
        self.lists = {layer: gather_lists(term.masks, dtype) for layer, term in self.losses.style.items()}

    def parts(self, image: Tensor) -> dict[str, Tensor]:
        """The losses of an image (3, h, w) in [0, 1], each weighted."""
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
        """The total loss and its gradient in the image."""
        with self._rounding():
            x = image.detach().requires_grad_()
            total = torch.stack(list(self.parts(x).values())).sum()
            return total.detach(), torch.autograd.grad(total, x)[0]

    @contextmanager
    def _rounding(self) -> Iterator[None]:
        tf32 = self.precision == "tf32"
        with precise(tf32, benchmark=self.precision != "float32"), matrix_products(tf32):
            yield

    def value(self, image: Tensor) -> float:
        """The total loss alone."""
        with torch.no_grad(), self._rounding():
            return float(torch.stack(list(self.parts(image).values())).sum())

    def stepper(self, image: Tensor, steps: int, learning_rate: float) -> tuple[Tensor, Callable[[], None]]:
        """An image to be changed in place, and what takes one Adam step on it: on a GPU a replayed CUDA graph."""
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
            replay = in_graph(work, [x])
            solver.zero_grad(set_to_none=False)
            for state in solver.state.values():  # the steps that warmed up never were
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
        """The image after `steps` steps of Adam, from the content unless a start is given."""
        x, step = self.stepper(self.problem.content if start is None else start, steps, learning_rate)
        for _ in range(steps):
            step()
        return x.detach()

    def run_lbfgs(self, steps: int, start: Tensor | None = None) -> Tensor:
        """The image after `steps` evaluations of torch's L-BFGS with line search."""
        start = self.problem.content if start is None else start
        return lbfgs(self.value_and_gradient, start, steps, "strong_wolfe")


def coarse_to_fine(
    problem: Problem,
    scales: Sequence[float],
    steps: Sequence[int],
    learning_rate: float = 0.02,
    precision: str = "float32",
) -> Tensor:
    """B2: `Engineered` from scale to scale, from fastphoto's start image; changes are carried on bilinearly."""
    image, before = problem.start, problem.start
    for part, count in zip(scales, steps, strict=True):
        level = problem.at(part)
        change = F.interpolate((image - before)[None], level.size, mode="bilinear", align_corners=False)[0]
        before = level.start
        image = Engineered(level, precision).run(count, learning_rate, before + change)
    return image
