"""Check every operator, forwards and backwards, against `fastphoto.ops.reference` at small odd sizes.

    compute-sanitizer --tool memcheck python benchmarks/gpu/check_kernels.py [cpu | cuda]

Sizes are small because a sanitizer makes kernels a hundred times slower. Exits with 1 if a result is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.ops import reference

HEIGHT, WIDTH = 13, 37
Case = tuple[str, torch.dtype, float]  # operator, type, error relative to the reference
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 2e-2}


def random_values(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planar(planes: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return random_values(planes, height, width, seed=seed).permute(1, 2, 0)


def relative_error(output: Tensor, exact: Tensor) -> float:
    """Return |output - exact| / |exact|; infinity for NaN."""
    output, exact = output.detach().cpu().double(), exact.detach().double()
    error = float((output - exact).norm() / exact.norm())
    return error if error == error else float("inf")


def largest_error(
    device: torch.device,
    dtype: torch.dtype,
    operator: Callable[..., Tensor],
    plain: Callable[..., Tensor],
    *values: Tensor,
) -> float:
    """Return the larger error of an operator's value and of its gradient in the last of `values`."""
    results = []
    for call, call_device, call_dtype in ((operator, device, dtype), (plain, torch.device("cpu"), torch.float64)):
        # Both get the numbers as the lower precision rounds them; copies keep the strides of planar memory.
        rounded = [value.to(dtype).to(call_device, call_dtype) for value in values]
        x = rounded[-1].detach().requires_grad_()
        y = call(*rounded[:-1], x)
        direction = torch.linspace(0.5, 1.5, y.numel(), dtype=torch.float64).view(y.shape).to(y.device, y.dtype)
        results.append((y, torch.autograd.grad(y, x, direction)[0]))
    (value, gradient), (exact, exact_gradient) = results
    return max(relative_error(value, exact), relative_error(gradient, exact_gradient))


