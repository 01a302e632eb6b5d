"""Calls every operator forwards and backwards on small odd sizes and compares with `fastphoto.reference`.

    compute-sanitizer --tool memcheck python benchmarks/every_kernel.py [cpu | cuda]

Small, for a sanitizer makes a kernel a hundred times slower. Exits with 1 where a result differs.
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


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planar(planes: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return rand(planes, height, width, seed=seed).permute(1, 2, 0)


def error(found: Tensor, wanted: Tensor) -> float:
    """Distance from the reference over the reference's size; NaN counts as infinite."""
    found, wanted = found.detach().cpu().double(), wanted.detach().double()
    distance = float((found - wanted).norm() / wanted.norm())
    return distance if distance == distance else float("inf")


def compared(
    device: torch.device, dtype: torch.dtype, own: Callable[..., Tensor], plain: Callable[..., Tensor], *values: Tensor
) -> float:
    """The larger error of value and of the gradient in the last of `values`."""
    results = []
    for call, place, kind in ((own, device, dtype), (plain, torch.device("cpu"), torch.float64)):
        # Both see the numbers as the lower precision rounds them; copies keep the strides of planar memory.
        rounded = [value.to(dtype).to(place, kind) for value in values]
        x = rounded[-1].detach().requires_grad_()
        y = call(*rounded[:-1], x)
        direction = torch.linspace(0.5, 1.5, y.numel(), dtype=torch.float64).view(y.shape).to(y.device, y.dtype)
        results.append((y, torch.autograd.grad(y, x, direction)[0]))
    (y, gradient), (wanted, wanted_gradient) = results
    return max(error(y, wanted), error(gradient, wanted_gradient))


def pixel_operators(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """The matting Laplacian and the local affine maps."""
    image, x = planar(3), planar(3, seed=1)
    stencil = reference.matting_laplacian_stencil(image, 1e-4)

    def check(name: str, own: Callable[..., Tensor], plain: Callable[..., Tensor], *values: Tensor) -> Case:
        return name, dtype, compared(device, dtype, own, plain, *values)

    def laplacian(i: Tensor, v: Tensor) -> Tensor:
        return reference.matting_laplacian(i, v, 1e-4)

    def energy(i: Tensor, v: Tensor) -> Tensor:
        return (v * laplacian(i, v)).sum()

    built = ops.matting_laplacian_stencil(image.to(device, dtype), 1e-4)
    rounded = reference.matting_laplacian_stencil(image.to(dtype).double(), 1e-4)
    yield "matting_laplacian_stencil", dtype, error(built, rounded)
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
    maps, large = rand(7, 11, 3, 4), planar(3, 2, 29, 31)
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
    """Masked Gram matrices: odd widths, both memory layouts, overlapping, soft and empty regions."""
    for channels, regions in ((3, 1), (64, 3), (70, 9)):
        masks = (rand(regions, HEIGHT, WIDTH, seed=4) * 2 - 1).clamp_min(0)
        if regions > 1:
            masks[1] = 0
        masks = masks.to(dtype).double()
        plan = ops.list_pixels(masks.to(device, torch.float64 if dtype == torch.float64 else torch.float32))
        features = rand(channels, HEIGHT, WIDTH, seed=5) - 0.3
        for planes in (features, features.permute(1, 2, 0).contiguous().permute(2, 0, 1)):
            yield (
                "masked_gram",
                dtype,
                compared(
                    device,
                    dtype,
                    lambda f, plan=plan: ops.masked_gram(f, plan),
                    lambda f, masks=masks: reference.masked_gram(f, masks),
                    planes,
                ),
            )


def vector_operators(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Inner products and max-pooling."""
    if dtype != torch.bfloat16:
        for rows, others, length in ((20, 3, 1003), (4, 1, 5)):
            a, b = rand(rows, length).to(dtype), rand(others, length, seed=1).to(dtype)
            found = ops.inner_products(a.to(device), b.to(device))
            yield "inner_products", dtype, error(found, reference.inner_products(a, b))
    if dtype == torch.bfloat16 and device.type == "cpu":
        return
    for ceil in (False, True):
        x = (rand(1, 24, HEIGHT, WIDTH) - 0.5).clamp_min(0).to(dtype).double()
        grad = rand(*reference.max_pool(x, ceil).shape, seed=2).to(dtype).double()
        ours, theirs = (v.to(device, dtype).contiguous(memory_format=torch.channels_last) for v in (x, grad))
        yield "max_pool", dtype, error(ops.max_pool(ours, ceil), reference.max_pool(x, ceil))
        found = ops.max_pool_backward(theirs, ours)
        yield "max_pool_backward", dtype, error(found, reference.max_pool_backward(grad, x))


def cases(device: torch.device) -> Iterator[Case]:
    for dtype in (torch.float32, torch.float64):
        yield from pixel_operators(device, dtype)
        yield from gram_operators(device, dtype)
        yield from vector_operators(device, dtype)
    if device.type == "cuda":
        yield from gram_operators(device, torch.bfloat16)
        yield from vector_operators(device, torch.bfloat16)


TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 2e-2}


def main() -> int:
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda" if torch.cuda.is_available() else "cpu")
    failed = 0
    for name, dtype, distance in cases(device):
        verdict = "ok" if distance <= TOLERANCE[dtype] else "WRONG"
        failed += verdict != "ok"
        print(f"{verdict:5} {name:26} {str(dtype).removeprefix('torch.'):9} {distance:.1e}", flush=True)
    print(f"every_kernel: {failed} wrong")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
