"""The kernels are compiled for several instruction sets and chosen at run time: every set gives right results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


DIGESTS = """
import hashlib, torch
from test_same_bits import cases, results
for dtype in (torch.float32, torch.float64):
    for name, (function, arguments) in cases(dtype).items():
        values = [value.contiguous().numpy().tobytes() for value in results(function, arguments)]
        print(dtype, name, hashlib.sha256(b"".join(values)).hexdigest())
"""
FUSED = ("masked_gram", "convolution")  # their products and sums are fused where the processor can


def test_results_do_not_depend_on_the_instruction_set():
    """So a machine's results do not change when it is replaced by a newer one of its kind."""
    digests = {}
    for allowed, feature in (("default", None), ("avx2", "avx2"), ("avx512", "avx512f")):
        if feature and feature not in ops.build_info()["cpu_features"]:
            continue
        environment = os.environ | {"ATEN_CPU_CAPABILITY": allowed}
        environment["PYTHONPATH"] = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        run = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
        )
        digests[allowed] = run.stdout.splitlines()
    vector_sets = [lines for allowed, lines in digests.items() if allowed != "default"]
    assert all(lines == vector_sets[0] for lines in vector_sets)
    unfused = [[line for line in lines if not any(name in line for name in FUSED)] for lines in digests.values()]
    assert len(unfused[0]) > 20 and all(lines == unfused[0] for lines in unfused)
