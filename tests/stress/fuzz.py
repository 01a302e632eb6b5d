"""Changes bytes of image and weight files and reads them: whatever comes, it is read or refused in one line of ours.

    python tests/fuzz.py [--images 500000] [--weights 20000] [--seed 0]

Stops at the first file that escapes, and says where it is kept. Each file is read as a photo, or every third as a mask.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import struct
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, PngImagePlugin, features
from safetensors.torch import save

from fastphoto.encoders.weights import read_weights
from fastphoto.errors import FileError, InputError
from fastphoto.photos.formats import SIXTEEN_BIT_FORMATS
from fastphoto.photos.read import read_photo
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits, encode_sixteen_bits
from fastphoto.regions.reading import read_masks

_STRANGE = (0, 1, 0x7F, 0x80, 0xFF)


def images() -> list[bytes]:
    """Small good files of every format and of many kinds."""
    values = np.random.default_rng(0).integers(0, 256, (20, 24, 4)).astype(np.uint8)
    colour = Image.fromarray(values[..., :3])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Comment", "text " * 20, zip=True)
    kinds: list[tuple[Image.Image, str, dict]] = [
        (colour, "PNG", {"exif": exif, "icc_profile": profile, "pnginfo": text, "dpi": (72, 72)}),
        (Image.fromarray(values), "PNG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (Image.fromarray(values[..., 0].astype(np.uint16) * 257), "PNG", {}),
        (colour, "PNG", {"save_all": True, "append_images": [colour.rotate(90)]}),
        (colour, "JPEG", {"exif": exif, "icc_profile": profile}),
        (colour, "JPEG", {"progressive": True}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "TIFF", {"exif": exif}),
        (colour, "TIFF", {"compression": "tiff_lzw"}),
        (Image.fromarray(values[..., 0].astype(np.float32) / 255), "TIFF", {}),
        (colour, "WEBP", {"lossless": True, "exif": exif}),
        (colour, "WEBP", {}),
        (colour.convert("1"), "BMP", {}),
        (colour, "BMP", {}),
        (colour, "PPM", {}),
        (colour.convert("P"), "GIF", {"save_all": True, "append_images": [colour.rotate(90).convert("P")]}),
    ]
    if features.check("avif"):
        kinds.append((colour, "AVIF", {}))
    files = [_saved(image, file_format, options) for image, file_format, options in kinds]
    if can_read_sixteen_bits():
        deep = values.astype(np.uint16) * 257
        files += [
            encode_sixteen_bits(deep[..., :3], kind, profile, False, (72, 72), None) for kind in SIXTEEN_BIT_FORMATS
        ]
        files.append(encode_sixteen_bits(deep, "PNG", None, False, None, None))
    return files


def _saved(image: Image.Image, file_format: str, options: dict) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def weights() -> list[bytes]:
    """Small good weight files: safetensors, and PyTorch's of today and of before."""
    random_ = torch.Generator().manual_seed(0)
    tensors = {"normalise.weight": torch.eye(3), "normalise.bias": torch.zeros(3)}
    for name, wide, narrow in (("conv1_1", 4, 3), ("conv1_2", 4, 4), ("conv2_1", 5, 4)):
        tensors[f"{name}.weight"] = torch.randn(wide, narrow, 3, 3, generator=random_)
        tensors[f"{name}.bias"] = torch.zeros(wide)
    files = [save(tensors, {"padding": "zeros"})]
    for zipped in (True, False):
        stream = io.BytesIO()
        torch.save(tensors, stream, _use_new_zipfile_serialization=zipped)
        files.append(stream.getvalue())
    return files


def mutated(files: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Endlessly: files with bytes changed, cut out, doubled or lost, most of them near the beginning."""
    for good in itertools.cycle(files):
        data = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            last = len(data) if chance.random() < 0.4 else min(len(data), 400)
            at, how = chance.randrange(max(1, last)), chance.random()
            if how < 0.6:
                data[at : at + 1] = bytes([chance.choice(_STRANGE) if chance.random() < 0.4 else chance.randrange(256)])
            elif how < 0.7:
                data[at : at + 4] = struct.pack(">I", chance.choice([0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
            elif how < 0.8:
                del data[at : at + chance.randint(1, 30)]
            elif how < 0.9:
                data[at:at] = data[at : at + chance.randint(1, 30)]
            else:
                del data[chance.randrange(len(data) + 1) :]
        if data[:8] == b"\x89PNG\r\n\x1a\n" and chance.random() < 0.7:
            data = _checksums_mended(data)
        yield bytes(data)


def _checksums_mended(data: bytearray) -> bytearray:
    """A PNG file whose chunks have the right checksums, or every change would end at the first of them."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


def fuzz_images(count: int, seed: int, path: Path) -> Counter[str]:
    """Reads so many changed images; returns how many were read and refused."""
    found: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    for number, data in enumerate(itertools.islice(mutated(images(), random.Random(seed)), count)):
        path.write_bytes(data)
        try:
            if number % 3:
                pixels = read_photo(path).pixels
                assert pixels.shape[0] == 3 and bool(pixels.isfinite().all()), "not a photo"
            else:
                masks = read_masks(path, (20, 24)).masks
                assert masks.shape[1:] == (20, 24) and bool(masks.isfinite().all()), "not masks"
            found["read"] += 1
        except (FileError, InputError) as error:
            assert "\n" not in str(error) and str(error), repr(error)
            found["refused"] += 1
    return found


def fuzz_weights(count: int, seed: int, path: Path) -> Counter[str]:
    """Reads so many changed weight files; returns how many were read and refused."""
    found: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    for data in itertools.islice(mutated(weights(), random.Random(seed)), count):
        path.write_bytes(data)
        try:
            read = read_weights(path)
            assert all(bool(t.isfinite().all()) for pair in read.convolutions.values() for t in pair), "not finite"
            found["read"] += 1
        except (FileError, InputError) as error:
            assert "\n" not in str(error) and str(error), repr(error)
            found["refused"] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500_000, metavar="N")
    parser.add_argument("--weights", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="fastphoto-fuzz-"))
    for name, fuzz, count in (("images", fuzz_images, options.images), ("weights", fuzz_weights, options.weights)):
        begin = time.monotonic()
        found = fuzz(count, options.seed, folder / name)  # left behind by whatever escapes
        print(f"{name}: {dict(found)} in {time.monotonic() - begin:.0f} s", flush=True)
        (folder / name).unlink()
    folder.rmdir()


if __name__ == "__main__":
    main()
