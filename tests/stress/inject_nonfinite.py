"""Make losses, gradients and activations of transfers NaN or infinite, and check what the command writes then.

    python tests/stress/inject_nonfinite.py FOLDER [VALUES]

The command must either write a picture that is not blank, or fail with one line and write nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.cli.command import main as fastphoto_command
from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.objective import Objective
from fastphoto.photos.demo import demo_pairs

_SCHEDULES = [("painterly", "3,3,2"), ("painterly", "6,4,3"), ("painterly", "2,2,9"), ("fast", "8"), ("fast", "13")]
_SOLVERS = ("lbfgs", "lbfgs", "adam", "gradient")
_PROBABILITIES = (0.003, 0.02, 0.1, 0.5)
_NONFINITE = (math.nan, math.inf, -math.inf)


class Injector:
    """Replaces values that the methods of a transfer return by non-finite ones, now and then."""

    def __init__(self, random_: random.Random) -> None:
        self.random, self.probability, self.injected = random_, 0.0, 0

    def spoil(self, tensor: Tensor) -> Tensor:
        """Return the tensor as it is, or a copy with one value, one row or all of it replaced."""
        if self.random.random() >= self.probability:
            return tensor
        self.injected += 1
        value, choice = self.random.choice(_NONFINITE), self.random.random()
        tensor = tensor.clone()
        if tensor.ndim == 0 or choice < 0.3:
            return tensor.fill_(value)
        flat = tensor.view(-1) if tensor.is_contiguous() else tensor.select(0, 0)[0]
        flat[self.random.randrange(len(flat))] = value
        if choice > 0.8:
            tensor[0] = value
        return tensor

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Spoil the loss, its gradient and the activations of every step inside."""
        value_and_gradient, forward = Objective.value_and_gradient, Encoder.forward

        def spoiled_value_and_gradient(objective: Objective, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            value, gradient, parts = value_and_gradient(objective, x)
            return self.spoil(value), self.spoil(gradient), parts

        def spoiled_forward(encoder: Encoder, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
            features = forward(encoder, image, layers)
            if not image.requires_grad:  # the targets stay finite
                return features
            return {name: self.spoil(values) for name, values in features.items()}

        Objective.value_and_gradient = spoiled_value_and_gradient  # type: ignore[method-assign]
        Encoder.forward = spoiled_forward  # type: ignore[method-assign]
        try:
            yield
        finally:
            Objective.value_and_gradient = value_and_gradient  # type: ignore[method-assign]
            Encoder.forward = forward  # type: ignore[method-assign]


def inject(folder: Path, values: int, seed: int = 0) -> Counter[str]:
    """Run transfers in a folder until so many values are injected; return how many were "written" and "failed"."""
    random_ = random.Random(seed)
    injector, counts = Injector(random_), Counter[str]()
    content, style, output = folder / "content.png", folder / "style.png", folder / "out.png"
    Image.open(demo_pairs()[0] / "content.jpg").resize((48, 40)).save(content)
    Image.open(demo_pairs()[0] / "style.jpg").resize((40, 48)).save(style)
    with injector.installed():
        while injector.injected < values:
            injector.probability = random_.choice(_PROBABILITIES)
            solver, (preset, steps) = random_.choice(_SOLVERS), random_.choice(_SCHEDULES)
            output.unlink(missing_ok=True)
            words = ["transfer", content, style, "-o", output, "--preset", preset]
            words += ["--set", f"steps={steps}", "--set", f"solver={solver}"]
            with contextlib.redirect_stderr(io.StringIO()) as stderr:
                status = fastphoto_command([*map(str, words), "--quiet"])
            check(status, stderr.getvalue(), output)
            counts["written" if status == 0 else "failed"] += 1
    return counts


def check(status: int, message: str, output: Path) -> None:
    """Check that a run either wrote a picture that is not blank, or failed with one line and wrote nothing."""
    if status == 0:
        pixels = np.asarray(Image.open(output)).astype(float)
        assert message == "" and pixels.shape == (40, 48, 3) and pixels.std() > 8 and pixels.mean() > 20, "blank"
    else:
        assert status == 1, (status, message)
        assert message.startswith("fastphoto: error: ") and message.count("\n") == 1, message
        assert "finite" in message and not output.exists(), message


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="existing folder to write in")
    parser.add_argument("values", type=int, nargs="?", default=10_000, help="number of values to inject (%(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    counts = inject(args.folder, args.values)
    print(f"{args.values} values injected into transfers: {dict(counts)}, none of them blank")


if __name__ == "__main__":
    main()
