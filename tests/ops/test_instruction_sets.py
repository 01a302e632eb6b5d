"""The kernels that are compiled for several instruction sets and chosen at run time: every set gives right results."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fastphoto import ops

SCRIPT = """
import torch
from fastphoto import ops
from fastphoto.ops import reference
for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
    x, weight = torch.rand(1, 37, 15, 18, dtype=dtype), torch.rand(45, 37, 3, 3, dtype=dtype)
    y = ops.convolution(x.to(memory_format=torch.channels_last), ops.convolution_weights(weight), None, 45)
    assert (y - reference.convolution(x, weight, None)).norm() < tolerance * y.norm()
    f, masks = (torch.rand(37, 15, 18, dtype=dtype) - 0.5).requires_grad_(), torch.rand(3, 15, 18, dtype=dtype)
    grams = [gram(f, masks) for gram in (ops.masked_gram, reference.masked_gram)]
    ours, plain = ([g, torch.autograd.grad(g.pow(2).sum(), f)[0]] for g in grams)
    assert all((a - b).norm() < tolerance * b.norm() for a, b in zip(ours, plain))
"""


@pytest.mark.parametrize("allowed", ["default", "avx2", None], ids=["baseline", "avx2", "best"])
def test_convolutions_and_gram_matrices(allowed):
    """In another process, because the choice is made once."""
    if allowed == "avx2" and "avx2" not in ops.build_info()["cpu_features"]:
        pytest.skip("this processor has no AVX2, and torch does not check")
    environment = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
    environment |= {"ATEN_CPU_CAPABILITY": allowed} if allowed else {}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
