"""Local affine maps, box sums and bilateral sums: definitions, derivatives, layouts and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference

# Single pixels, more columns than a block and more rows than a band of the kernels, windows beyond the image.
CASES = [((1, 1), 0), ((1, 7), 2), ((3, 3), 1), ((5, 70), 1), ((70, 4), 2), ((13, 11), 4), ((13, 11), 100)]
INFINITY = float("inf")


def planar(*size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    height, width, planes = size
    values = torch.rand(planes, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return values.permute(1, 2, 0)


def random_maps(height: int, width: int) -> Tensor:
    return planar(height, width, 12, seed=20).reshape(height, width, 3, 4) - 0.3


def assert_near(got: Tensor, wanted: Tensor, relative: float) -> None:
    """Compares against the largest value wanted."""
    got = got.cpu().double()
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= relative * wanted.abs().max()


def tolerance(dtype: torch.dtype) -> float:
    return 1e-5 if dtype == torch.float32 else 1e-10


@pytest.mark.parametrize(("size", "radius"), CASES, ids=str)
def test_fit_and_its_gradient_equal_the_definition(size, radius, device, dtype):
    content, result = planar(*size, 3, seed=1), planar(*size, 3, seed=2).clone().requires_grad_()
    reach = min(radius, max(size))
    wanted = reference.local_affine_fit(content, result, reach, 1e-2)
    direction = random_maps(*size)
    (wanted * direction).sum().backward()

    got_result = result.detach().to(device, dtype).requires_grad_()
    got = ops.local_affine_fit(content.to(device, dtype), got_result, radius, 1e-2)
    (got * direction.to(device, dtype)).sum().backward()
    assert_near(got.detach(), wanted.detach(), tolerance(dtype))
    assert_near(got_result.grad, result.grad, tolerance(dtype))


def test_fit_stays_accurate_where_colours_hardly_vary(device):
    """Nearly flat windows: uncentred normal equations would lose the map in float32."""
    content = (0.7 + 1e-4 * planar(20, 22, 3, seed=3)).float()
    result = (content.double() @ torch.tensor([[0.5, 0, 0.1], [0.2, 0.8, 0], [0, 0.1, 1]]).double() + 0.05).float()
    wanted = reference.local_affine_fit(content.double(), result.double(), 2, 1e-7)
    got = ops.local_affine_fit(content.to(device), result.to(device), 2, 1e-7)
    assert_near(got, wanted, 1e-5)


def test_fit_recovers_an_exact_affine_map_and_apply_reproduces_the_result():
    content = planar(30, 33, 3, seed=4)
    matrix = torch.tensor([[0.5, 0.1, 0], [0.2, 0.8, -0.1], [0, 0.1, 1.1]], dtype=torch.float64)
    offset = torch.tensor([0.05, -0.02, 0.1], dtype=torch.float64)
    result = content @ matrix.T + offset
    maps = ops.local_affine_fit(content, result, 3, 1e-9)
    torch.testing.assert_close(maps[..., :3], matrix.expand(30, 33, 3, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(maps[..., 3], offset.expand(30, 33, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(ops.local_affine_apply(maps, content), result, rtol=0, atol=1e-8)


@pytest.mark.parametrize("map_size", [(1, 1), (3, 5), (23, 31), (40, 50)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (23, 31), (46, 62), (50, 17)], ids=str)
def test_apply_and_its_gradients_equal_the_definition(size, map_size, device, dtype):
    maps, content = (
        random_maps(*map_size).clone().requires_grad_(),
        planar(*size, 3, seed=5).clone().requires_grad_(),
    )
    wanted = reference.local_affine_apply(maps, content)
    direction = planar(*size, 3, seed=6) - 0.5
    (wanted * direction).sum().backward()
    got_maps = maps.detach().to(device, dtype).requires_grad_()
    got_content = content.detach().to(device, dtype).requires_grad_()
    got = ops.local_affine_apply(got_maps, got_content)
    (got * direction.to(device, dtype)).sum().backward()
    assert_near(got.detach(), wanted.detach(), tolerance(dtype))
    assert_near(got_maps.grad, maps.grad, tolerance(dtype))
    assert_near(got_content.grad, content.grad, tolerance(dtype))


@pytest.mark.parametrize(("size", "radius"), CASES, ids=str)
def test_box_sum_equals_the_definition(size, radius, device, dtype):
    x = planar(*size, 2, seed=7)
    wanted = reference.box_sum(x, min(radius, max(size)))
    assert_near(ops.box_sum(x.to(device, dtype), radius), wanted, 1e-6 if dtype == torch.float32 else 1e-13)


def test_box_sum_does_not_drift_along_a_large_image():
    x = torch.full((3, 1500, 1700), 0.1).permute(1, 2, 0)
    sums = ops.box_sum(x, 1)
    assert (sums[1:-1, 1:-1] / 0.9 - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("radius", "sigma_space", "sigma_colour"),
    [
        (0, 1, 0.1),
        (1, 0.5, 0.2),
        (4, 2.0, 0.05),
        (7, 3.0, INFINITY),
        (5, INFINITY, 0.1),
        (3, INFINITY, INFINITY),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 300), (23, 31)], ids=str)
def test_bilateral_sum_equals_the_definition(size, radius, sigma_space, sigma_colour, device, dtype):
    guide, x = planar(*size, 3, seed=8), planar(*size, 5, seed=9)
    wanted = reference.bilateral_sum(guide, x, radius, sigma_space, sigma_colour)
    got = ops.bilateral_sum(guide.to(device, dtype), x.to(device, dtype), radius, sigma_space, sigma_colour)
    assert_near(got, wanted, 2e-6 if dtype == torch.float32 else 1e-12)


def test_bilateral_weights_fall_to_zero_and_never_to_nonsense():
    """Exponents far below the smallest float: an edge no weight may cross."""
    guide = torch.zeros(9, 12, 3)
    guide[:, 6:] = 1
    x = torch.ones(9, 12, 1)
    x[:, 6:] = float(2**60)
    sums = ops.bilateral_sum(guide, x, 4, INFINITY, 1e-3)
    assert torch.equal(sums[:, :6] <= 9 * 6, torch.ones(9, 6, 1, dtype=torch.bool))
    assert torch.isfinite(sums).all()


def test_smoothing_equals_the_definition(device, dtype):
    maps, guide = random_maps(18, 21), planar(18, 21, 3, seed=10)
    got = ops.local_affine_smooth(maps.to(device, dtype), guide.to(device, dtype), 6, 0.1)
    assert_near(got, reference.local_affine_smooth(maps, guide, 6, 0.1), tolerance(dtype))
    got = ops.local_affine_smooth_box(maps.to(device, dtype), 4)
    assert_near(got, reference.local_affine_smooth_box(maps, 4), tolerance(dtype))


def test_derivatives_in_double(device):
    content, result = (
        planar(4, 5, 3, seed=11).to(device),
        planar(4, 5, 3, seed=12).to(device).requires_grad_(),
    )
    maps = random_maps(2, 3).to(device).requires_grad_()
    full_maps = random_maps(4, 5).to(device).requires_grad_()
    free_content = content.clone().requires_grad_()
    first_and_second = [
        (lambda r: ops.local_affine_fit(content, r, 1, 1e-2), result),
        (lambda x: ops.box_sum(x, 1), result),
        (lambda x: ops.bilateral_sum(content, x, 2, 1.0, 0.3), result),
    ]
    for function, x in first_and_second:
        assert torch.autograd.gradcheck(function, x)
        assert torch.autograd.gradgradcheck(function, x)
    assert torch.autograd.gradcheck(ops.local_affine_apply, (maps, free_content))
    assert torch.autograd.gradcheck(lambda m: ops.local_affine_smooth(m, content, 2, 0.3), full_maps)
    assert torch.autograd.gradcheck(lambda m: ops.local_affine_smooth_box(m, 1), full_maps)


def test_any_memory_layout_gives_the_same_bits():
    content, result = planar(12, 15, 3, seed=13).float(), planar(12, 15, 3, seed=14).float()
    maps = random_maps(6, 7).float().contiguous()
    calls = [
        lambda c, r, m: ops.local_affine_fit(c, r, 2),
        lambda c, r, m: ops.local_affine_apply(m, c),
        lambda c, r, m: ops.box_sum(c, 2),
        lambda c, r, m: ops.bilateral_sum(c, r, 3, 1.0, 0.1),
    ]

    def strided(t: Tensor) -> Tensor:
        return t.repeat_interleave(2, dim=1)[:, ::2]

    planar_maps = maps.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    for call in calls:
        wanted = call(content, result, maps)
        assert torch.equal(call(content.contiguous(), strided(result), planar_maps), wanted)


def test_results_do_not_depend_on_the_number_of_threads():
    content, result = planar(150, 70, 3, seed=15).float(), planar(150, 70, 3, seed=16).float()
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            leaf = result.clone().requires_grad_()
            maps = ops.local_affine_fit(content, leaf, 3)
            maps.square().sum().backward()
            smooth = ops.bilateral_sum(content, result, 3, 1.0, 0.1)
            applied = ops.local_affine_apply(maps.detach(), content)
            results.append([maps.detach(), leaf.grad, ops.box_sum(content, 5), smooth, applied])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_operators_follow_the_rules_of_torch_and_compile():
    content, result = planar(5, 6, 3, seed=17), planar(5, 6, 3, seed=18).clone().requires_grad_()
    maps = random_maps(3, 4).clone().requires_grad_()
    library = torch.ops.fastphoto
    torch.library.opcheck(library.local_affine_fit.default, (content, result, 2, 1e-3))
    torch.library.opcheck(library.local_affine_fit_backward.default, (random_maps(5, 6), content, 2, 1e-3))
    torch.library.opcheck(library.local_affine_apply.default, (maps, result))
    torch.library.opcheck(library.box_sum.default, (result, 2))
    torch.library.opcheck(library.bilateral_sum.default, (content, result, 2, 1.0, 0.1))

    def loss(r):
        maps = ops.local_affine_smooth_box(ops.local_affine_fit(content, r, 1), 2)
        return ops.local_affine_apply(ops.local_affine_smooth(maps, content, 3, 0.1), content).square().sum()

    eager, compiled = result.detach().requires_grad_(), result.detach().clone().requires_grad_()
    loss(eager).backward()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(compiled).backward()
    torch.testing.assert_close(compiled.grad, eager.grad)


C, MAPS = torch.rand(5, 6, 3), torch.rand(5, 6, 3, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ops.local_affine_fit(C, C[:4]),
            r"local_affine_fit: result is \(4, 6, 3\), wanted the height",
        ),
        (lambda: ops.local_affine_fit(C, C[..., :2]), r"result is \(5, 6, 2\), wanted \(H, W, 3\)"),
        (
            lambda: ops.local_affine_fit(C, C.double()),
            r"result has dtype Double, wanted that of content, Float",
        ),
        (lambda: ops.local_affine_fit(C, C, -1), r"radius is -1, wanted 0 or more pixels"),
        (lambda: ops.local_affine_fit(C, C, 1, 0.0), r"epsilon is 0, wanted a finite number above 0"),
        (
            lambda: ops.local_affine_apply(MAPS[..., :3], C),
            r"local_affine_apply: maps is \(5, 6, 3, 3\), wanted",
        ),
        (lambda: ops.local_affine_apply(MAPS.double(), C), r"maps has dtype Double"),
        (lambda: ops.box_sum(C[0], 1), r"box_sum: x is \(6, 3\), wanted \(H, W, K\)"),
        (lambda: ops.box_sum(C.long(), 1), r"x has dtype Long, wanted Float or Double"),
        (
            lambda: ops.bilateral_sum(C, C, 1, 0.0),
            r"bilateral_sum: sigma_space is 0, wanted a number above 0",
        ),
        (lambda: ops.bilateral_sum(C, C, 1, 1.0, float("nan")), r"sigma_colour is nan"),
        (
            lambda: ops.bilateral_sum(C, C[:, :3], 1, 1.0),
            r"x is \(5, 3, 3\), wanted the height and width of guide",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_bad_arguments_found_in_python_are_named():
    free = C.clone().requires_grad_()
    for call, message in (
        (lambda: ops.local_affine_fit(free, C), "local_affine_fit: content requires a gradient"),
        (lambda: ops.bilateral_sum(free, C, 1, 1.0), "bilateral_sum: guide requires a gradient"),
        (lambda: ops.local_affine_smooth(MAPS, C, 0), "radius is 0, wanted 1 pixel or more"),
        (lambda: ops.local_affine_smooth(MAPS[..., 0], C), r"local_affine_smooth: maps is \(5, 6, 3\)"),
        (lambda: ops.local_affine_smooth_box(MAPS[0], 1), r"local_affine_smooth_box: maps is \(6, 3, 4\)"),
    ):
        with pytest.raises(InputError, match=message):
            call()
