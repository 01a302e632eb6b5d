"""Local affine colour maps: definition, derivatives, smoothing, layouts, threads and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference

# Single pixels, more columns than a block and more rows than a band of the kernels, windows beyond the image.
CASES = [((1, 1), 0), ((1, 7), 2), ((3, 3), 1), ((5, 70), 1), ((70, 4), 2), ((13, 11), 4), ((13, 11), 100)]


def planar(*size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    height, width, planes = size
    values = torch.rand(planes, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return values.permute(1, 2, 0)


def random_maps(height: int, width: int) -> Tensor:
    return planar(height, width, 12, seed=20).reshape(height, width, 3, 4) - 0.3


def assert_near(got: Tensor, expected: Tensor, relative: float) -> None:
    """Compare, relative to the largest expected value."""
    got = got.cpu().double()
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= relative * expected.abs().max()


def tolerance(dtype: torch.dtype) -> float:
    return 1e-5 if dtype == torch.float32 else 1e-10


# ---- local_affine_fit


@pytest.mark.parametrize(("size", "radius"), CASES, ids=str)
def test_fit_and_its_gradient_equal_the_definition(size, radius, device, dtype):
    content, result = planar(*size, 3, seed=1), planar(*size, 3, seed=2).clone().requires_grad_()
    reach = min(radius, max(size))
    expected = reference.local_affine_fit(content, result, reach, 1e-2)
    direction = random_maps(*size)
    (expected * direction).sum().backward()

    got_result = result.detach().to(device, dtype).requires_grad_()
    got = ops.local_affine_fit(content.to(device, dtype), got_result, radius, 1e-2)
    (got * direction.to(device, dtype)).sum().backward()
    assert_near(got.detach(), expected.detach(), tolerance(dtype))
    assert_near(got_result.grad, result.grad, tolerance(dtype))


def test_fit_stays_accurate_where_colours_hardly_vary(device):
    """Nearly flat windows: uncentred normal equations would lose the map in float32."""
    content = (0.7 + 1e-4 * planar(20, 22, 3, seed=3)).float()
    result = (content.double() @ torch.tensor([[0.5, 0, 0.1], [0.2, 0.8, 0], [0, 0.1, 1]]).double() + 0.05).float()
    expected = reference.local_affine_fit(content.double(), result.double(), 2, 1e-7)
    got = ops.local_affine_fit(content.to(device), result.to(device), 2, 1e-7)
    assert_near(got, expected, 1e-5)


def test_fit_recovers_an_exact_affine_map_and_apply_reproduces_the_result():
    content = planar(30, 33, 3, seed=4)
    matrix = torch.tensor([[0.5, 0.1, 0], [0.2, 0.8, -0.1], [0, 0.1, 1.1]], dtype=torch.float64)
    offset = torch.tensor([0.05, -0.02, 0.1], dtype=torch.float64)
    result = content @ matrix.T + offset
    maps = ops.local_affine_fit(content, result, 3, 1e-9)
    torch.testing.assert_close(maps[..., :3], matrix.expand(30, 33, 3, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(maps[..., 3], offset.expand(30, 33, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(ops.local_affine_apply(maps, content), result, rtol=0, atol=1e-8)


# ---- local_affine_apply


@pytest.mark.parametrize("map_size", [(1, 1), (3, 5), (23, 31), (40, 50)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (23, 31), (46, 62), (50, 17)], ids=str)
def test_apply_and_its_gradients_equal_the_definition(size, map_size, device, dtype):
    maps = random_maps(*map_size).clone().requires_grad_()
    content = planar(*size, 3, seed=5).clone().requires_grad_()
    expected = reference.local_affine_apply(maps, content)
    direction = planar(*size, 3, seed=6) - 0.5
    (expected * direction).sum().backward()
    got_maps = maps.detach().to(device, dtype).requires_grad_()
    got_content = content.detach().to(device, dtype).requires_grad_()
    got = ops.local_affine_apply(got_maps, got_content)
    (got * direction.to(device, dtype)).sum().backward()
    assert_near(got.detach(), expected.detach(), tolerance(dtype))
    assert_near(got_maps.grad, maps.grad, tolerance(dtype))
    assert_near(got_content.grad, content.grad, tolerance(dtype))


# ---- smoothing


def test_smoothing_equals_the_definition(device, dtype):
    maps, guide = random_maps(18, 21), planar(18, 21, 3, seed=10)
    got = ops.local_affine_smooth(maps.to(device, dtype), guide.to(device, dtype), 6, 0.1)
    assert_near(got, reference.local_affine_smooth(maps, guide, 6, 0.1), tolerance(dtype))


def test_smoothing_by_boxes_equals_the_definition(device, dtype):
    maps = random_maps(18, 21)
    got = ops.local_affine_smooth_box(maps.to(device, dtype), 4)
    assert_near(got, reference.local_affine_smooth_box(maps, 4), tolerance(dtype))


# ---- derivatives, layouts, threads, torch.compile


def test_derivatives_of_the_fit(device):
    content = planar(4, 5, 3, seed=11).to(device)
    result = planar(4, 5, 3, seed=12).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: ops.local_affine_fit(content, r, 1, 1e-2), result)
    assert torch.autograd.gradgradcheck(lambda r: ops.local_affine_fit(content, r, 1, 1e-2), result)


def test_derivatives_of_applied_maps(device):
    maps = random_maps(2, 3).to(device).requires_grad_()
    content = planar(4, 5, 3, seed=11).to(device).requires_grad_()
    assert torch.autograd.gradcheck(ops.local_affine_apply, (maps, content))


def test_derivatives_of_smoothing(device):
    guide = planar(4, 5, 3, seed=11).to(device)
    maps = random_maps(4, 5).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: ops.local_affine_smooth(m, guide, 2, 0.3), maps)
    assert torch.autograd.gradcheck(lambda m: ops.local_affine_smooth_box(m, 1), maps)


def test_any_memory_layout_gives_the_same_bits():
    content, result = planar(12, 15, 3, seed=13).float(), planar(12, 15, 3, seed=14).float()
    strided_result = result.repeat_interleave(2, dim=1)[:, ::2]
    fitted = ops.local_affine_fit(content.contiguous(), strided_result, 2)
    assert torch.equal(fitted, ops.local_affine_fit(content, result, 2))
    maps = random_maps(6, 7).float().contiguous()
    planar_maps = maps.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    applied = ops.local_affine_apply(planar_maps, content.contiguous())
    assert torch.equal(applied, ops.local_affine_apply(maps, content))


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    content, result = planar(150, 70, 3, seed=15).float(), planar(150, 70, 3, seed=16).float()

    def compute() -> list[Tensor]:
        leaf = result.clone().requires_grad_()
        maps = ops.local_affine_fit(content, leaf, 3)
        maps.square().sum().backward()
        return [maps.detach(), leaf.grad, ops.local_affine_apply(maps.detach(), content)]

    assert_independent_of_threads(compute)


def test_operators_follow_the_rules_of_torch():
    content, result = planar(5, 6, 3, seed=17), planar(5, 6, 3, seed=18).clone().requires_grad_()
    maps = random_maps(3, 4).clone().requires_grad_()
    library = torch.ops.fastphoto
    torch.library.opcheck(library.local_affine_fit.default, (content, result, 2, 1e-3))
    torch.library.opcheck(library.local_affine_fit_backward.default, (random_maps(5, 6), content, 2, 1e-3))
    torch.library.opcheck(library.local_affine_apply.default, (maps, result))


def test_compiles_without_graph_breaks():
    content, result = planar(5, 6, 3, seed=17), planar(5, 6, 3, seed=18).clone()

    def loss(r):
        maps = ops.local_affine_smooth_box(ops.local_affine_fit(content, r, 1), 2)
        return ops.local_affine_apply(ops.local_affine_smooth(maps, content, 3, 0.1), content).square().sum()

    eager, compiled = result.clone().requires_grad_(), result.clone().requires_grad_()
    loss(eager).backward()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(compiled).backward()
    torch.testing.assert_close(compiled.grad, eager.grad)


# ---- errors

C, MAPS = torch.rand(5, 6, 3), torch.rand(5, 6, 3, 4)


@pytest.mark.parametrize(
    ("result", "radius", "epsilon", "message"),
    [
        pytest.param(C[:4], 1, 1e-3, r"result is \(4, 6, 3\), expected the height", id="other size"),
        pytest.param(C[..., :2], 1, 1e-3, r"result is \(5, 6, 2\), expected \(H, W, 3\)", id="two colours"),
        pytest.param(C.double(), 1, 1e-3, "result has dtype Double, expected that of content, Float", id="dtype"),
        pytest.param(C, -1, 1e-3, "radius is -1, expected 0 or more pixels", id="radius"),
        pytest.param(C, 1, 0.0, "epsilon is 0, expected a finite number above 0", id="epsilon"),
    ],
)
def test_wrong_arguments_of_the_fit_are_named(result, radius, epsilon, message):
    with pytest.raises(RuntimeError, match=f"local_affine_fit: {message}"):
        ops.local_affine_fit(C, result, radius, epsilon)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        pytest.param(MAPS[..., :3], r"maps is \(5, 6, 3, 3\), expected", id="three columns"),
        pytest.param(MAPS.double(), "maps has dtype Double", id="dtype"),
    ],
)
def test_wrong_maps_are_named(maps, message):
    with pytest.raises(RuntimeError, match=f"local_affine_apply: {message}"):
        ops.local_affine_apply(maps, C)


def test_content_of_the_fit_must_not_require_a_gradient():
    with pytest.raises(InputError, match="local_affine_fit: content requires a gradient"):
        ops.local_affine_fit(C.clone().requires_grad_(), C)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: ops.local_affine_smooth(MAPS, C, 0), "radius is 0, expected 1 pixel or more", id="radius"),
        pytest.param(
            lambda: ops.local_affine_smooth(MAPS[..., 0], C), r"local_affine_smooth: maps is \(5, 6, 3\)", id="maps"
        ),
        pytest.param(
            lambda: ops.local_affine_smooth_box(MAPS[0], 1),
            r"local_affine_smooth_box: maps is \(6, 3, 4\)",
            id="maps of boxes",
        ),
    ],
)
def test_wrong_arguments_of_smoothing_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
