"""The student of the distillation: its losses, and the weight file made of it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import Layer
from fastphoto.encoders.weights import read_weights


def test_training_lowers_the_losses(distillation, training_photos, teachers, photos):
    """On one batch, from random weights, with heads that are solved for at every step."""
    teaching = distillation.Teachers(teachers)
    targets = teaching(training_photos.Pictures(photos[:1], 0).batch(0))
    start = distillation.untrained(teaching.weights[distillation.NARROW_TEACHER])
    random = torch.Generator().manual_seed(1)
    for weight, _ in start.convolutions.values():
        weight += 0.5 * weight.std() * torch.randn(weight.shape, generator=random)
    student = distillation.Student(start)
    optimiser = torch.optim.AdamW(list(student.parameters.values()), 2e-3)
    history = []
    for _ in range(20):
        losses = student.losses(targets)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    for name in ("relu1_1", "relu2_1", "relu3_1"):  # deeper ones of random teachers are nearly linear, and easy
        assert history[-1][name] < 0.9 * history[0][name], name


def test_losses_are_the_errors_of_the_heads(distillation, training_photos, teachers, photos):
    """The sums over channels, which never touch a pixel twice, equal the plain definition."""
    teaching = distillation.Teachers(teachers)
    images = training_photos.Pictures(photos[:1], 0).batch(0)
    targets = teaching(images)
    student = distillation.Student(distillation.untrained(teaching.weights[distillation.NARROW_TEACHER]))
    losses = student.losses(targets)
    features = student.features(images, list(targets.features))
    for layer, target in targets.features.items():
        predicted = torch.einsum("dc,bchw->bdhw", student._head(layer), features[layer])
        error = (predicted - target.float()).square().sum() / target.float().square().sum()
        assert float(losses[layer].detach()) == pytest.approx(float(error.detach()), rel=0.02, abs=2e-3), layer


def test_the_file_holds_the_network_that_was_trained(distillation, training_photos, teachers, photos, tmp_path):
    """Channels keep their activations up to scale, except for removed ones; layers have a mean of 1, and channels more
    even deviations."""
    start = distillation.untrained(read_weights(teachers / distillation.NARROW_TEACHER))
    silent = {"relu1_2": [3], "relu3_1": [0], "relu5_1": [95]}
    for layer, channels in silent.items():
        start.convolutions[Layer.parse(layer).convolution][1][channels] = -1e6
    student = distillation.Student(start)
    images = training_photos.Pictures(photos[1:], 0).batch(0)
    save_file(student.tensors(images), tmp_path / "any.safetensors", {"padding": "zeros", "pooling": "max_floor"})
    weights = read_weights(tmp_path / "any.safetensors")
    assert tuple(weights.convolutions) == distillation.LAYERS
    encoder = Encoder(weights)
    with torch.no_grad():
        written, trained = encoder(images, encoder.layers), student.features(images, encoder.layers)
    for layer in encoder.layers:
        assert float(written[layer].mean()) == pytest.approx(1, rel=0.02), layer
        got, expected = (f[layer].permute(1, 0, 2, 3).flatten(1) for f in (written, trained))
        fires = expected.amax(1) > 0
        assert not fires[silent.get(layer, [])].any()
        expected = expected[fires]
        assert len(got) == len(expected), layer
        scale = got.norm(dim=1) / expected.norm(dim=1)
        assert (got - scale[:, None] * expected).norm() < 0.02 * got.norm(), layer
        spread = [(f.std(1).log().quantile(0.9) - f.std(1).log().quantile(0.1)) for f in (got, expected)]
        assert spread[0] < 0.7 * spread[1], layer
