"""Encoders: the stack against torch written plainly, the embedded one on every kind of photo, and messages."""

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
from fastphoto.encoders.weights import EncoderWeights, read_weights
from fastphoto.errors import InputError
from fastphoto.optimisation.presets import PRESETS, preset_settings

NAMES = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
TEACHER = SHARED / "weights" / "vgg19_conv1_1_to_conv3_1.safetensors"


def some_weights(padding: str = "zeros", pooling: str = "max_floor", seed: int = 0) -> EncoderWeights:
    generator = torch.Generator().manual_seed(seed)
    convolutions, channels = {}, 3
    for name, width in zip(NAMES, (8, 10, 12, 9, 5), strict=True):
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
        mode = "constant" if weights.padding == "zeros" else "reflect" if min(height, width) > 1 else "replicate"
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


EVERY = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("wanted", [EVERY, ("relu1_2", "relu2_1"), ("relu1_1",), ("relu2_2", "relu3_1")], ids=str)
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["max_ceil", "max_floor"])
@pytest.mark.parametrize("size", [(16, 20), (17, 22), (4, 5)], ids=str)
def test_gradient_is_that_of_the_definition(size, pooling, padding, wanted, multiple):
    """Of several layers at once, with and without channels that fill up, in double."""
    weights = some_weights(padding, pooling)
    encoder = Encoder(weights, torch.float64, multiple).double()
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    one, other = image.clone().requires_grad_(), image.clone().requires_grad_()
    found, defined = encoder(one, wanted), plainly(other, weights)
    assert list(found) == [layer for layer in EVERY if layer in wanted]
    probes = {layer: torch.randn(f.shape, dtype=torch.float64) for layer, f in found.items()}
    sum((found[layer] * probe).sum() for layer, probe in probes.items()).backward()
    sum((defined[layer] * probe).sum() for layer, probe in probes.items()).backward()
    assert other.grad.norm() > 0 and one.grad.shape == image.shape
    assert (one.grad - other.grad).norm() < 1e-10 * other.grad.norm()


def test_one_activation_may_be_left_without_a_gradient_and_be_looked_at_later():
    encoder = Encoder(some_weights())
    image = torch.rand(3, 18, 20).requires_grad_()
    found = encoder(image, EVERY)
    before = {layer: f.detach().clone() for layer, f in found.items()}
    grad = torch.ones_like(found["relu2_1"])
    (gradient,) = torch.autograd.grad(found["relu2_1"], image, grad)
    assert gradient.norm() > 0 and torch.equal(grad, torch.ones_like(grad)), "a caller's gradient is not written to"
    for layer, f in found.items():
        assert torch.equal(f.detach(), before[layer]), layer
    with pytest.raises(RuntimeError, match="run the encoder again"):
        found["relu1_1"].sum().backward()


def test_activations_are_let_go_of():
    """What was kept for a gradient goes with it, and with the activations if there never is one."""
    encoder, alive = Encoder(some_weights()), []
    for use in (True, False):
        image = torch.rand(3, 18, 20).requires_grad_()
        found = encoder(image, EVERY)
        alive += [weakref.ref(f.untyped_storage()) for f in found.values()]
        if use:
            sum(f.sum() for f in found.values()).backward()
        del found
    assert not any(reference() for reference in alive)


def test_weights_given_stay_the_callers():
    weights = some_weights()
    first = {name: weight.clone() for name, (weight, _) in weights.convolutions.items()}
    matrix = weights.normalise[0].clone()
    encoder = Encoder(weights).double()
    encoder.offset.zero_()
    for name, (weight, _) in weights.convolutions.items():
        assert weight.dtype == torch.float32 and torch.equal(weight, first[name])
    assert torch.equal(weights.normalise[0], matrix) and weights.normalise[1].abs().sum() > 0


# ---- the encoder that comes with the package ----------------------------------------------------------------

LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu4_1", "relu4_2", "relu5_1")


def test_embedded_encoder_has_what_the_presets_ask_for():
    encoder = load_encoder("embedded")
    assert encoder.layers == LAYERS
    for preset in PRESETS:
        settings = preset_settings(preset)
        encoder.check([*settings.content_layers, *settings.style_layers])


