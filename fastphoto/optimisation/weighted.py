"""A loss with its weight."""

from __future__ import annotations

from torch import Tensor, nn


class Weighted(nn.Module):
    """A loss times its weight."""

    def __init__(self, weight: float, loss: nn.Module) -> None:
        super().__init__()
        self.weight, self.loss = weight, loss

    def forward(self, values: Tensor) -> Tensor:
        return self.loss(values) * self.weight
