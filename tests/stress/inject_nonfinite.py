"""Makes losses, gradients and activations NaN or infinite in the middle of transfers, and looks at what they write.

    python tests/inject_nonfinite.py FOLDER [VALUES]

Whatever happens, the command either writes a picture that is not blank, or says in one line that it failed and writes
nothing. Runs until so many values have been injected.
"""

from __future__ import annotations

import contextlib
import io
import math
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.cli import command as cli
from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.objective import Objective

_STEPS = ("3,3,2", "6,4,3", "2,2,9")
_BAD = (math.nan, math.inf, -math.inf)


class Injector:
    """Stands in for a method, and spoils what it returns now and then."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.often, self.injected = chance, 0.0, 0

    def spoil(self, tensor: Tensor) -> Tensor:
        """The tensor, or one with a bad value, a bad row, or nothing else."""
        if self.chance.random() >= self.often:
            return tensor
        self.injected += 1
        bad, how = self.chance.choice(_BAD), self.chance.random()
        tensor = tensor.clone()
        if tensor.ndim == 0 or how < 0.3:
            return tensor.fill_(bad)
        flat = tensor.view(-1) if tensor.is_contiguous() else tensor.select(0, 0)[0]
        flat[self.chance.randrange(len(flat))] = bad
        if how > 0.8:
            tensor[0] = bad
        return tensor

    @contextlib.contextmanager
    def in_place(self) -> Any:
        """Spoils the loss, its gradient and the activations of every step inside."""
        evaluate, encode = Objective.value_and_gradient, Encoder.forward

        def evaluated(objective: Objective, x: Tensor) -> Any:
            value, gradient, parts = evaluate(objective, x)
            return self.spoil(value), self.spoil(gradient), parts

        def encoded(encoder: Encoder, image: Tensor, layers: Any) -> Any:
            found = encode(encoder, image, layers)
            return {name: self.spoil(values) for name, values in found.items()} if image.requires_grad else found

        Objective.value_and_gradient, Encoder.forward = evaluated, encoded  # type: ignore[method-assign]
        try:
            yield
        finally:
            Objective.value_and_gradient, Encoder.forward = evaluate, encode  # type: ignore[method-assign]


def inject(folder: Path, values: int, seed: int = 0) -> Counter[str]:
    """Runs transfers until so many values were injected; returns how many were written and how many failed."""
    chance = random.Random(seed)
    injector, found = Injector(chance), Counter[str]()
    for name, photo in (("content", day(40, 48)), ("style", dusk(48, 40))):
        Image.fromarray(photo.array).save(folder / f"{name}.png")
    output = folder / "out.png"
    words = ["transfer", str(folder / "content.png"), str(folder / "style.png"), "-o", str(output), "--quiet"]
    with injector.in_place():
        while injector.injected < values:
            injector.often = chance.choice([0.003, 0.02, 0.1, 0.5])
            solver = chance.choice(["lbfgs", "lbfgs", "adam", "gradient"])
            output.unlink(missing_ok=True)
            with contextlib.redirect_stderr(io.StringIO()) as said:
                status = cli.main([*words, "--set", f"steps={chance.choice(_STEPS)}", "--set", f"solver={solver}"])
            text = said.getvalue()
            if status == 0:
                pixels = np.asarray(Image.open(output)).astype(float)
                assert text == "" and pixels.shape == (40, 48, 3) and pixels.std() > 8 and pixels.mean() > 20, "blank"
            else:
                assert status == 1 and text.startswith("fastphoto: error: ") and text.count("\n") == 1, (status, text)
                assert "finite" in text and not output.exists(), text
            found["written" if status == 0 else "failed"] += 1
    return found


def main(folder: str, values: str = "10000") -> None:
    torch.set_num_threads(1)
    print(f"{values} values injected into transfers: {dict(inject(Path(folder), int(values)))}, none of them blank")


if __name__ == "__main__":
    main(*sys.argv[1:])
