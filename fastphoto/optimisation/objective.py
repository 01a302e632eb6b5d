"""The objective: weighted losses on an image and its activations, as a function of the solver's unknowns."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.recolouring import Recolouring
from fastphoto.optimisation.weighted import Weighted


class Objective(nn.Module):
    """The weighted sum of losses on an image and on its activations.

    The solver changes unknowns x, which stand for an image in one of three ways:

    - without projection and model, the image is x / `unit`;
    - with a linear `projection` P, which smooths, the image is P (x / unit);
    - with a `model`, a bilateral grid or a recolouring, the image is what the model makes of x / unit.

    The projection preconditions the problem: it removes from the gradient the directions that the photorealism loss
    penalises, so the solver needs half the steps. Activations are then those of the image projected once more, because
    the result will be smoothed at the end. `smoothed_losses` see that smoothed image too, in L*a*b*.
    """

    def __init__(
        self,
        encoder: Encoder,
        feature_losses: Mapping[str, Mapping[str, Weighted]],  # {name: {layer: loss}}
        image_losses: Mapping[str, Weighted],  # {name: loss}
        projection: nn.Module | None = None,
        unit: float = 1.0,
        model: BilateralGrid | Recolouring | None = None,
        smoothed_losses: Mapping[str, Weighted] | None = None,  # {name: loss}
    ) -> None:
        super().__init__()
        self.encoder = encoder
        used = {name: {k: loss for k, loss in group.items() if loss.weight} for name, group in feature_losses.items()}
        self.feature_losses = nn.ModuleDict({name: nn.ModuleDict(group) for name, group in used.items() if group})
        self.image_losses = nn.ModuleDict({name: loss for name, loss in image_losses.items() if loss.weight})
        smoothed = smoothed_losses or {}
        self.smoothed_losses = nn.ModuleDict({name: loss for name, loss in smoothed.items() if loss.weight})
        self.layers = tuple({layer: None for group in used.values() for layer in group})
        self.projection = projection
        self.unit = unit
        """Value of an unknown that stands for a pixel value of 1; learning rates and step bounds are in this unit."""
        self.model = model

    def unknowns(self, image: Tensor) -> Tensor:
        """Return unknowns that stand for approximately this image (3, H, W)."""
        return (self.model.fit(image) if self.model is not None else image) * self.unit

    def image(self, x: Tensor) -> Tensor:
        """Return the image (3, H, W), about [0, 1], that the unknowns stand for."""
        values = x / self.unit if self.unit != 1 else x
        if self.model is not None:
            made: Tensor = self.model(values)
            return made
        return self.projection(values) if self.projection is not None else values

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss and its weighted parts by name."""
        image = self.image(x)
        parts = {name: loss(image) for name, loss in self.image_losses.items()}
        if isinstance(self.model, Recolouring):
            parts["roughness"] = self.model.roughness(x / self.unit)
        smoothed = self.projection(image) if self.projection is not None else image
        if self.smoothed_losses:
            lab = srgb_to_lab(smoothed.clamp(0, 1))
            parts |= {name: loss(lab) for name, loss in self.smoothed_losses.items()}
        if self.layers:
            features = self.encoder(smoothed, self.layers)
            for name, group in self.feature_losses.items():
                assert isinstance(group, nn.ModuleDict)
                parts[name] = sum(loss(features[layer]) for layer, loss in group.items())
        total = sum(parts.values()) if parts else image.sum() * 0
        return total, parts

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the total loss, its gradient in the unknowns, and its parts, all detached."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            total, parts = self(x)
            (gradient,) = torch.autograd.grad(total, x)
        return total.detach(), gradient, {name: part.detach() for name, part in parts.items()}
