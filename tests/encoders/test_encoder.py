"""Encoders: activations and gradients against their definition, the embedded encoder on many photos, loading."""

from __future__ import annotations

import hashlib
import weakref

import pytest
import torch
from locations import SHARED
from rendered_photos import day, dusk
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from fastphoto.encoders.encoder import EMBEDDED, Encoder, load_encoder
from fastphoto.encoders.layers import Layer
from fastphoto.encoders.weights import EncoderWeights, read_weights
from fastphoto.errors import InputError
from fastphoto.optimisation.presets import PRESETS, preset_settings

WIDTHS = {"conv1_1": 8, "conv1_2": 10, "conv2_1": 12, "conv2_2": 9, "conv3_1": 5}
LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
TEACHER = SHARED / "weights" / "vgg19_conv1_1_to_conv3_1.safetensors"


def random_weights(padding: str = "zeros", pooling: str = "max_floor") -> EncoderWeights:
    generator = torch.Generator().manual_seed(0)
    convolutions, channels = {}, 3
    for name, width in WIDTHS.items():
        weight = torch.randn(width, channels, 3, 3, generator=generator) / (3 * channels**0.5)
        convolutions[name] = weight, torch.randn(width, generator=generator) * 0.2
        channels = width
    normalise = torch.randn(3, 3, generator=generator), torch.randn(3, generator=generator)
    return EncoderWeights(convolutions, normalise, padding, pooling, source="test", licence="", sha256="")


def random_image(*size: int, seed: int = 2) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def by_definition(image: Tensor, weights: EncoderWeights) -> dict[str, Tensor]:
    """The stack in float64: the colours mixed, each convolution summed tap by tap, windows maximised one by one."""
    matrix, offset = (part.double() for part in weights.normalise)
    x = torch.einsum("oc,chw->ohw", matrix, image.double()) + offset[:, None, None]
    activations = {}
    for name, (weight, bias) in weights.convolutions.items():
        if name in ("conv2_1", "conv3_1"):
            x = pooled(x, weights.pooling)
        height, width = x.shape[1:]
        mode = "constant" if weights.padding == "zeros" else "reflect" if min(height, width) > 1 else "replicate"
        padded = F.pad(x[None], (1, 1, 1, 1), mode)[0]
        total = bias.double()[:, None, None]
        for dy in range(3):
            for dx in range(3):
                tap = weight[:, :, dy, dx].double()
                total = total + torch.einsum("oc,chw->ohw", tap, padded[:, dy : dy + height, dx : dx + width])
        x = total.clamp_min(0)
        activations[Layer.parse(name).activation] = x
    return activations


def pooled(x: Tensor, pooling: str) -> Tensor:
    if pooling == "max_ceil":
        x = F.pad(x, (0, x.shape[2] % 2, 0, x.shape[1] % 2), value=-torch.inf)
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    return x[:, : rows * 2, : columns * 2].unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).amax((2, 4))


# ---- activations


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["max_ceil", "max_floor"])
@pytest.mark.parametrize("size", [(16, 20), (17, 22), (19, 21)], ids=str)
def test_activations_are_those_of_the_definition(padding, pooling, size):
    weights = random_weights(padding, pooling)
    image = random_image(3, *size, seed=1)
    expected = by_definition(image, weights)
    got = Encoder(weights)(image, tuple(expected))
    assert set(got) == set(expected)
    for layer, activation in expected.items():
        assert got[layer].shape == activation.shape, layer
        assert (got[layer] - activation).abs().max() < 1e-5 * activation.abs().max(), layer


def test_only_requested_layers_are_returned():
    encoder = Encoder(random_weights())
    assert encoder.layers == LAYERS
    image = day().pixels
    every = encoder(image, LAYERS)
    some = encoder(image, ("relu2_1", "relu1_1", "relu2_1"))
    assert list(some) == ["relu1_1", "relu2_1"]
    for layer, activation in some.items():
        assert (activation - every[layer]).abs().max() < 1e-5 * every[layer].abs().max(), layer