def pixel_operators(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases of the matting Laplacian and of local affine maps."""
    image, x = planar(3), planar(3, seed=1)
    stencil = reference.matting_laplacian_stencil(image, 1e-4)

    def check(name: str, operator: Callable[..., Tensor], plain: Callable[..., Tensor], *values: Tensor) -> Case:
        return name, dtype, largest_error(device, dtype, operator, plain, *values)

    def laplacian(i: Tensor, v: Tensor) -> Tensor:
        return reference.matting_laplacian(i, v, 1e-4)

    def energy(i: Tensor, v: Tensor) -> Tensor:
        return (v * laplacian(i, v)).sum()

    built = ops.matting_laplacian_stencil(image.to(device, dtype), 1e-4)
    rounded = reference.matting_laplacian_stencil(image.to(dtype).double(), 1e-4)
    yield "matting_laplacian_stencil", dtype, relative_error(built, rounded)
    yield check("matting_laplacian", lambda i, v: ops.matting_laplacian(i, v, 1e-4), laplacian, image, x)
    yield check("matting_laplacian_energy", lambda i, v: ops.matting_laplacian_energy(i, v, 1e-4)[0], energy, image, x)
    dense = reference.matting_laplacian(image, torch.eye(HEIGHT * WIDTH).double().view(HEIGHT, WIDTH, -1), 1e-4)
    matrix = dense.reshape(HEIGHT * WIDTH, -1)

    def product(_: Tensor, v: Tensor) -> Tensor:
        return (matrix @ v.reshape(HEIGHT * WIDTH, -1)).view_as(v)

    yield check("stencil_product", ops.stencil_product, product, stencil, x)
    yield check(
        "stencil_energy", lambda s, v: ops.stencil_energy(s, v)[0], lambda s, v: (v * product(s, v)).sum(), stencil, x
    )
    for radius in (0, 1, 3):
        yield check(
            "local_affine_fit",
            lambda c, r, radius=radius: ops.local_affine_fit(c, r, radius),
            lambda c, r, radius=radius: reference.local_affine_fit(c, r, radius),
            image,
            x,
        )
        yield check(
            "box_sum", lambda v, r=radius: ops.box_sum(v, r), lambda v, r=radius: reference.box_sum(v, r), planar(5)
        )
    maps, large = random_values(7, 11, 3, 4), planar(3, 2, 29, 31)
    yield check("local_affine_apply", ops.local_affine_apply, reference.local_affine_apply, maps, large)
    yield check(
        "local_affine_apply",
        lambda c, m: ops.local_affine_apply(m, c),
        lambda c, m: reference.local_affine_apply(m, c),
        large,
        maps,
    )
    yield check(
        "bilateral_sum",
        lambda g, v: ops.bilateral_sum(g, v, 3, 1.5, 0.2),
        lambda g, v: reference.bilateral_sum(g, v, 3, 1.5, 0.2),
        image,
        planar(5, 3),
    )


def gram_operators(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases of masked Gram matrices: odd widths, both memory layouts, overlapping, soft and empty regions."""
    for channels, regions in ((3, 1), (64, 3), (70, 9)):
        masks = (random_values(regions, HEIGHT, WIDTH, seed=4) * 2 - 1).clamp_min(0)
        if regions > 1:
            masks[1] = 0
        masks = masks.to(dtype).double()
        lists = ops.list_pixels(masks.to(device, torch.float64 if dtype == torch.float64 else torch.float32))
        features = random_values(channels, HEIGHT, WIDTH, seed=5) - 0.3
        for planes in (features, features.permute(1, 2, 0).contiguous().permute(2, 0, 1)):
            yield (
                "masked_gram",
                dtype,
                largest_error(
                    device,
                    dtype,
                    lambda f, lists=lists: ops.masked_gram(f, lists),
                    lambda f, masks=masks: reference.masked_gram(f, masks),
                    planes,
                ),
            )


def vector_operators(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases of inner products and max-pooling."""
    if dtype != torch.bfloat16:
        for rows, others, length in ((20, 3, 1003), (4, 1, 5)):
            a, b = random_values(rows, length).to(dtype), random_values(others, length, seed=1).to(dtype)
            products = ops.inner_products(a.to(device), b.to(device))
            yield "inner_products", dtype, relative_error(products, reference.inner_products(a, b))
    if dtype == torch.bfloat16 and device.type == "cpu":
        return
    for ceil in (False, True):
        x = (random_values(1, 24, HEIGHT, WIDTH) - 0.5).clamp_min(0).to(dtype).double()
        grad = random_values(*reference.max_pool(x, ceil).shape, seed=2).to(dtype).double()
        own_x, own_grad = (v.to(device, dtype).contiguous(memory_format=torch.channels_last) for v in (x, grad))
        yield "max_pool", dtype, relative_error(ops.max_pool(own_x, ceil), reference.max_pool(x, ceil))
        backward = ops.max_pool_backward(own_grad, own_x)
        yield "max_pool_backward", dtype, relative_error(backward, reference.max_pool_backward(grad, x))


def all_cases(device: torch.device) -> Iterator[Case]:
    """Yield all cases in all types that the device's kernels take."""
    for dtype in (torch.float32, torch.float64):
        yield from pixel_operators(device, dtype)
        yield from gram_operators(device, dtype)
        yield from vector_operators(device, dtype)
    if device.type == "cuda":
        yield from gram_operators(device, torch.bfloat16)
        yield from vector_operators(device, torch.bfloat16)


def main() -> int:
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda" if torch.cuda.is_available() else "cpu")
    failed = 0
    for name, dtype, error in all_cases(device):
        verdict = "ok" if error <= TOLERANCE[dtype] else "WRONG"
        failed += verdict != "ok"
        print(f"{verdict:5} {name:26} {str(dtype).removeprefix('torch.'):9} {error:.1e}", flush=True)
    print(f"check_kernels: {failed} wrong")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
