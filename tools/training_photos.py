"""The photographs that the embedded networks are trained on: fetched from Debian's packages, cut and augmented."""

from __future__ import annotations

import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image
from torch import Tensor
from tqdm import tqdm

PHOTO_LIST = Path(__file__).with_name("training_photos.txt")
SIDE = 128  # pixels of a training picture
BATCH = 8  # pictures in a batch: four pairs, each picture the style of the other


def photo_list(file: Path | None = None) -> str:
    """Return a list of photographs, one "PACKAGE PATH" a line; lines that begin with # are comments.

    A `file` of None is the list of the encoder's photographs.
    """
    return (file or PHOTO_LIST).read_text()


def fetch_photos(folder: Path, file: Path | None = None) -> list[Path]:
    """Return the paths of all photographs of a list; fetch those missing in `folder` from Debian's packages."""
    listed = [line.split(" ", 1) for line in photo_list(file).splitlines() if not line.startswith("#")]
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
    """Training pictures: random crops of photographs at many scales and rendered pictures, all strongly augmented.

    The probabilities and ranges of the augmentation were chosen by eye.
    """

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
        """Return batch `number` of an endless sequence, (BATCH, 3, SIDE, SIDE) in [0, 1]; always the same one."""
        random = np.random.default_rng([self.seed, number])
        return torch.stack([torch.from_numpy(self._picture(random)).permute(2, 0, 1).float() for _ in range(BATCH)])

    def _picture(self, random: Generator) -> np.ndarray:
        image = _render(random) if random.random() < 0.1 else self._crop(random)
        if random.random() < 0.15:  # two photos meet at a straight edge, as objects do
            angle = random.uniform(0, 2 * math.pi)
            y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
            side = np.cos(angle) * x + np.sin(angle) * y > random.uniform(-0.3, 0.3)
            image = np.where(side[:, :, None], image, self._crop(random))
        return _augment(image, random)

    def _crop(self, random: Generator) -> np.ndarray:
        """Cut a square, its side log-uniform between SIDE pixels and the photo's short side; resize it to SIDE."""
        levels = self.photos[random.integers(len(self.photos))]
        longest = max(min(levels[0].shape[:2]), SIDE)
        short = math.exp(random.uniform(math.log(SIDE), math.log(longest)))  # short side of the photo to cut from
        level = next((x for x in reversed(levels) if min(x.shape[:2]) >= short), levels[0])
        window = min(round(SIDE * min(level.shape[:2]) / short), *level.shape[:2])
        top, left = (random.integers(n - window + 1) for n in level.shape[:2])
        crop = level[top : top + window, left : left + window]
        if window != SIDE:
            crop = np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        return (crop[:, ::-1] if random.random() < 0.5 else crop) / 255.0


def _render(random: Generator) -> np.ndarray:
    """Render dead leaves: shaded discs of many sizes that cover each other, as objects in photographs do."""
    image = np.broadcast_to(random.random(3), (SIDE, SIDE, 3)).copy()
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(random.integers(5, 80)):
        radius = 4 / random.uniform(0.03, 1) ** 0.9
        cy, cx = random.uniform(-10, SIDE + 10, 2)
        slope = random.normal(0, 0.004, 2)
        disc = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        image[disc] = random.random(3) + ((y - cy) * slope[0] + (x - cx) * slope[1])[disc, None]
    return image.clip(0, 1)


def _augment(image: np.ndarray, random: Generator) -> np.ndarray:
    """Change the light (gamma, saturation, a colour matrix, contrast) and add noise, as during an optimisation."""
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
