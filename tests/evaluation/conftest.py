"""The encoders that tests of measures and scores share."""

from __future__ import annotations

import pytest
import torch

from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.encoders.weights import EncoderWeights


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
