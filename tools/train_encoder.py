"""Train the embedded encoder: a narrow VGG-19 distilled from two teachers on freely licensed photographs.

    python tools/train_encoder.py --teachers DIR --photos DIR -o embedded.safetensors

The teachers are the VGG-19 itself for relu1_1, relu2_1 and relu3_1, and the 16x narrower VGG-19 of
Collaborative-Distillation, which the student also starts from, for relu4_1, relu4_2 and relu5_1. Photographs missing
under --photos are fetched from Debian 12's packages (270 MB). On the same machine the same arguments give the same
bits, whether a run was interrupted or not: run the command again to go on from its checkpoint, which is deleted when
the weights are written. See fastphoto/encoders/embedded/MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from PIL import Image
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.weights import EncoderWeights, read_weights
from fastphoto.errors import FastPhotoError

WIDTHS = {"1": 16, "2": 32, "3": 64, "4": 96, "5": 96}  # channels by block
LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1")
FULL_TEACHER, NARROW_TEACHER = "vgg19_conv1_1_to_conv3_1.safetensors", "vgg19_16x.safetensors"
TAUGHT = {FULL_TEACHER: ("relu1_1", "relu2_1", "relu3_1"), NARROW_TEACHER: ("relu4_1", "relu4_2", "relu5_1")}
STYLE_WEIGHTS = {
    "relu1_1": 1.0,
    "relu2_1": 1.0,
    "relu3_1": 1.0,
    "relu4_1": 0.1,
    "relu5_1": 0.1,
}  # in validation

SIDE = 128  # pixels of a training picture
BATCH = 8  # pictures, four pairs of content and style
POOL = 512  # pictures whose targets are kept: a teacher's pass costs several of the student's
STEPS_PER_REFRESH = 8  # after which the oldest batch of the pool gives way to new pictures
HELD_OUT = 7  # every seventh photograph validates
MEMORY = 0.9  # of the heads' statistics from step to step
STEPS = 10_000
STEPS_PER_CHECKPOINT = 100
GRAM_WEIGHT = 0.1  # beside 1 for each layer's activations
EVENNESS = {"1": 0.5, "2": 0.5, "3": 0.5, "4": 1.0, "5": 1.0}  # of channels, by block: 1 gives all the same deviation
PHOTO_LIST = Path(__file__).with_name("training_photos.txt")


def fetch_photos(folder: Path) -> list[Path]:
    """The training photographs, fetched from Debian's packages where they are missing."""
    listed = [line.split(" ", 1) for line in PHOTO_LIST.read_text().splitlines() if not line.startswith("#")]
    folder.mkdir(parents=True, exist_ok=True)
    for package in sorted({p for p, path in listed if not (folder / p / path).exists()}):
        with tempfile.TemporaryDirectory() as download:
            try:
                subprocess.run(["apt-get", "download", package], cwd=download, check=True)
                for file in Path(download).iterdir():
                    subprocess.run(["dpkg-deb", "-x", file, folder / package], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{package}: could not be fetched, {error}")
    photos = [folder / package / path for package, path in listed]
    if missing := sorted({package for package, path in listed if not (folder / package / path).exists()}):
        raise SystemExit(
            f"photographs of Debian 12's packages {', '.join(missing)} are missing; unpack each package into a folder "
            f"of its name in {folder}, as `apt-get download` and `dpkg-deb -x` do"
        )
    return photos


class Pictures:
    """Training pictures: random crops of photographs at many scales, and rendered ones, strongly augmented."""

    def __init__(self, paths: list[Path], seed: int) -> None:
        self.seed = seed
        self.photos: list[list[np.ndarray]] = []  # each at its own size (at most 1600), a half, a quarter, ...
        for path in tqdm(paths, "photos", leave=False):
            level = Image.open(path).convert("RGB")
            level.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
            self.photos.append([np.asarray(level)])
            while min(level.size) >= 2 * SIDE:
                level = level.resize((level.width // 2, level.height // 2), Image.Resampling.BOX)
                self.photos[-1].append(np.asarray(level))

    def batch(self, number: int) -> Tensor:
        """Batch `number` of an endless row, (BATCH, 3, SIDE, SIDE) in [0, 1]; the same at every call."""
        random = np.random.default_rng([self.seed, number])
        return torch.stack([torch.from_numpy(self._picture(random)).permute(2, 0, 1).float() for _ in range(BATCH)])

    def _picture(self, random: Generator) -> np.ndarray:
        image = self._rendered(random) if random.random() < 0.1 else self._crop(random)
        if random.random() < 0.15:  # two photos meet at a straight edge, as objects do
            angle = random.uniform(0, 2 * math.pi)
            y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
            side = np.cos(angle) * x + np.sin(angle) * y > random.uniform(-0.3, 0.3)
            image = np.where(side[:, :, None], image, self._crop(random))
        return self._augmented(image, random)

    def _crop(self, random: Generator) -> np.ndarray:
        """A square whose share of the photo's short side is log-uniform, from all of it to SIDE pixels of it."""
        levels = self.photos[random.integers(len(self.photos))]
        longest = max(min(levels[0].shape[:2]), SIDE)
        short = math.exp(random.uniform(math.log(SIDE), math.log(longest)))  # of the photo cut from
        level = next((x for x in reversed(levels) if min(x.shape[:2]) >= short), levels[0])
        window = min(round(SIDE * min(level.shape[:2]) / short), *level.shape[:2])
        top, left = (random.integers(n - window + 1) for n in level.shape[:2])
        crop = level[top : top + window, left : left + window]
        if window != SIDE:
            crop = np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        return (crop[:, ::-1] if random.random() < 0.5 else crop) / 255.0

    def _rendered(self, random: Generator) -> np.ndarray:
        """Dead leaves: shaded discs of many sizes that cover each other, as objects in photographs do."""
        image = np.broadcast_to(random.random(3), (SIDE, SIDE, 3)).copy()
        y, x = np.mgrid[:SIDE, :SIDE]
        for _ in range(random.integers(5, 80)):
            radius = 4 / random.uniform(0.03, 1) ** 0.9
            cy, cx = random.uniform(-10, SIDE + 10, 2)
            slope = random.normal(0, 0.004, 2)
            disc = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
            image[disc] = random.random(3) + ((y - cy) * slope[0] + (x - cx) * slope[1])[disc, None]
        return image.clip(0, 1)

    def _augmented(self, image: np.ndarray, random: Generator) -> np.ndarray:
        """Other light: gamma, saturation, a colour matrix, contrast; and noise, which results have on their way."""
        if random.random() < 0.8:
            image = image ** math.exp(random.normal(0, 0.4))
        if random.random() < 0.5:
            grey = image.mean(2, keepdims=True)
            image = grey + (image - grey) * random.uniform(0, 2)
        if random.random() < 0.6:
            image = image @ (np.eye(3) + random.normal(0, 0.15, (3, 3))) + random.normal(0, 0.05, 3)
        if random.random() < 0.3:
            image = 0.5 + (image - 0.5) * random.uniform(0.3, 1.8) + random.uniform(-0.3, 0.3)
        if random.random() < 0.25:
            image = image + random.normal(0, 1, image.shape) * random.uniform(0, 0.08)
        return image.clip(0, 1)


@dataclass
class Targets:
    """What the teachers make of a batch of pictures, in pairs: 2k and 2k + 1 are each other's style."""

    images: Tensor  # (B, 3, SIDE, SIDE)
    features: dict[str, Tensor]  # {layer: (B, C, h, w)}, half precision
    grams: dict[str, Tensor]  # {layer: (B, C, C)}


class Teachers:
    """The two networks that are taught from."""

    def __init__(self, folder: Path) -> None:
        self.weights = {name: read_weights(folder / name) for name in TAUGHT}
        self.encoders = {name: Encoder(weights) for name, weights in self.weights.items()}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Activations (B, C, h, w) of all taught layers."""
        return {k: v for name, encoder in self.encoders.items() for k, v in encoder(images, TAUGHT[name]).items()}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Targets:
        features = self.features(images)
        grams = {layer: gram(feature) for layer, feature in features.items()}
        return Targets(images, {layer: feature.half() for layer, feature in features.items()}, grams)


def gram(features: Tensor) -> Tensor:
    """Gram matrices (B, C, C) of features (B, C, h, w), sums over pixels."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2)


def style_gradient(features: dict[str, Tensor], images: Tensor) -> Tensor:
    """The gradient in each image (B, 3, H, W) of its relative style loss against its partner.

    Averaged over 3x3 windows: the optimisation follows gradients only where its local affine maps can.
    """
    total = torch.zeros(())
    for layer, weight in STYLE_WEIGHTS.items():
        own = gram(features[layer])
        target = partners(own).detach()
        distance = (own - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(1e-12)
        total = total + weight * distance.sum()
    return F.avg_pool2d(torch.autograd.grad(total, images)[0], 3, 1, 1)


def partners(batch: Tensor) -> Tensor:
    """The batch with 2k and 2k + 1 exchanged."""
    return batch.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def untrained(teacher: EncoderWeights) -> EncoderWeights:
    """The student before training: the narrow teacher's first channels, and of a shorter block its last layer."""
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    channels = 3
    for name, following in zip(LAYERS, (*LAYERS[1:], ""), strict=True):
        ends = following and following[4] != name[4]
        source = [k for k in teacher.convolutions if k[4] == name[4]][-1] if ends else name
        weight, bias = teacher.convolutions[source]
        width = WIDTHS[name[4]]
        convolutions[name] = weight[:width, :channels].clone(), bias[:width].clone()
        channels = width
    return replace(teacher, convolutions=convolutions, padding="zeros")


class Student:
    """The encoder in training, and its losses.

    The head that takes a layer E: student -> teacher is not trained but solved for, by least squares over the last
    few batches. So the student learns activations from which the teacher's follow linearly, and learns fast.
    """

    def __init__(self, weights: EncoderWeights) -> None:
        self.weights = weights
        self.encoder = Encoder(weights)
        self.parameters = {
            name: buffer.clone().requires_grad_()
            for name, buffer in self.encoder.named_buffers()
            if name.startswith("conv")
        }
        self.statistics: dict[str, tuple[Tensor, Tensor]] = {}  # {layer: (T S^T, S S^T)}, running means

    def features(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations (B, C, h, w) of `layers`."""
        return torch.func.functional_call(self.encoder, self.parameters, (images, layers))

    def losses(self, targets: Targets, learn: bool = True) -> dict[str, Tensor]:
        """Errors relative to the targets: activations by layer, and "grams", differences of Gram matrices."""
        features = self.features(targets.images, list(targets.features))
        own = {layer: gram(feature) for layer, feature in features.items()}
        found: dict[str, Tensor] = {}
        distances = []
        for layer, target in targets.features.items():
            # |T - E S|^2 = |T|^2 - 2 <E, T S^T> + <E^T E, S S^T>: nothing of a teacher's width per pixel.
            cross = target.float().flatten(2) @ features[layer].flatten(2).transpose(1, 2)
            size = targets.grams[layer].diagonal(dim1=1, dim2=2).sum()
            if learn:
                self._observe(layer, cross.detach().sum(0) / size, own[layer].detach().sum(0) / size)
            head = self._head(layer)
            found[layer] = 1 + ((head.T @ head * own[layer].sum(0)).sum() - 2 * (head * cross.sum(0)).sum()) / size
            if layer in STYLE_WEIGHTS:
                theirs, ours = targets.grams[layer], head @ own[layer] @ head.T
                wanted, got = theirs - partners(theirs), ours - partners(ours)
                floor = 0.01 * theirs.square().sum((1, 2))
                error = (wanted - got).square().sum((1, 2)) / (wanted.square().sum((1, 2)) + floor)
                distances.append(error.clamp_max(2).mean())
        found["grams"] = torch.stack(distances).mean()
        return found

    def _observe(self, layer: str, cross: Tensor, own: Tensor) -> None:
        if layer in self.statistics:
            old = self.statistics[layer]
            cross, own = (MEMORY * a + (1 - MEMORY) * b for a, b in zip(old, (cross, own), strict=True))
        self.statistics[layer] = cross, own

    def _head(self, layer: str) -> Tensor:
        cross, own = self.statistics[layer]
        damped = own + 1e-4 * own.diagonal().mean() * torch.eye(len(own))
        return torch.linalg.solve(damped, cross.T).T

    @torch.no_grad()
    def tensors(self, images: Tensor) -> dict[str, Tensor]:
        """The tensors of a weight file, half precision: channels that never fire on `images` left out, others scaled.

        The losses leave the channels' scales open, ReLU lets them pass, and in training they drift beyond all bounds.
        Layers get a mean of 1, as those of a normalised VGG-19 have. Within a layer, channels go half the way to a
        common standard deviation, in deep layers all the way: otherwise a few strong channels govern the Gram matrix,
        which leaves colours loose.
        """
        matrix, offset = self.weights.normalise
        found = {"normalise.weight": matrix[:, :, None, None], "normalise.bias": offset}
        below, before = torch.arange(3), torch.ones(3)  # channels kept of the layer below, and what they were scaled by
        for name, feature in zip(LAYERS, self.features(images, self.encoder.layers).values(), strict=True):
            deviation = feature.std((0, 2, 3))
            kept = deviation.nonzero()[:, 0]
            if len(kept) == 0:
                raise SystemExit(f"{name}: never fires; train longer or from another seed")
            deviation, middle = deviation[kept], deviation[kept].median()
            scale = deviation.clamp(middle / 30, middle * 30) ** -EVENNESS[name[4]]
            scale = scale / (feature[:, kept] * scale[:, None, None]).mean()
            weight = self.parameters[f"{name}_weight"][kept][:, below]
            found[f"{name}.weight"] = weight * (scale[:, None] / before)[:, :, None, None]
            found[f"{name}.bias"] = self.parameters[f"{name}_bias"][kept] * scale
            below, before = kept, scale
        return {name: value.detach().half().contiguous() for name, value in found.items()}


class Pool:
    """The latest batches of pictures with their targets; which they are depends on the step alone."""

    def __init__(self, teachers: Teachers, pictures: Pictures, step: int) -> None:
        self.teachers, self.pictures = teachers, pictures
        self.batches: list[Targets] = []
        newest = POOL // BATCH + step // STEPS_PER_REFRESH
        for number in tqdm(range(newest - POOL // BATCH, newest), "pictures", leave=False):
            self.batches.append(teachers(pictures.batch(number)))

    def refresh(self, step: int) -> None:
        if step and step % STEPS_PER_REFRESH == 0:
            number = POOL // BATCH + step // STEPS_PER_REFRESH - 1
            self.batches = [*self.batches[1:], self.teachers(self.pictures.batch(number))]

    def draw(self, random: Generator) -> Targets:
        """BATCH pictures, two by two from anywhere in the pool."""
        pairs = random.choice(POOL // 2, BATCH // 2, replace=False)
        drawn = [(self.batches[pair // (BATCH // 2)], 2 * (pair % (BATCH // 2))) for pair in pairs]
        return Targets(
            torch.cat([t.images[i : i + 2] for t, i in drawn]),
            {k: torch.cat([t.features[k][i : i + 2] for t, i in drawn]) for k in drawn[0][0].features},
            {k: torch.cat([t.grams[k][i : i + 2] for t, i in drawn]) for k in drawn[0][0].grams},
        )


def train(teachers: Teachers, pictures: Pictures, options: argparse.Namespace) -> Student:
    """The trained student: AdamW with a cosine schedule, from its start or from the checkpoint."""
    student = Student(untrained(teachers.weights[NARROW_TEACHER]))
    parameters = list(student.parameters.values())
    optimiser = torch.optim.AdamW(parameters, options.learning_rate, betas=(0.9, 0.98), weight_decay=1e-4)
    run = {
        "steps": options.steps,
        "seed": options.seed,
        "learning_rate": options.learning_rate,
        "teachers": [weights.sha256 for weights in teachers.weights.values()],
        "photos": PHOTO_LIST.read_text(),
    }
    first = 0
    if options.checkpoint.exists():
        saved = torch.load(options.checkpoint, weights_only=True)
        if saved["run"] != run:
            other = ", ".join(key for key, value in run.items() if saved["run"].get(key) != value)
            raise SystemExit(f"{options.checkpoint}: of a run with other {other}; delete it or name another")
        first, student.statistics = saved["step"], saved["statistics"]
        for name, value in saved["parameters"].items():
            student.parameters[name].data.copy_(value)
        optimiser.load_state_dict(saved["optimiser"])
    pool = Pool(teachers, pictures, first)
    bar = tqdm(range(first, options.steps), "training", initial=first, total=options.steps, unit="step")
    for step in bar:
        if step > first:
            pool.refresh(step)
        targets = pool.draw(np.random.default_rng([options.seed, 1, step]))
        losses = student.losses(targets)
        total = sum(v for k, v in losses.items() if k.startswith("relu")) + GRAM_WEIGHT * losses["grams"]
        optimiser.param_groups[0]["lr"] = options.learning_rate * min(
            1.0, (step + 1) / 50, 0.01 + 0.5 * (1 + math.cos(math.pi * step / options.steps))
        )
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        bar.set_postfix({k: f"{v.item():.3f}" for k, v in losses.items()}, refresh=False)
        if (step + 1) % STEPS_PER_CHECKPOINT == 0:
            state = {
                "run": run,
                "step": step + 1,
                "parameters": {k: v.detach() for k, v in student.parameters.items()},
                "statistics": student.statistics,
                "optimiser": optimiser.state_dict(),
            }
            torch.save(state, unfinished := options.checkpoint.with_suffix(".part"))
            unfinished.replace(options.checkpoint)
    return student


def validate(student: Student, teachers: Teachers, pictures: Pictures) -> dict[str, float]:
    """Over 64 pictures of photographs that were not trained on: errors as in training, and how well the student's
    image gradient of the style loss points where the teachers' does, as the median cosine."""
    found: dict[str, list[float]] = {}
    for number in range(8):
        images = pictures.batch(number)
        with torch.no_grad():
            losses = student.losses(teachers(images), learn=False)
        for name, loss in losses.items():
            found.setdefault(name, []).append(loss.item())
        images.requires_grad_()
        gradients = [
            style_gradient(features, images).flatten(1)
            for features in (student.features(images, list(STYLE_WEIGHTS)), teachers.features(images))
        ]
        found.setdefault("gradient cosine", []).extend(F.cosine_similarity(*gradients).tolist())
    return {k: float(np.median(v) if k == "gradient cosine" else np.mean(v)) for k, v in found.items()}


def _sorted_header(file: bytes) -> bytes:
    """A safetensors file with its header in alphabetical order: the library writes metadata in any order."""
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
    kept = [photo for i, photo in enumerate(photos) if i % HELD_OUT]
    pictures = Pictures(kept, options.seed)
    student = train(teachers, pictures, options)
    errors = validate(student, teachers, Pictures(photos[::HELD_OUT], options.seed))
    metadata = {
        "padding": student.weights.padding,
        "pooling": student.weights.pooling,
        "source": f"fastphoto, tools/train_encoder.py --steps {options.steps} --seed {options.seed}",
        "licence": "MIT",
    }
    options.out.write_bytes(
        _sorted_header(save(student.tensors(torch.cat([pictures.batch(i) for i in range(8)])), metadata))
    )
    options.checkpoint.unlink(missing_ok=True)
    for name, error in errors.items():
        print(f"{name:15} {error:.3f}")
    print(f"{options.out}: SHA-256 {hashlib.sha256(options.out.read_bytes()).hexdigest()}")
    print(f"{(time.monotonic() - start) / 60:.1f} minutes, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
