"""What the tests of measures and scores share: encoders, and the comparison of measures up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.encoders.weights import EncoderWeights
from fastphoto.evaluation.measures import Measures


@pytest.fixture(scope="session")
def embedded() -> Encoder:
    return load_encoder("embedded")


@pytest.fixture
def shallow() -> Encoder:
    """Random weights, relu1_1 and relu2_1 only."""
    generator = torch.Generator().manual_seed(3)
    convolutions, channels = {}, 3
    for name, width in (("conv1_1", 6), ("conv2_1", 5)):
        convolutions[name] = torch.randn(width, channels, 3, 3, generator=generator) / channels, torch.zeros(width)
        channels = width
    return Encoder(
        EncoderWeights(
            convolutions, (torch.eye(3), torch.zeros(3)), "zeros", "max_floor", "test", licence="", sha256=""
        )
    )


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Measures, Measures], None]:
    """Compare measures that were computed twice.

    Libraries split sums according to where arrays lie in memory, so that float64 sums differ by their rounding. L* is
    up to 100, which a distance of zero is compared with. Gram matrices are those of float32 activations.
    """

    def compare(got: Measures, expected: Measures) -> None:
        tolerance = dict.fromkeys(asdict(expected), {"rel": 1e-12, "abs": 1e-10}) | {"gram": {"rel": 1e-6, "abs": 1e-6}}
        for name, value in asdict(expected).items():
            assert getattr(got, name) == pytest.approx(value, **tolerance[name]), f"{name} differs"

    return compare
