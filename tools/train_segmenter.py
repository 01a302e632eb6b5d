"""Make the embedded segmentation network: MOSAIC R4 with fewer channels and with weights of 4 and 8 bits.

    python tools/train_segmenter.py --teacher mobile_segmenter_r4_quant_argmax_uint8.tflite --photos DIR -o OUT

The later bottlenecks lose a seventh of their channels, and the 1x1 convolutions of the later layers get weights of 4
bits. Layer by layer, what is left is fitted to what the published network computes on freely licensed photographs: by
least squares, without gradients. Photographs missing under --photos are fetched from Debian 12's packages (1.2 GB). On
the same machine the same arguments give the same bits. Afterwards the network is compared with the published one on
photographs that it was not fitted to. Needs `pip install ai_edge_litert==2.3.0`, which knows the published format.
Bad input ends the command with one line and exit status 2. See fastphoto/regions/embedded/MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image
from safetensors.torch import save
from score_methods import at_least
from torch import Tensor
from tqdm import tqdm
from training_photos import fetch_photos

from fastphoto.errors import FastPhotoError, FileError, InputError, printable
from fastphoto.regions.segmenter import (
    BOTTLENECKS,
    Bottleneck,
    Convolution,
    Decoder,
    SceneNetwork,
    read_segmenter,
    unpack_weight,
)
from fastphoto.runtime.files import write_file

TEACHER_SHA256 = "da8b3822a22fde45ecaf0ff32022287eff58b500096971b04f3c1b292da66a3c"
PHOTO_LIST = Path(__file__).with_name("segmenter_photos.txt")
"""Photographs beside those that the encoder is trained on."""
HELD_OUT = 10  # every tenth photograph only measures
CROPS = 160
BATCH = 8  # crops that are computed at once
SIDE = 512  # pixels of a crop, the network's input
FIRST_PRUNED = 6  # earlier bottlenecks have few weights
KEPT = 0.85  # share of a pruned bottleneck's channels
CHANNEL_MULTIPLE = 16  # of the channels that are kept; two 4-bit weights share a byte
FOUR_BITS = re.compile(  # layers with most of the weights
    rf"blocks\.({'|'.join(str(n) for n in range(FIRST_PRUNED, len(BOTTLENECKS)))})\.(expand|project)"
    r"|decoder\.(context|fuse|decode|scales\.[12]\.mix[35])"
)
PRUNING_RIDGE = REFIT_RIDGE = 1e-4  # of the mean second moment: what least squares add to the diagonal
ROUNDING_RIDGE = 1e-2  # the same for rounding; larger, because errors pile up; by trial
CLIPS = torch.linspace(0.5, 1, 11)  # of a row's largest weight: candidates of what 4 bits reach


# ---- the published network


def read_teacher(path: Path) -> SceneNetwork:
    """Read the published network from its .tflite file, with the weights that its whole numbers stand for."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{printable(path)}: {error.strerror or error}; give the published .tflite file") from error
    if (sha256 := hashlib.sha256(content).hexdigest()) != TEACHER_SHA256:
        raise FileError(f"{printable(path)}: SHA-256 is {sha256}, expected {TEACHER_SHA256}; download it again")
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise InputError("ai_edge_litert: not installed; run pip install ai_edge_litert==2.3.0") from error
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    # {operator: axes of its weight in PyTorch's order}
    axes = {schema.BuiltinOperator.CONV_2D: (0, 3, 1, 2), schema.BuiltinOperator.DEPTHWISE_CONV_2D: (3, 0, 1, 2)}
    types = {schema.TensorType.UINT8: np.uint8, schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}

    def constant(number: int) -> Tensor:
        tensor = graph.tensors[number]
        values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(types[tensor.type]).reshape(tensor.shape)
        scale, zero = (np.asarray(x, np.float32) for x in (tensor.quantization.scale, tensor.quantization.zeroPoint))
        if scale.size > 1:
            shape = [-1 if dim == tensor.quantization.quantizedDimension else 1 for dim in range(values.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        return torch.from_numpy((values.astype(np.float32) - zero) * scale)

    network = SceneNetwork()
    layers = (module for module in network.modules() if isinstance(module, Convolution))
    # The file has the convolutions in the same order as the network.
    for operator in (operator for operator in graph.operators if kinds[operator.opcodeIndex] in axes):
        layer, weight = next(layers), constant(operator.inputs[1])
        layer.weight.copy_(weight.permute(axes[kinds[operator.opcodeIndex]]))
        layer.bias.copy_(constant(operator.inputs[2]))
    return network.requires_grad_(False).eval()


# ---- photographs


def crops(photos: Sequence[Path], count: int, seed: int) -> Tensor:
    """Return crops of photographs in random order, (count, 3, SIDE, SIDE) uint8: whole ones, parts, and mirrored ones.

    A crop is stretched to a square, as the network sees photos.
    """
    random = np.random.default_rng(seed)
    order = [photos[i] for i in random.permutation(len(photos))]
    chosen = [order[i % len(order)] for i in range(count)]
    squares = [
        _square(path, None if i % 3 == 0 else random) for i, path in enumerate(tqdm(chosen, "photos", leave=False))
    ]
    return torch.stack([square.flip(2) if i % 2 else square for i, square in enumerate(squares)])


def _square(path: Path, random: Generator | None) -> Tensor:
    """Return a photograph, or a random quarter or more of it, stretched to a square (3, SIDE, SIDE) uint8."""
    with Image.open(path) as file:
        file.draft("RGB", (1600, 1600))  # JPEG files are decoded faster at a fraction of their size
        image = file.convert("RGB")
    left, top, right, bottom = 0, 0, *image.size
    if random is not None:
        side, aspect = random.uniform(0.25, 1) ** 0.5, np.exp(random.uniform(-0.3, 0.3))
        width, height = (min(n, int(n * s)) for n, s in zip(image.size, (side * aspect, side / aspect), strict=True))
        left, top = (int(random.integers(n - m + 1)) for n, m in zip(image.size, (width, height), strict=True))
        right, bottom = left + width, top + height
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, right, bottom), reducing_gap=3)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def agreement(network: SceneNetwork, teacher: SceneNetwork, photos: Sequence[Path]) -> list[float]:
    """Return for each photograph the share of pixels to which both networks give the same class."""
    shares = []
    for path in tqdm(photos, "comparing", leave=False):
        photo = _square(path, None).float() / 255
        shares.append((network(photo).argmax(0) == teacher(photo).argmax(0)).float().mean().item())
    return shares


