"""Read image and weight files with changed bytes: each must be read, or refused with an error of one line.

    python tests/stress/fuzz.py [--images 500000] [--weights 20000] [--seed 0]

Every third image is read as a mask, the others as photos. The first file that causes any other error ends the run with
a traceback and is left in the temporary folder that is printed.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

_EXTREME_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
_EXTREME_LENGTHS = (0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def images() -> list[bytes]:
    """Return small valid files of every format and of many kinds."""
    values = np.random.default_rng(0).integers(0, 256, (20, 24, 4)).astype(np.uint8)
    colour = Image.fromarray(values[..., :3])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Comment", "text " * 20, zip=True)
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
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
    files = [_encoded(image, file_format, options) for image, file_format, options in kinds]
    if can_read_sixteen_bits():
        sixteen = values.astype(np.uint16) * 257
        files += [encode_sixteen_bits(sixteen[..., :3], each, profile, dpi=(72, 72)) for each in SIXTEEN_BIT_FORMATS]
        files.append(encode_sixteen_bits(sixteen, "PNG"))
    return files


def _encoded(image: Image.Image, file_format: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def weights() -> list[bytes]:
    """Return small valid weight files: safetensors, and PyTorch's current and former format."""
    generator = torch.Generator().manual_seed(0)
    tensors = {"normalise.weight": torch.eye(3), "normalise.bias": torch.zeros(3)}
    for name, wide, narrow in (("conv1_1", 4, 3), ("conv1_2", 4, 4), ("conv2_1", 5, 4)):
        tensors[f"{name}.weight"] = torch.randn(wide, narrow, 3, 3, generator=generator)
        tensors[f"{name}.bias"] = torch.zeros(wide)
    files = [save(tensors, {"padding": "zeros"})]
    for zipped in (True, False):
        stream = io.BytesIO()
        torch.save(tensors, stream, _use_new_zipfile_serialization=zipped)
        files.append(stream.getvalue())
    return files


def mutated(files: list[bytes], random_: random.Random) -> Iterator[bytes]:
    """Yield files without end, in turn, each with one to six changes."""
    for valid in itertools.cycle(files):
        data = bytearray(valid)
        for _ in range(random_.randint(1, 6)):
            _mutate(data, random_)
        if data[:8] == b"\x89PNG\r\n\x1a\n" and random_.random() < 0.7:
            _correct_checksums(data)
        yield bytes(data)


def _mutate(data: bytearray, random_: random.Random) -> None:
    """Change, cut out, double or cut off bytes, mostly among the first 400, where the headers are."""
    end = len(data) if random_.random() < 0.4 else min(len(data), 400)
    at, choice = random_.randrange(max(1, end)), random_.random()
    if choice < 0.6:
        extreme = random_.random() < 0.4
        data[at : at + 1] = bytes([random_.choice(_EXTREME_BYTES) if extreme else random_.randrange(256)])
    elif choice < 0.7:
        data[at : at + 4] = struct.pack(">I", random_.choice(_EXTREME_LENGTHS))
    elif choice < 0.8:
        del data[at : at + random_.randint(1, 30)]
    elif choice < 0.9:
        data[at:at] = data[at : at + random_.randint(1, 30)]
    else:
        del data[random_.randrange(len(data) + 1) :]


def _correct_checksums(data: bytearray) -> None:
    """Correct the checksums of a PNG file, because decoders stop at the first wrong one."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4


def read_image(path: Path, number: int) -> None:
    """Read an image, every third one as a mask, and check what was read."""
    if number % 3:
        pixels = read_photo(path).pixels
        assert pixels.shape[0] == 3 and bool(pixels.isfinite().all()), "not a photo"
    else:
        masks = read_masks(path, (20, 24)).masks
        assert masks.shape[1:] == (20, 24) and bool(masks.isfinite().all()), "not masks"


def read_weight_file(path: Path, number: int) -> None:
    """Read a weight file, and check what was read."""
    convolutions = read_weights(path).convolutions
    assert all(bool(tensor.isfinite().all()) for pair in convolutions.values() for tensor in pair), "not finite"


def fuzz_images(count: int, seed: int, path: Path) -> Counter[str]:
    """Read `count` changed images from a temporary file; return how many were "read" and how many "refused"."""
    return _fuzz(images(), read_image, count, seed, path)


def fuzz_weights(count: int, seed: int, path: Path) -> Counter[str]:
    """Read `count` changed weight files from a temporary file; return how many were "read" and how many "refused"."""
    return _fuzz(weights(), read_weight_file, count, seed, path)


def _fuzz(files: list[bytes], read: Callable[[Path, int], None], count: int, seed: int, path: Path) -> Counter[str]:
    results: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    for number, data in enumerate(itertools.islice(mutated(files, random.Random(seed)), count)):
        path.write_bytes(data)
        try:
            read(path, number)
            results["read"] += 1
        except (FileError, InputError) as error:
            assert "\n" not in str(error) and str(error), repr(error)
            results["refused"] += 1
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=500_000, metavar="N", help="number of images (%(default)s)")
    parser.add_argument("--weights", type=int, default=20_000, metavar="N", help="number of weight files (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the changes (%(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="fastphoto-fuzz-"))
    print(f"changed files are written to {folder}", flush=True)
    for name, fuzz, count in (("images", fuzz_images, args.images), ("weights", fuzz_weights, args.weights)):
        begin = time.monotonic()
        results = fuzz(count, args.seed, folder / name)
        print(f"{name}: {dict(results)} in {time.monotonic() - begin:.0f} s", flush=True)
        (folder / name).unlink()  # not reached, and the file left behind, if reading it fails otherwise
    folder.rmdir()


if __name__ == "__main__":
    main()
