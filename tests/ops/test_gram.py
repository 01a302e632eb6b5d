"""Masked Gram matrices and pixel lists: values, exact gradients, memory formats, threads and errors."""

from __future__ import annotations

import pytest
import torch
from emulation import EMULATION
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference


def random(*size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def region_masks(kind: str, height: int, width: int) -> Tensor:
    """Return (3, height, width) float64 masks of one kind."""
    region_map = (random(height, width, seed=1) * 3).long()
    hard = torch.stack([region_map == r for r in range(3)]).double()
    if kind == "hard":
        return hard
    soft = random(3, height, width, seed=2)
    if kind == "overlapping":
        return soft
    if kind == "soft":
        return soft / soft.sum(0) * (soft > 0.4)
    hard[1] = 0
    return hard


def check_value_and_gradient(features: Tensor, masks: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Compare with float64 autograd of the definition, and return the gradient."""
    expected_in = features.double().clone().requires_grad_()
    expected = reference.masked_gram(expected_in, masks)
    direction = random(*expected.shape, seed=3) - 0.5
    (expected * direction).sum().backward()

    got_in = features.to(device, dtype).detach().requires_grad_()
    got = ops.masked_gram(got_in, masks.to(device, dtype))
    (got * direction.to(device, dtype)).sum().backward()
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert got.shape == expected.shape and got.dtype == dtype
    assert torch.equal(got, got.mT)
    assert (got.cpu().double() - expected).norm() <= tolerance * expected.norm()
    assert (got_in.grad.cpu().double() - expected_in.grad).norm() <= tolerance * expected_in.grad.norm()
    return got_in.grad


@pytest.mark.parametrize("channels_last", [False, True], ids=["planar", "channels_last"])
@pytest.mark.parametrize("kind", ["hard", "soft", "overlapping", "one empty"])
@pytest.mark.parametrize("channels", [1, 3, 16, 33, 70])
def test_value_and_gradient_for_all_kinds_of_masks(channels, kind, channels_last, device, dtype):
    features = random(channels, 19, 37, seed=4)
    if channels_last:
        features = features.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    gradient = check_value_and_gradient(features, region_masks(kind, 19, 37), device, dtype)
    if channels > 1:
        assert gradient.stride() == features.stride(), "the gradient has another memory format than the features"


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (3, 3), (61, 67)], ids=str)
def test_sizes_from_one_pixel_to_many_blocks(size, device, dtype):
    check_value_and_gradient(random(5, *size, seed=5), region_masks("soft", *size) + 0.1, device, dtype)


def test_large_region_is_accurate_in_float32(device):
    """Many chunks and blocks: the case in which float32 sums would lose digits."""
    check_value_and_gradient(random(24, 180, 190, seed=6), random(2, 180, 190, seed=7), device, torch.float32)


@pytest.mark.parametrize("channels", [8, 24, 33, 64, 72])
@pytest.mark.parametrize("kind", ["hard", "soft", "overlapping", "one empty"])
@pytest.mark.parametrize("padded", [False, True], ids=["dense", "padded pixels"])
def test_bfloat16_on_cuda(channels, kind, padded):
    """Against float64 of the same rounded features; sums are float32, and so are Gram matrices."""
    if not EMULATION and not (ops.build_info()["cuda"] and torch.cuda.is_available()):
        pytest.skip("bfloat16 features are for CUDA, which is not in use")
    device = "cpu" if EMULATION else "cuda"
    masks = region_masks(kind, 19, 37)
    features = random(19, 37, channels + 8 * padded, seed=4).bfloat16()[..., :channels].permute(2, 0, 1)
    exact = features.double().requires_grad_()
    expected = reference.masked_gram(exact, masks)
    direction = random(*expected.shape, seed=3) - 0.5
    (gradient,) = torch.autograd.grad(expected, exact, direction)

    leaf = features.to(device).detach().requires_grad_()
    got = ops.masked_gram(leaf, masks.float().to(device))
    (got_gradient,) = torch.autograd.grad(got, leaf, direction.float().to(device))
    assert got.dtype == torch.float32 and got_gradient.dtype == torch.bfloat16
    assert torch.equal(got, got.mT)
    exactly = kind in ("hard", "one empty")
    assert (got.cpu().double() - expected).norm() <= (1e-6 if exactly else 1e-3) * expected.norm()
    assert (got_gradient.cpu().double() - gradient).norm() <= 5e-3 * gradient.norm()


def test_more_regions_than_one_launch_takes(device):
    region_map = (random(40, 41, seed=15) * 150).long()
    masks = torch.stack([region_map == r for r in range(150)]).double()
    check_value_and_gradient(random(6, 40, 41, seed=16), masks, device, torch.float32)


@pytest.mark.parametrize("pixels", [63, 64, 65, 129])
@pytest.mark.parametrize("channels", [63, 64, 65, 130])
def test_sizes_around_those_of_tiles(channels, pixels, device):
    features = random(1, pixels, channels, seed=17).permute(2, 0, 1)
    masks = torch.stack([torch.arange(pixels) % 3 != r for r in range(3)]).double()[:, None]
    masks[1, :, : pixels // 2] = 0
    check_value_and_gradient(features, masks * 0.7, device, torch.float32)


def test_same_bits_in_every_call(device):
    features, masks = random(33, 30, 31, seed=18).float().to(device), random(3, 30, 31, seed=19).float().to(device)
    results = []
    for _ in range(3):
        leaf = features.clone().requires_grad_()
        gram = ops.masked_gram(leaf, masks)
        (gram**2).sum().backward()
        results.append((gram.detach(), leaf.grad))
    for other in results[1:]:
        assert all(map(torch.equal, other, results[0]))


def test_empty_region_gives_zeros_and_unlisted_pixels_no_gradient():
    masks = torch.zeros(2, 4, 5)
    masks[0, 1, 2] = 0.5
    features = random(3, 4, 5, seed=8).float().requires_grad_()
    gram = ops.masked_gram(features, masks)
    gram.sum().backward()
    assert torch.equal(gram[1], torch.zeros(3, 3))
    pixel = features.detach()[:, 1, 2]
    torch.testing.assert_close(gram[0].detach(), 0.25 * pixel[:, None] * pixel)
    touched = features.grad.abs().sum(0) > 0
    assert touched[1, 2] and touched.sum() == 1


def test_pixels_outside_all_regions_are_not_read():
    features = torch.full((4, 6, 6), float("nan"))
    features[:, :3] = 1
    masks = torch.zeros(1, 6, 6)
    masks[:, :3] = 1
    assert torch.equal(ops.masked_gram(features, masks), torch.full((1, 4, 4), 18.0))


def padded_channels_last(x: Tensor) -> Tensor:
    return torch.cat([x, x]).permute(1, 2, 0).contiguous().permute(2, 0, 1)[: len(x)]


LAYOUTS = {
    "batch slice": lambda x: torch.stack([x, x]).to(memory_format=torch.channels_last)[1],
    "every second": lambda x: x.repeat_interleave(2, dim=2)[:, :, ::2],
    "transposed": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "repeated": lambda x: x[:1].expand(6, -1, -1),
    "padded channels_last": padded_channels_last,
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_any_memory_layout(layout):
    masks = region_masks("soft", 10, 12).float()
    features = layout(random(6, 10, 12, seed=9).float()).detach().requires_grad_()
    copy = features.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    for tensor in (features, copy):
        (ops.masked_gram(tensor, masks) ** 2).sum().backward()
    torch.testing.assert_close(features.grad, copy.grad, rtol=1e-5, atol=1e-5)


def test_gradcheck_in_double(device):
    pixels = ops.list_pixels(region_masks("soft", 4, 5).to(device))
    features = random(3, 4, 5, seed=10).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: ops.masked_gram(f, pixels), features)


def test_second_derivative_is_refused_and_not_silently_zero():
    features = random(3, 4, 5, seed=14).requires_grad_()
    gram = ops.masked_gram(features, region_masks("hard", 4, 5))
    (gradient,) = torch.autograd.grad(gram.square().sum(), features, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiable once"):
        gradient.sum().backward()


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    features, masks = random(20, 90, 95, seed=11).float(), random(2, 90, 95, seed=12).float()

    def compute() -> list[Tensor]:
        leaf = features.clone().requires_grad_()
        gram = ops.masked_gram(leaf, masks)
        (gram**2).sum().backward()
        return [gram.detach(), leaf.grad]

    assert_independent_of_threads(compute)


def test_pixel_lists_hold_each_region_in_order(device):
    masks = torch.zeros(3, 2, 3)
    masks[0, 0, 1], masks[0, 1, 2], masks[2, 0, 1] = 0.25, 1, 0.5
    pixels = ops.list_pixels(masks.to(device))
    assert (pixels.height, pixels.width) == (2, 3)
    assert pixels.indices.tolist() == [1, 5, 1] and pixels.indices.dtype == torch.int32
    assert pixels.weights.tolist() == [0.25, 1, 0.5] and pixels.weights.device.type == device.type
    assert pixels.offsets.tolist() == [0, 2, 2, 3] and pixels.offsets.device.type == "cpu"


def test_pixel_lists_serve_features_of_either_dtype():
    masks = region_masks("hard", 5, 6)
    pixels = ops.list_pixels(masks.bool())
    features = random(4, 5, 6, seed=13)
    expected = reference.masked_gram(features, masks)
    torch.testing.assert_close(ops.masked_gram(features, pixels), expected)
    torch.testing.assert_close(ops.masked_gram(features.float(), pixels), expected.float())


def test_masks_of_any_memory_layout():
    masks = region_masks("hard", 5, 6)
    features = random(4, 5, 6, seed=13)
    transposed = masks.permute(0, 2, 1).contiguous().permute(0, 2, 1)
    torch.testing.assert_close(ops.masked_gram(features, transposed), reference.masked_gram(features, masks))


@pytest.mark.parametrize("channels_last", [False, True], ids=["planar", "channels_last"])
def test_operator_follows_the_rules_of_torch(channels_last):
    pixels = ops.list_pixels(region_masks("soft", 6, 7))
    lists = (pixels.indices, pixels.weights, pixels.offsets)
    features = random(6, 7, 4).permute(2, 0, 1) if channels_last else random(4, 6, 7)
    leaf = features.clone().requires_grad_()
    torch.library.opcheck(torch.ops.fastphoto.masked_gram.default, (leaf, *lists))
    torch.library.opcheck(torch.ops.fastphoto.masked_gram_backward.default, (random(3, 4, 4), features, *lists))


def test_compiles_without_graph_breaks():
    pixels = ops.list_pixels(region_masks("soft", 6, 7))

    def loss(f):
        return (ops.masked_gram(f, pixels) ** 2).sum()

    eager, compiled = random(4, 6, 7).requires_grad_(), random(4, 6, 7).requires_grad_()
    loss(eager).backward()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(compiled).backward()
    torch.testing.assert_close(compiled.grad, eager.grad)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        pytest.param(torch.ones(4, 5), r"masks is \(4, 5\), expected a non-empty \(R, H, W\)", id="rank"),
        pytest.param(torch.ones(0, 4, 5), r"masks is \(0, 4, 5\)", id="empty"),
        pytest.param(torch.full((2, 4, 5), -0.5), "region 0 that is negative or not finite", id="negative"),
        pytest.param(
            torch.stack([torch.ones(4, 5), torch.full((4, 5), float("nan"))]),
            "region 1 that is negative or not finite",
            id="NaN",
        ),
        pytest.param(torch.full((1, 4, 5), float("inf")), "not finite", id="infinite"),
        pytest.param(torch.ones(1, 4, 5, requires_grad=True), "masks requires a gradient", id="gradient"),
        pytest.param(torch.ones(1, 4, 6), r"features is \(3, 4, 5\), expected \(C, 4, 6\)", id="other size"),
    ],
)
def test_wrong_masks_are_named(masks, message):
    with pytest.raises(InputError, match=message):
        ops.masked_gram(torch.rand(3, 4, 5), masks)


FEATURES = torch.rand(3, 4, 5)
PIXELS = ops.list_pixels(torch.ones(1, 4, 5))


def with_wrong(**changes: Tensor) -> dict[str, Tensor]:
    """Return the arguments of the native operator, some of them replaced by wrong ones."""
    right = {"features": FEATURES, "indices": PIXELS.indices, "weights": PIXELS.weights, "offsets": PIXELS.offsets}
    return right | changes


@pytest.mark.parametrize("name", ["masked_gram", "masked_gram_backward"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": FEATURES.half(), "weights": PIXELS.weights.half()}, "features has dtype Half"),
        ({"indices": PIXELS.indices.long()}, "indices has dtype Long, expected Int"),
        ({"weights": PIXELS.weights.double()}, "weights has dtype Double, expected that of features, Float"),
        ({"weights": PIXELS.weights[1:]}, r"weights is \(19,\), expected \(20,\)"),
        ({"offsets": PIXELS.offsets.int()}, "offsets has dtype Int, expected Long"),
        ({"offsets": torch.tensor([0, 19])}, "offsets runs from 0 to 19, expected 0 to 20"),
        ({"offsets": torch.tensor([0, 12, 8, 20])}, "offsets descends at region 1"),
    ],
    ids=["half", "long indices", "double weights", "short weights", "int offsets", "short offsets", "descending"],
)
def test_wrong_pixel_lists_are_named(name, changes, message):
    arguments = with_wrong(**changes)
    gradient = [torch.rand(len(arguments["offsets"]) - 1, 3, 3)] if name == "masked_gram_backward" else []
    with pytest.raises(RuntimeError, match=f"{name}: {message}"):
        getattr(torch.ops.fastphoto, name)(*gradient, *arguments.values())


@pytest.mark.parametrize("name", ["masked_gram", "masked_gram_backward"])
@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (PIXELS.indices.flip(0), "are not in ascending order"),
        (PIXELS.indices + 1, "go beyond the 20 pixels"),
        (PIXELS.indices - 1, "go beyond the 20 pixels"),
    ],
    ids=["descending", "too large", "negative"],
)
def test_wrong_indices_are_never_followed(name, indices, message):
    arguments = with_wrong(indices=indices)
    gradient = [torch.rand(1, 3, 3)] if name == "masked_gram_backward" else []
    operator = getattr(torch.ops.fastphoto, name)
    if EMULATION:  # the CUDA kernels cannot check indices before they start: they skip what lies outside
        operator(*gradient, *arguments.values())
        return
    with pytest.raises(RuntimeError, match=f"{name}: indices of region 0 {message}"):
        operator(*gradient, *arguments.values())