# ---- least squares


@dataclass(frozen=True)
class Moments:
    """What least squares need to know of a layer's inputs and targets."""

    inputs: Tensor
    """(n + 1, n + 1) float64: mean products of the n inputs with one another; the last input is the constant 1."""
    cross: Tensor
    """(n + 1, m) float64: mean products of the inputs with the targets."""


def moments(samples: Iterable[tuple[Tensor, Tensor]]) -> Moments:
    """Return the moments of batches of inputs (B, n, h, w) and targets (B, m, h, w)."""
    inputs, cross, count = torch.zeros(()), torch.zeros(()), 0
    for x, y in samples:
        x, y = x.transpose(0, 1).flatten(1), y.transpose(0, 1).flatten(1)
        x = torch.cat([x, torch.ones_like(x[:1])])
        inputs, cross = inputs + (x @ x.T).double(), cross + (x @ y.T).double()
        count += x.shape[1]
    return Moments(inputs / count, cross / count)


def refit(known: Moments) -> Tensor:
    """Return the weight (m, n) that predicts the targets best, float64; a bias is assumed."""
    system = _with_ridge(known.inputs, REFIT_RIDGE)
    system[-1, -1] = known.inputs[-1, -1]
    return torch.linalg.solve(system, known.cross)[:-1].T


def best_bias(weight: Tensor, known: Moments) -> Tensor:
    """Return the bias (m,) with which a weight (m, n) predicts the targets best."""
    return known.cross[-1] - weight.double() @ known.inputs[-1, :-1]