def test_layers_beyond_the_deepest_requested_one_are_not_computed():
    encoder = Encoder(random_weights())
    expected = encoder(day().pixels, ("relu2_2",))["relu2_2"]
    encoder.conv3_1_weight = torch.zeros(1, 1, 3, 3)  # would raise
    again = encoder(day().pixels, ("relu2_2",))["relu2_2"]
    assert (again - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_batch_gives_what_its_images_give():
    encoder = Encoder(random_weights())
    images = random_image(3, 3, 20, 24)
    batch = encoder(images, ("relu1_2", "relu3_1"))
    for i, image in enumerate(images):
        for layer, activation in encoder(image, ("relu1_2", "relu3_1")).items():
            assert batch[layer].shape[1:] == activation.shape
            assert torch.allclose(batch[layer][i], activation, atol=1e-6)


def test_missing_layers_are_named():
    encoder = Encoder(random_weights())
    encoder.check(["relu1_1", "relu3_1"])
    with pytest.raises(InputError, match=r"'relu3_2'.*relu1_1, relu1_2, relu2_1, relu2_2, relu3_1"):
        encoder.check(["relu1_1", "relu3_2"])
    with pytest.raises(InputError, match="'conv1_1'"):
        encoder.check(["conv1_1"])


# ---- gradients


def test_the_gradient_goes_to_the_image_only():
    weights = random_weights("reflect", "max_ceil")
    encoder = Encoder(weights)
    assert not list(encoder.parameters()) and not any(b.requires_grad for b in encoder.buffers())
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    image, same = random_image(3, 17, 19).requires_grad_(), random_image(3, 17, 19).requires_grad_()
    probe = torch.randn(5, 5, 5, generator=torch.Generator().manual_seed(3))
    (encoder(image, ("relu3_1",))["relu3_1"] * probe).sum().backward()
    (by_definition(same, weights)["relu3_1"] * probe).sum().backward()
    assert same.grad.norm() > 0
    assert (image.grad - same.grad).norm() < 1e-4 * same.grad.norm()
    for name, buffer in encoder.named_buffers():
        assert buffer.grad is None and torch.equal(buffer, before[name]), f"{name} was changed"


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("layers", [LAYERS, ("relu1_2", "relu2_1"), ("relu1_1",), ("relu2_2", "relu3_1")], ids=str)
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["max_ceil", "max_floor"])
@pytest.mark.parametrize("size", [(16, 20), (17, 22), (4, 5)], ids=str)
def test_the_gradient_is_that_of_the_definition(size, pooling, padding, layers, multiple):
    """Of several layers at once, with and without zero channels, in double."""
    weights = random_weights(padding, pooling)
    encoder = Encoder(weights, torch.float64, multiple).double()
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    image, same = image.clone().requires_grad_(), image.clone().requires_grad_()
    got, expected = encoder(image, layers), by_definition(same, weights)
    assert list(got) == list(layers)
    probes = {layer: torch.randn(f.shape, dtype=torch.float64) for layer, f in got.items()}
    sum((got[layer] * probe).sum() for layer, probe in probes.items()).backward()
    sum((expected[layer] * probe).sum() for layer, probe in probes.items()).backward()
    assert same.grad.norm() > 0 and image.grad.shape == image.shape
    assert (image.grad - same.grad).norm() < 1e-10 * same.grad.norm()


def test_the_gradient_of_one_layer_leaves_the_callers_tensors_unchanged():
    encoder = Encoder(random_weights())
    image = torch.rand(3, 18, 20).requires_grad_()
    activations = encoder(image, LAYERS)
    before = {layer: f.detach().clone() for layer, f in activations.items()}
    grad = torch.ones_like(activations["relu2_1"])
    (gradient,) = torch.autograd.grad(activations["relu2_1"], image, grad)
    assert gradient.norm() > 0
    assert torch.equal(grad, torch.ones_like(grad)), "the caller's gradient was written to"
    for layer, f in activations.items():
        assert torch.equal(f.detach(), before[layer]), f"the backward pass changed {layer}"


def test_a_second_gradient_is_refused():
    activations = Encoder(random_weights())(torch.rand(3, 18, 20).requires_grad_(), LAYERS)
    activations["relu2_1"].sum().backward()
    with pytest.raises(RuntimeError, match="run the encoder again"):
        activations["relu1_1"].sum().backward()


@pytest.mark.parametrize("differentiated", [True, False])
def test_activations_are_released(differentiated):
    """Those saved for a gradient go after it, or with the activations if it is never taken."""
    encoder = Encoder(random_weights())
    image = torch.rand(3, 18, 20).requires_grad_()
    activations = encoder(image, LAYERS)
    storages = [weakref.ref(f.untyped_storage()) for f in activations.values()]
    if differentiated:
        sum(f.sum() for f in activations.values()).backward()
    del activations
    assert not any(reference() for reference in storages), "activations stay in memory"


def test_a_frozen_layer_above_a_trained_one_passes_its_gradient_on():
    encoder = Encoder(random_weights())
    encoder.conv1_1_weight.requires_grad_()
    encoder(torch.rand(3, 20, 24), ("relu2_1",))["relu2_1"].sum().backward()
    assert encoder.conv1_1_weight.grad.abs().sum() > 0


# ---- weights


def test_the_callers_weights_stay_unchanged():
    weights = random_weights()
    before = {name: weight.clone() for name, (weight, _) in weights.convolutions.items()}
    matrix = weights.normalise[0].clone()
    encoder = Encoder(weights).double()
    encoder.offset.zero_()
    for name, (weight, _) in weights.convolutions.items():
        assert weight.dtype == torch.float32 and torch.equal(weight, before[name]), f"{name} was changed"
    assert torch.equal(weights.normalise[0], matrix) and weights.normalise[1].abs().sum() > 0


