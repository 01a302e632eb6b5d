"""Encoders: the stack against torch written plainly, the calibrated one on every kind of photo, and messages."""

from __future__ import annotations

import pytest
import torch
from photos import day, dusk
from torch import Tensor
from torch.nn import functional as F

from fastphoto.encoder import Encoder, calibrated_weights, load_encoder
from fastphoto.errors import InputError
from fastphoto.weights import EncoderWeights

NAMES = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
CALIBRATED = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


def some_weights(padding: str = "zeros", pooling: str = "max_floor", seed: int = 0) -> EncoderWeights:
    generator = torch.Generator().manual_seed(seed)
    convolutions, channels = {}, 3
    for name, width in zip(NAMES, (4, 6, 8, 6, 5), strict=True):
        weight = torch.randn(width, channels, 3, 3, generator=generator) / (3 * channels**0.5)
        convolutions[name] = weight, torch.randn(width, generator=generator) * 0.2
        channels = width
    normalise = torch.randn(3, 3, generator=generator), torch.randn(3, generator=generator)
    return EncoderWeights(convolutions, normalise, padding, pooling, source="test", licence="", sha256="")


def plainly(image: Tensor, weights: EncoderWeights) -> dict[str, Tensor]:
    """The stack in float64: the colours mixed, each convolution summed tap by tap, windows maximised one by one."""
    matrix, offset = (part.double() for part in weights.normalise)
    x = torch.einsum("oc,chw->ohw", matrix, image.double()) + offset[:, None, None]
    found = {}
    for name, (weight, bias) in weights.convolutions.items():
        if name in ("conv2_1", "conv3_1"):
            if weights.pooling == "max_ceil":
                x = F.pad(x, (0, x.shape[2] % 2, 0, x.shape[1] % 2), value=-torch.inf)
            rows, columns = x.shape[1] // 2, x.shape[2] // 2
            x = x[:, : rows * 2, : columns * 2].unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).amax((2, 4))
        height, width = x.shape[1:]
        mode = "constant" if weights.padding == "zeros" else "reflect"
        padded = F.pad(x[None], (1, 1, 1, 1), mode)[0]
        total = bias.double()[:, None, None]
        for dy in range(3):
            for dx in range(3):
                tap = weight[:, :, dy, dx].double()
                total = total + torch.einsum("oc,chw->ohw", tap, padded[:, dy : dy + height, dx : dx + width])
        x = total.clamp_min(0)
        found[f"relu{name[4:]}"] = x
    return found


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["max_ceil", "max_floor"])
@pytest.mark.parametrize("size", [(16, 20), (17, 22), (19, 21)])
def test_stack_is_that_of_its_definition(padding, pooling, size):
    weights = some_weights(padding, pooling)
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    wanted = plainly(image, weights)
    got = Encoder(weights)(image, tuple(wanted))
    assert set(got) == set(wanted)
    for layer, activation in wanted.items():
        assert got[layer].shape == activation.shape, layer
        assert (got[layer] - activation).abs().max() < 1e-5 * activation.abs().max(), layer


def test_layers_asked_for_are_those_returned():
    encoder = Encoder(some_weights())
    assert encoder.layers == ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
    image = day().pixels
    every = encoder(image, encoder.layers)
    some = encoder(image, ("relu2_1", "relu1_1", "relu2_1"))
    assert set(some) == {"relu1_1", "relu2_1"}
    for layer, activation in some.items():
        assert torch.equal(activation, every[layer]), layer
    # What lies beyond the deepest layer wanted must cost nothing: weights there that break do no harm.
    encoder.conv3_1_weight = torch.zeros(1, 1, 3, 3)
    assert torch.equal(encoder(image, ("relu2_2",))["relu2_2"], every["relu2_2"])


def test_unknown_layer():
    encoder = Encoder(some_weights())
    encoder.check(["relu1_1", "relu3_1"])
    with pytest.raises(InputError, match=r"'relu3_2'.*relu1_1, relu1_2, relu2_1, relu2_2, relu3_1"):
        encoder.check(["relu1_1", "relu3_2"])
    with pytest.raises(InputError, match="'conv1_1'"):
        encoder.check(["conv1_1"])


def test_gradient_goes_to_the_image_only():
    weights = some_weights("reflect", "max_ceil")
    encoder = Encoder(weights)
    assert not list(encoder.parameters()) and not any(b.requires_grad for b in encoder.buffers())
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    image = torch.rand(3, 17, 19, generator=torch.Generator().manual_seed(2))
    one, other = image.clone().requires_grad_(), image.clone().requires_grad_()
    probe = torch.randn(5, 5, 5, generator=torch.Generator().manual_seed(3))
    (encoder(one, ("relu3_1",))["relu3_1"] * probe).sum().backward()
    (plainly(other, weights)["relu3_1"] * probe).sum().backward()
    assert other.grad.norm() > 0
    assert (one.grad - other.grad).norm() < 1e-4 * other.grad.norm()
    for name, buffer in encoder.named_buffers():
        assert buffer.grad is None and torch.equal(buffer, before[name])