def prune(known: Moments, count: int) -> Tensor:
    """Return the numbers of `count` inputs, rising, from which the targets can still be predicted well.

    Inputs go a few at a time, those without which the squared error of a refit grows least (optimal brain surgeon).
    """
    kept = torch.arange(len(known.inputs))
    system = _with_ridge(known.inputs, PRUNING_RIDGE)
    while (surplus := len(kept) - 1 - count) > 0:
        inverse = torch.linalg.inv(system[kept][:, kept])
        cost = (inverse @ known.cross[kept]).square().sum(1) / inverse.diagonal()
        cost[-1] = torch.inf  # the constant stays
        dropped = cost.argsort()[: min(surplus, max(4, len(kept) // 24))]
        kept = kept[~torch.isin(torch.arange(len(kept)), dropped)]
    return kept[:-1]


def round_weight(weight: Tensor, inputs: Tensor | None, bits: int) -> tuple[Tensor, Tensor]:
    """Round a weight to whole numbers times one factor for each output.

    Args:
        weight: weight, (m, n).
        inputs: mean products of the inputs with one another, (n, n). Each rounding error is then made up for by the
            weights of correlated inputs that are rounded later (GPTQ: Frantar et al., 2023). None: plain rounding.
        bits: bits of a number.

    Returns:
        The numbers (m, n) int8 and the factors (m,) float16.
    """
    most = 2 ** (bits - 1) - 1
    weight = weight.double().clone()
    largest = weight.abs().amax(1, keepdim=True) / most
    candidates = [(largest * clip).half().clamp_min(2**-24).double() for clip in (CLIPS if bits < 8 else CLIPS[-1:])]
    errors = torch.stack([(weight - _nearest(weight / f, most) * f).square().sum(1) for f in candidates])
    factor = torch.stack(candidates)[errors.argmin(0), torch.arange(len(weight))]
    if inputs is None:
        return _nearest(weight / factor, most).to(torch.int8), factor[:, 0].half()
    order = inputs.diagonal().argsort(descending=True)
    inverse = torch.linalg.inv(_with_ridge(inputs[order][:, order], ROUNDING_RIDGE))
    passes_on = torch.linalg.cholesky(inverse, upper=True)
    weight, numbers = weight[:, order], torch.empty_like(weight)
    for column in range(weight.shape[1]):
        rounded = _nearest(weight[:, column : column + 1] / factor, most)
        error = (weight[:, column : column + 1] - rounded * factor) / passes_on[column, column]
        weight[:, column:] -= error * passes_on[column, column:]
        numbers[:, order[column]] = rounded[:, 0]
    return numbers.to(torch.int8), factor[:, 0].half()


def _nearest(values: Tensor, most: int) -> Tensor:
    return values.round().clamp(-most, most)


def _with_ridge(products: Tensor, share: float) -> Tensor:
    """Return (n, n) mean products with a share of the mean square added to the diagonal."""
    return products + share * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)


# ---- the compressed network


@dataclass
class Compressed:
    """A network whose layers get their rounded weights one after the other, and the tensors of its file."""

    network: SceneNetwork
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def round(self, name: str, weight: Tensor, bias: Tensor | None, known: Moments | None) -> None:
        """Round a layer's weight (O, I, k, k) or (O, I), and its bias, or the best bias if that is None."""
        layer = self.network.get_submodule(name)
        bits = 4 if FOUR_BITS.fullmatch(name) else 8
        products = known.inputs[:-1, :-1] if known and layer.weight.shape[2] == 1 else None
        numbers, factor = round_weight(weight.flatten(1), products, bits)
        numbers = numbers.view(layer.weight.shape)
        rounded = unpack_weight(numbers, factor)
        if known and bias is None:
            bias = best_bias(rounded.flatten(1), known)
        self.tensors[f"{name}.weight"] = pack(numbers) if bits == 4 else numbers
        self.tensors[f"{name}.scale"], self.tensors[f"{name}.bias"] = factor, bias.half()
        layer.weight.copy_(rounded)
        layer.bias.copy_(bias.half())


def pack(numbers: Tensor) -> Tensor:
    """Return numbers of 4 bits, (m, n, 1, 1) int8 in [-8, 7], as bytes (m, n / 2, 1, 1), see `unpack_weight`."""
    shifted = (numbers + 8).to(torch.uint8)
    return shifted[:, ::2] | shifted[:, 1::2] << 4


def compress(teacher: SceneNetwork, pictures: Tensor) -> Compressed:
    """Return the teacher with fewer channels and rounded weights, fitted on pictures (N, 3, SIDE, SIDE) uint8."""
    widths = [_kept_channels(n) for n in range(len(BOTTLENECKS))]
    done = Compressed(SceneNetwork(widths).requires_grad_(False).eval())
    done.network.decoder.load_state_dict(teacher.decoder.state_dict())
    early = ["stem", *(f"blocks.{n}.{part}" for n in range(FIRST_PRUNED) for part in ("expand", "depth", "project"))]
    for name in [*early, "decoder.refine"]:
        layer = teacher.get_submodule(name)
        done.round(name, layer.weight, layer.bias, None)
    batches = pictures.split(BATCH)
    theirs, ours = ([_early(network, batch) for batch in batches] for network in (teacher, done.network))
    xs = [(x, y) for (x, _), (y, _) in zip(theirs, ours, strict=True)]  # inputs of the next block: theirs and ours
    for number in tqdm(range(FIRST_PRUNED, len(BOTTLENECKS)), "blocks", leave=False):
        xs = _compress_block(done, number, teacher.blocks[number], xs)
    middle = [(x, y) for (_, x), (_, y) in zip(theirs, ours, strict=True)]
    _compress_decoder(done, teacher.decoder, xs, middle)
    return done


def _kept_channels(number: int) -> int:
    expanded = BOTTLENECKS[number].expanded
    return expanded if number < FIRST_PRUNED else round(expanded * KEPT / CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE


def _early(network: SceneNetwork, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the input of the first pruned block, and the expanded channels before it, float16, for the decoder."""
    x = network.stem(pictures.float() / 127.5 - 1).relu_()
    for block in network.blocks[:FIRST_PRUNED]:
        x = block.close(hidden := block.hidden(x), x)
    return x, hidden.half()


def _compress_block(
    done: Compressed, number: int, theirs: Bottleneck, xs: list[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Compress one block for its inputs, theirs and ours, and return the inputs of the next block."""
    ours, name = done.network.blocks[number], f"blocks.{number}"
    outputs = [theirs(x) for x, _ in xs]
    # The projection aims at their output, and so repairs what earlier blocks lost.
    targets = [y - x if theirs.adds else y for y, (_, x) in zip(outputs, xs, strict=True)]
    full = moments((theirs.hidden(x), y) for (_, x), y in zip(xs, targets, strict=True))
    kept = prune(full, len(ours.expand.bias))
    expanded = moments((x, theirs.expand(x)[:, kept]) for _, x in xs)
    done.round(f"{name}.expand", theirs.expand.weight[kept], None, expanded)
    done.round(f"{name}.depth", theirs.depth.weight[kept], theirs.depth.bias[kept], None)
    hidden = moments((ours.hidden(x), y) for (_, x), y in zip(xs, targets, strict=True))
    done.round(f"{name}.project", refit(hidden), None, hidden)
    return [(y, ours(x)) for y, (_, x) in zip(outputs, xs, strict=True)]


def _compress_decoder(
    done: Compressed, theirs: Decoder, xs: list[tuple[Tensor, Tensor]], middle: list[tuple[Tensor, Tensor]]
) -> None:
    """Compress the decoder but for "refine": the 1x1 convolutions aim at what theirs return before the ReLU."""
    ours = done.network.decoder
    layers = [name for name, module in theirs.named_modules() if isinstance(module, Convolution) and name != "refine"]
    for name in tqdm(layers, "decoder", leave=False):
        layer = theirs.get_submodule(name)
        if layer.weight.shape[2] > 1:
            done.round(f"decoder.{name}", layer.weight, layer.bias, None)
            continue
        samples = (
            (_call(ours, name, x[1], m[1])[0], _call(theirs, name, x[0], m[0])[1])
            for x, m in zip(xs, middle, strict=True)
        )
        known = moments(samples)
        done.round(f"decoder.{name}", refit(known), None, known)


class _Reached(Exception):
    """The layer whose input and output are wanted has been computed; what follows need not be."""


def _call(decoder: Decoder, name: str, x: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    """Run a decoder up to one of its layers, and return that layer's input and its output before the ReLU."""
    seen: list[Tensor] = []

    def stop(_: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.extend([inputs[0], output])
        raise _Reached

    hook = decoder.get_submodule(name).register_forward_hook(stop)
    with contextlib.suppress(_Reached):
        decoder(x, middle.float(), x.new_empty(0))  # the fine channels, which only "refine" reads
    hook.remove()
    return seen[0], seen[1]


def train(options: argparse.Namespace) -> None:
    """Make the network, write its file, and print how often it agrees with the published one."""
    start = time.monotonic()
    teacher = read_teacher(options.teacher)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    photos = fetch_photos(options.photos) + fetch_photos(options.photos, PHOTO_LIST)
    pictures = crops([photo for i, photo in enumerate(photos) if i % HELD_OUT], options.crops, options.seed)
    content = save(
        compress(teacher, pictures).tensors,
        # One entry alone, because the library writes several in any order.
        {"licence": "Apache-2.0; MOSAIC R4 by the authors of MLCommons mobile_open, changed; see MODEL_CARD.md"},
    )
    write_file(options.out, lambda file: file.write(content))
    shares = agreement(read_segmenter(options.out), teacher, photos[::HELD_OUT])
    print(
        f"agreement on {len(shares)} photographs held out: mean {np.mean(shares):.3f}, median {np.median(shares):.3f}"
    )
    print(f"{options.out}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")
    print(f"{(time.monotonic() - start) / 60:.1f} minutes, {torch.get_num_threads()} threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, metavar="FILE", help="the published .tflite file")
    parser.add_argument("--photos", type=Path, default=Path("build/training-photos"), help="default: %(default)s")
    parser.add_argument("--crops", type=at_least(1), default=CROPS, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.no_grad():
            train(options)
    except (FastPhotoError, OSError) as error:
        print(f"train_segmenter: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
