"""Closed-form alpha matting (Levin et al. 2008) with fastphoto's matting Laplacian and scipy's solver.

    python closed_form_matting.py                        on a rendered picture, whose alpha is known
    python closed_form_matting.py IMAGE SCRIBBLES OUT    on files; in SCRIBBLES white marks the foreground,
                                                         black the background, any other colour is unknown

Solves (L + weight D) alpha = weight D s, where D marks the scribbled pixels and s holds their values.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import LinearOperator, cg

from fastphoto.ops import MattingLaplacian


def matte(image: np.ndarray, scribbles: np.ndarray, weight: float = 100.0) -> tuple[np.ndarray, float]:
    """Return the alpha of an image, and the relative residual of the linear system.

    Args:
        image: picture, (H, W, 3), values in [0, 1].
        scribbles: known alpha, (H, W): 1 on the foreground, 0 on the background, NaN where it is unknown.
        weight: penalty on alpha that differs from the scribbles.

    Returns:
        alpha, (H, W) in [0, 1], and |A alpha - right| / |right|.
    """
    height, width = scribbles.shape
    laplacian = MattingLaplacian(torch.from_numpy(image).double())
    product = laplacian.linear_operator()
    known = np.isfinite(scribbles).ravel() * weight
    right = known * np.nan_to_num(scribbles.ravel())
    diagonal = laplacian.diagonal().numpy().ravel() + known

    system = LinearOperator(product.shape, matvec=lambda x: product @ x + known * x, dtype=np.float64)
    jacobi = LinearOperator(product.shape, matvec=lambda x: x / diagonal, dtype=np.float64)
    alpha, _ = cg(system, right, rtol=1e-6, maxiter=3000, M=jacobi)
    residual = np.linalg.norm(system @ alpha - right) / np.linalg.norm(right)
    return np.clip(alpha, 0, 1).reshape(height, width), float(residual)


def render(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image with a soft, ragged foreground, its true alpha, and scribbles well away from the edge."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, : size * 4 // 3] / size
    ragged = gaussian_filter(rng.normal(size=y.shape), 2.5)
    distance = 0.3 - np.hypot(y - 0.5, x - 0.67) + 0.12 * ragged
    alpha = 1 / (1 + np.exp(-distance / 0.02))
    foreground = np.stack([0.9 - 0.2 * y, 0.5 + 0.2 * x, 0.2 + 0.1 * y], -1)
    background = np.stack([0.1 + 0.1 * x, 0.3 - 0.1 * y, 0.6 + 0.2 * y], -1)
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    scribbles = np.full(y.shape, np.nan)
    scribbles[np.hypot(y - 0.5, x - 0.67) < 0.15] = 1
    scribbles[np.hypot(y - 0.5, x - 0.67) > 0.45] = 0
    return image, alpha, scribbles


def main(arguments: Sequence[str] | None = None) -> tuple[float, float | None]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="IMAGE SCRIBBLES OUT")
    parser.add_argument("--size", type=int, default=160, help="height of the rendered picture in pixels")
    options = parser.parse_args(arguments)
    if len(options.files) not in (0, 3):
        parser.error("give IMAGE SCRIBBLES OUT, or none of them")

    if not options.files:
        image, truth, scribbles = render(options.size)
        alpha, residual = matte(image, scribbles)
        error = float(np.mean((alpha - truth) ** 2))
        print(f"relative residual {residual:.1e}, mean squared error of alpha {error:.2e}")
        return residual, error

    source, marks, out = options.files
    image = np.asarray(Image.open(source).convert("RGB")) / 255.0
    grey = np.asarray(Image.open(marks).convert("L"))
    if grey.shape != image.shape[:2]:
        parser.error(f"{marks} is {grey.shape[1]} x {grey.shape[0]}, expected the size of {source}")
    scribbles = np.where(grey > 230, 1.0, np.where(grey < 25, 0.0, np.nan))
    alpha, residual = matte(image, scribbles)
    Image.fromarray(np.round(alpha * 255).astype(np.uint8)).save(out)
    print(f"relative residual {residual:.1e}, alpha written to {out}")
    return residual, None


if __name__ == "__main__":
    main()