def test_weights_given_stay_the_callers():
    weights = some_weights()
    first = {name: weight.clone() for name, (weight, _) in weights.convolutions.items()}
    matrix = weights.normalise[0].clone()
    encoder = Encoder(weights).double()
    encoder.offset.zero_()
    for name, (weight, _) in weights.convolutions.items():
        assert weight.dtype == torch.float32 and torch.equal(weight, first[name])
    assert torch.equal(weights.normalise[0], matrix) and weights.normalise[1].abs().sum() > 0


# ---- the calibrated encoder --------------------------------------------------------------------------------


def test_calibration_is_reproducible_bitwise():
    photos = [day().pixels, dusk().pixels]
    first, second = calibrated_weights(photos), calibrated_weights([p.clone() for p in photos])
    for name, (weight, bias) in first.convolutions.items():
        assert torch.equal(weight, second.convolutions[name][0]), name
        assert torch.equal(bias, second.convolutions[name][1]), name


def test_calibration_hardly_depends_on_threads():
    """Sums of another order must not flip a filter's sign or swap filters."""
    photos = [day().pixels, dusk().pixels]
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(calibrated_weights(photos, {"conv1_1": 12, "conv2_1": 16, "conv3_1": 16}))
    finally:
        torch.set_num_threads(threads)
    for name, (weight, _) in found[0].convolutions.items():
        assert (weight - found[1].convolutions[name][0]).abs().max() < 1e-2 * weight.abs().max(), name


@pytest.mark.parametrize("size", [(16, 16), (40, 48), (64, 96)])
def test_rounding_does_not_choose_filters(size):
    """Small photos have fewer patches in deep layers than filters; the rest must not be arbitrary directions."""
    photos = [day(*size).pixels, dusk(*size).pixels]
    other = [p + 1e-7 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) for p in photos]
    probe = day(64, 64).pixels.flip(2)
    first, second = (load_encoder("embedded", photos=p)(probe, CALIBRATED) for p in (photos, other))
    for layer in CALIBRATED:
        assert (first[layer] - second[layer]).norm() <= 0.02 * first[layer].norm(), layer


def test_calibrated_filters_are_principal_components():
    """conv1_1: pairs of opposite filters, uncorrelated responses, the strongest first."""
    photo = day(64, 64).pixels
    encoder = load_encoder("embedded", photos=[photo])
    weight = encoder.conv1_1_weight
    half = len(weight) // 2
    assert torch.equal(weight[:half], -weight[half:])
    x = F.conv2d(photo[None], encoder.matrix, encoder.offset)
    response = F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), weight[:half])[0].flatten(1).double()
    covariance = torch.cov(response)
    spread = covariance.diagonal()
    assert (covariance - spread.diag()).abs().max() < 0.05 * spread[0]
    assert (spread[:-1] > spread[1:]).all()
    activation = encoder(photo, ("relu1_1",))["relu1_1"]
    assert (activation[0] * activation[half]).abs().max() == 0, "a response and its opposite"
    assert float(activation[0].max()) > 0 and float(activation[half].max()) > 0


def test_calibrated_filters_are_centred_in_every_layer():
    """A filter and its opposite share their response around zero: neither half of it is lost to the ReLU."""
    photos = [day(64, 64).pixels, dusk(64, 64).pixels]
    encoder = load_encoder("embedded", photos=photos)
    found = [encoder(photo, CALIBRATED) for photo in photos]
    for layer in CALIBRATED:
        mean = sum(f[layer].mean((1, 2)) for f in found) / 2
        half = len(mean) // 2
        assert (mean[:half] - mean[half:]).abs().max() < 1e-3 * mean.max(), layer


@pytest.mark.parametrize(
    "photos",
    [
        pytest.param(lambda: [torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(4))], id="16x16"),
        pytest.param(lambda: [torch.full((3, 32, 40), 0.5)], id="grey"),
        pytest.param(lambda: [torch.zeros(3, 16, 16), torch.ones(3, 16, 48)], id="black and white"),
        pytest.param(lambda: [day(16, 96).pixels, torch.zeros(3, 33, 17)], id="wide and black"),
        pytest.param(lambda: [day(17, 17).pixels.mean(0).expand(3, -1, -1)], id="colourless"),
    ],
)
def test_calibration_on_difficult_photos(photos):
    photos = photos()
    encoder = load_encoder("embedded", photos=photos)
    for photo in photos:
        image = photo.clone().requires_grad_()
        found = encoder(image, CALIBRATED)
        for layer, activation in found.items():
            assert torch.isfinite(activation).all() and activation.min() >= 0, layer
        sum(a.square().mean() for a in found.values()).backward()
        assert torch.isfinite(image.grad).all()


def test_calibrated_encoder_tells_its_photos_apart():
    content, style = day().pixels, dusk().pixels
    encoder = load_encoder("embedded", photos=[content, style])
    a, b = encoder(content, CALIBRATED), encoder(style, CALIBRATED)
    for layer in CALIBRATED:
        mean = [f.mean((1, 2)) for f in (a[layer], b[layer])]
        assert (mean[0] - mean[1]).norm() > 0.05 * mean[0].norm(), layer


def test_messages_of_loading():
    with pytest.raises(InputError, match="'vgg16'.*embedded, vgg19-16x, vgg19"):
        load_encoder("vgg16")
    with pytest.raises(InputError, match="calibrated on photos"):
        load_encoder("embedded")
    with pytest.raises(InputError, match="weights: .*embedded"):
        load_encoder("embedded", "some.pth", photos=[day().pixels])