def test_embedded_file_is_small_and_the_one_its_card_describes():
    data = EMBEDDED.read_bytes()
    assert len(data) <= 2_000_000
    card = EMBEDDED.with_name("MODEL_CARD.md").read_text()
    assert hashlib.sha256(data).hexdigest() in card and f"{len(data):,} bytes" in card
    assert "@" not in card, "nothing is left to be filled in"
    tensors = load_file(EMBEDDED)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    weights = read_weights(EMBEDDED)
    assert weights.licence == "MIT" and "train_encoder.py" in weights.source


def test_embedded_encoder_is_alive_in_every_layer():
    """No layer is mostly silent, and photos differ in all layers by more than noise does."""
    encoder = load_encoder("embedded")
    first, second = encoder(day(96, 128).pixels, LAYERS), encoder(dusk(96, 128).pixels, LAYERS)
    noisy = day(96, 128).pixels + 0.001 * torch.randn(3, 96, 128, generator=torch.Generator().manual_seed(1))
    third = encoder(noisy, LAYERS)
    for layer in LAYERS:
        seen = (first[layer].amax((1, 2)) > 0) | (second[layer].amax((1, 2)) > 0)
        assert seen.float().mean() > 0.75, layer
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
    found = load_encoder("embedded")(image, LAYERS)
    for layer, activation in found.items():
        assert torch.isfinite(activation).all() and activation.min() >= 0, layer
    sum(a.square().mean() for a in found.values()).backward()
    assert torch.isfinite(image.grad).all()


@pytest.mark.skipif(not TEACHER.exists(), reason="the teacher's weights are not at hand")
def test_vgg19_follows_from_the_embedded_encoder():
    """What the encoder is for: a linear map takes its activations to VGG-19's, on photos that it never saw."""
    teacher = Encoder(read_weights(TEACHER))
    student = load_encoder("embedded")
    for layer, error in (("relu1_1", 0.07), ("relu2_1", 0.15), ("relu3_1", 0.3)):
        photos = [p.pixels for p in (day(96, 128), dusk(96, 128))]
        ours, theirs = (torch.cat([e(p, [layer])[layer].flatten(1) for p in photos], 1) for e in (student, teacher))
        ours, theirs = ours.double(), theirs.double()
        head = torch.linalg.lstsq(ours.T, theirs.T, driver="gelsd").solution.T
        assert (head @ ours - theirs).square().sum() < error * theirs.square().sum(), layer


def test_batches_are_images_one_by_one():
    encoder = Encoder(some_weights())
    images = torch.rand(3, 3, 20, 24, generator=torch.Generator().manual_seed(2))
    found = encoder(images, ("relu1_2", "relu3_1"))
    for i, image in enumerate(images):
        for layer, activation in encoder(image, ("relu1_2", "relu3_1")).items():
            assert found[layer].shape[1:] == activation.shape
            assert torch.allclose(found[layer][i], activation, atol=1e-6)


def test_messages_of_loading():
    with pytest.raises(InputError, match="'vgg16'.*embedded, vgg19-16x, vgg19"):
        load_encoder("vgg16")
    with pytest.raises(InputError, match="weights: .*embedded"):
        load_encoder("embedded", "some.pth")


def test_weights_changed_in_place_and_made_in_inference_mode_are_seen():
    weights = some_weights("zeros", "max_floor")
    image = torch.rand(3, 20, 24)
    encoder = Encoder(weights)
    before = encoder(image, ("relu2_1",))["relu2_1"]
    encoder.conv2_1_weight.mul_(2)
    after = encoder(image, ("relu2_1",))["relu2_1"]
    assert not torch.allclose(before, after), "transformed weights are made anew"
    with torch.inference_mode():
        torch.testing.assert_close(Encoder(weights)(image, ("relu2_1",))["relu2_1"], before)


def test_a_frozen_layer_above_a_trained_one_passes_its_gradient_on():
    encoder = Encoder(some_weights("zeros", "max_floor"))
    encoder.conv1_1_weight.requires_grad_()
    encoder(torch.rand(3, 20, 24), ("relu2_1",))["relu2_1"].sum().backward()
    assert encoder.conv1_1_weight.grad.abs().sum() > 0
