"""Train the embedded encoder: a narrow VGG-19 distilled from two teachers on freely licensed photographs.

    python tools/train_encoder.py --teachers DIR --photos DIR -o embedded.safetensors

VGG-19 teaches relu1_1, relu2_1 and relu3_1. The 16x narrower VGG-19 of Collaborative-Distillation, from which the
student also starts, teaches relu4_1, relu4_2 and relu5_1. Photographs missing under --photos are fetched from Debian
12's packages (270 MB). On the same machine the same arguments give the same bits, whether a run was interrupted or not:
run the command again to continue from its checkpoint, which is deleted after the weights have been written. See
fastphoto/encoders/embedded/MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from distillation import NARROW_TEACHER, STYLE_WEIGHTS, TAUGHT, Student, Targets, Teachers, style_gradient, untrained
from numpy.random import Generator
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm
from training_photos import BATCH, Pictures, fetch_photos, photo_list

from fastphoto.errors import FastPhotoError

POOL = 512  # pictures whose targets stay in memory: a teacher's pass costs several of the student's
STEPS_PER_REFRESH = 8  # steps after which new pictures replace the oldest batch of the pool
HELD_OUT = 7  # every seventh photograph validates
STEPS = 10_000  # MODEL_CARD.md compares with 2,500
STEPS_PER_CHECKPOINT = 100
GRAM_WEIGHT = 0.1  # beside 1 for each layer's activations; by eye


class Pool:
    """The latest batches of pictures with their targets; the step alone decides which these are."""

    def __init__(self, teachers: Teachers, pictures: Pictures, step: int) -> None:
        self.teachers, self.pictures = teachers, pictures
        self.batches: list[Targets] = []
        newest = POOL // BATCH + step // STEPS_PER_REFRESH
        for number in tqdm(range(newest - POOL // BATCH, newest), "pictures", leave=False):
            self.batches.append(teachers(pictures.batch(number)))

    def refresh(self, step: int) -> None:
        """Replace the oldest batch at every STEPS_PER_REFRESH-th step."""
        if step and step % STEPS_PER_REFRESH == 0:
            number = POOL // BATCH + step // STEPS_PER_REFRESH - 1
            self.batches = [*self.batches[1:], self.teachers(self.pictures.batch(number))]

    def draw(self, random: Generator) -> Targets:
        """Return BATCH pictures: random pairs of the pool."""
        pairs = random.choice(POOL // 2, BATCH // 2, replace=False)
        drawn = [(self.batches[pair // (BATCH // 2)], 2 * (pair % (BATCH // 2))) for pair in pairs]
        return Targets(
            torch.cat([t.images[i : i + 2] for t, i in drawn]),
            {k: torch.cat([t.features[k][i : i + 2] for t, i in drawn]) for k in drawn[0][0].features},
            {k: torch.cat([t.grams[k][i : i + 2] for t, i in drawn]) for k in drawn[0][0].grams},
        )


def train(teachers: Teachers, pictures: Pictures, options: argparse.Namespace) -> Student:
    """Train the student, from its start or from the checkpoint: AdamW with a cosine schedule."""
    student = Student(untrained(teachers.weights[NARROW_TEACHER]))
    parameters = list(student.parameters.values())
    optimiser = torch.optim.AdamW(parameters, options.learning_rate, betas=(0.9, 0.98), weight_decay=1e-4)
    run = {
        "steps": options.steps,
        "seed": options.seed,
        "learning_rate": options.learning_rate,
        "teachers": [weights.sha256 for weights in teachers.weights.values()],
        "photos": photo_list(),
    }
    first = _resume(options.checkpoint, run, student, optimiser)
    pool = Pool(teachers, pictures, first)
    bar = tqdm(range(first, options.steps), "training", initial=first, total=options.steps, unit="step")
    for step in bar:
        if step > first:
            pool.refresh(step)
        losses = student.losses(pool.draw(np.random.default_rng([options.seed, 1, step])))
        optimiser.param_groups[0]["lr"] = options.learning_rate * _schedule(step, options.steps)
        optimiser.zero_grad()
        _total(losses).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        bar.set_postfix({k: f"{v.item():.3f}" for k, v in losses.items()}, refresh=False)
        if (step + 1) % STEPS_PER_CHECKPOINT == 0:
            _save_checkpoint(options.checkpoint, run, step + 1, student, optimiser)
    return student


def _total(losses: dict[str, Tensor]) -> Tensor:
    return sum(v for k, v in losses.items() if k.startswith("relu")) + GRAM_WEIGHT * losses["grams"]


def _schedule(step: int, steps: int) -> float:
    """Return the learning rate of a step relative to the largest: 50 steps of warm-up, then a cosine down to 1 %."""
    return min(1.0, (step + 1) / 50, 0.01 + 0.5 * (1 + math.cos(math.pi * step / steps)))


def _resume(checkpoint: Path, run: dict[str, Any], student: Student, optimiser: torch.optim.Optimizer) -> int:
    """Restore the state of an interrupted run, if there is one; return the step to continue with."""
    if not checkpoint.exists():
        return 0
    saved = torch.load(checkpoint, weights_only=True)
    if saved["run"] != run:
        other = ", ".join(key for key, value in run.items() if saved["run"].get(key) != value)
        raise SystemExit(f"{checkpoint}: of a run with other {other}; delete it or name another")
    student.statistics = saved["statistics"]
    for name, value in saved["parameters"].items():
        student.parameters[name].data.copy_(value)
    optimiser.load_state_dict(saved["optimiser"])
    return saved["step"]


def _save_checkpoint(
    checkpoint: Path, run: dict[str, Any], step: int, student: Student, optimiser: torch.optim.Optimizer
) -> None:
    state = {
        "run": run,
        "step": step,
        "parameters": {k: v.detach() for k, v in student.parameters.items()},
        "statistics": student.statistics,
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, unfinished := checkpoint.with_suffix(".part"))
    unfinished.replace(checkpoint)


def validate(student: Student, teachers: Teachers, pictures: Pictures) -> dict[str, float]:
    """Return the errors on 64 pictures of photographs that the student was not trained on.

    These are the errors of training, and "gradient cosine", the median cosine between the student's and the teachers'
    gradients of the style loss in the image.
    """
    errors: dict[str, list[float]] = {}
    for number in range(8):
        images = pictures.batch(number)
        with torch.no_grad():
            losses = student.losses(teachers(images), learn=False)
        for name, loss in losses.items():
            errors.setdefault(name, []).append(loss.item())
        images.requires_grad_()
        gradients = [
            style_gradient(features, images).flatten(1)
            for features in (student.features(images, list(STYLE_WEIGHTS)), teachers.features(images))
        ]
        errors.setdefault("gradient cosine", []).extend(F.cosine_similarity(*gradients).tolist())
    return {k: float(np.median(v) if k == "gradient cosine" else np.mean(v)) for k, v in errors.items()}


def _sort_header(file: bytes) -> bytes:
    """Return a safetensors file with its header in alphabetical order; the library writes metadata in any order."""
    length = int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[8 + length :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=Path, required=True, help=f"folder of {' and '.join(TAUGHT)}")
    parser.add_argument("--photos", type=Path, default=Path("build/training-photos"), help="default: %(default)s")
    parser.add_argument("--checkpoint", type=Path, default=Path("build/encoder.ck"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    start = time.monotonic()
    torch.use_deterministic_algorithms(True)
    for file in (options.checkpoint, options.out):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        teachers = Teachers(options.teachers)
    except FastPhotoError as error:
        raise SystemExit(f"{error}") from error
    photos = fetch_photos(options.photos)
    pictures = Pictures([photo for i, photo in enumerate(photos) if i % HELD_OUT], options.seed)
    student = train(teachers, pictures, options)
    errors = validate(student, teachers, Pictures(photos[::HELD_OUT], options.seed))
    metadata = {
        "padding": student.weights.padding,
        "pooling": student.weights.pooling,
        "source": f"fastphoto, tools/train_encoder.py --steps {options.steps} --seed {options.seed}",
        "licence": "MIT",
    }
    tensors = student.tensors(torch.cat([pictures.batch(i) for i in range(8)]))
    options.out.write_bytes(_sort_header(save(tensors, metadata)))
    options.checkpoint.unlink(missing_ok=True)
    for name, error in errors.items():
        print(f"{name:15} {error:.3f}")
    print(f"{options.out}: SHA-256 {hashlib.sha256(options.out.read_bytes()).hexdigest()}")
    print(f"{(time.monotonic() - start) / 60:.1f} minutes, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