def test_weights_changed_in_place_take_effect():
    image = torch.rand(3, 20, 24)
    encoder = Encoder(random_weights())
    before = encoder(image, ("relu2_1",))["relu2_1"]
    encoder.conv2_1_weight.mul_(2)
    after = encoder(image, ("relu2_1",))["relu2_1"]
    assert not torch.allclose(before, after), "transformed weights were not made anew"


def test_weights_made_in_inference_mode_work():
    image = torch.rand(3, 20, 24)
    expected = Encoder(random_weights())(image, ("relu2_1",))["relu2_1"]
    with torch.inference_mode():
        torch.testing.assert_close(Encoder(random_weights())(image, ("relu2_1",))["relu2_1"], expected)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [("vgg16", None, "'vgg16'.*embedded, vgg19-16x, vgg19"), ("embedded", "some.pth", "weights: .*embedded")],
    ids=["unknown name", "weights for embedded"],
)
def test_wrong_arguments_of_load_encoder_are_refused(name, weights, message):
    with pytest.raises(InputError, match=message):
        load_encoder(name, weights)


# ---- the encoder that comes with the package ----------------------------------------------------------------

EMBEDDED_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu4_1", "relu4_2", "relu5_1")


@pytest.mark.parametrize("preset", PRESETS)
def test_embedded_encoder_has_the_layers_of_the_preset(preset):
    encoder, settings = load_encoder("embedded"), preset_settings(preset)
    assert encoder.layers == EMBEDDED_LAYERS
    encoder.check([*settings.content_layers, *settings.style_layers])


def test_embedded_file_is_small_and_described_by_its_card():
    data = EMBEDDED.read_bytes()
    assert len(data) <= 2_000_000
    card = EMBEDDED.with_name("MODEL_CARD.md").read_text()
    assert hashlib.sha256(data).hexdigest() in card and f"{len(data):,} bytes" in card
    assert "@" not in card, "a placeholder is left in the card"
    tensors = load_file(EMBEDDED)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    weights = read_weights(EMBEDDED)
    assert weights.licence == "MIT" and "train_encoder.py" in weights.source


def test_embedded_encoder_is_alive_in_every_layer():
    """Few channels are silent in any layer, and photos differ in all layers by more than noise does."""
    encoder = load_encoder("embedded")
    first, second = encoder(day(96, 128).pixels, EMBEDDED_LAYERS), encoder(dusk(96, 128).pixels, EMBEDDED_LAYERS)
    noisy = day(96, 128).pixels + 0.001 * torch.randn(3, 96, 128, generator=torch.Generator().manual_seed(1))
    third = encoder(noisy, EMBEDDED_LAYERS)
    for layer in EMBEDDED_LAYERS:
        fires = (first[layer].amax((1, 2)) > 0) | (second[layer].amax((1, 2)) > 0)
        assert fires.float().mean() > 0.75, layer
        means = [f[layer].mean((1, 2)) for f in (first, second, third)]
        assert (means[0] - means[1]).norm() > 10 * (means[0] - means[2]).norm(), layer


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(lambda: torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(4)), id="16x16"),
        pytest.param(lambda: torch.zeros(3, 16, 48), id="black"),
        pytest.param(lambda: torch.ones(3, 33, 17), id="white"),
        pytest.param(lambda: day(16, 96).pixels, id="wide"),
        pytest.param(lambda: day(17, 17).pixels.mean(0).expand(3, -1, -1), id="colourless"),
    ],
)
def test_embedded_encoder_on_difficult_photos(photo):
    image = photo().clone().requires_grad_()
    activations = load_encoder("embedded")(image, EMBEDDED_LAYERS)
    for layer, activation in activations.items():
        assert torch.isfinite(activation).all() and activation.min() >= 0, layer
    sum(a.square().mean() for a in activations.values()).backward()
    assert torch.isfinite(image.grad).all()


@pytest.mark.skipif(not TEACHER.exists(), reason="needs the teacher's weights")
@pytest.mark.parametrize(("layer", "error"), [("relu1_1", 0.07), ("relu2_1", 0.15), ("relu3_1", 0.3)])
def test_vgg19_follows_linearly_from_the_embedded_encoder(layer, error):
    """A linear map takes its activations to VGG-19's, on photos that are not among those of its training."""
    photos = [photo.pixels for photo in (day(96, 128), dusk(96, 128))]
    encoders = load_encoder("embedded"), Encoder(read_weights(TEACHER))
    ours, theirs = (
        torch.cat([encoder(photo, [layer])[layer].flatten(1) for photo in photos], 1).double() for encoder in encoders
    )
    head = torch.linalg.lstsq(ours.T, theirs.T, driver="gelsd").solution.T
    assert (head @ ours - theirs).square().sum() < error * theirs.square().sum()
