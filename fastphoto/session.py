"""`Session`: one style prepared once, and transferred to any number of photos. It is what every transfer runs in."""

from __future__ import annotations

import math
import os
import time
from contextlib import AbstractContextManager, nullcontext
from numbers import Integral, Real
from types import TracebackType
from typing import Any, Literal, TypeVar, get_args, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.encoders.encoder import ENCODERS, Encoder, load_encoder
from fastphoto.errors import DeadlineError, InputError, printable, warn
from fastphoto.optimisation.looks import check_for_look, make_look
from fastphoto.optimisation.memory import check_transfer, out_of_memory_refused
from fastphoto.optimisation.optimise import optimise
from fastphoto.optimisation.presets import changed_settings, preset_settings
from fastphoto.optimisation.progress import Callback, Progress, Reporter
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind
from fastphoto.regions.find import RegionFinder, RegionSource, region_finder
from fastphoto.regions.look import SIDE, Look, is_look, read_look, write_look
from fastphoto.regions.mask_forms import OpenedMask
from fastphoto.regions.masks import MaskSource
from fastphoto.regions.pair import checked_size, prepare_pair, warn_of_one_colour
from fastphoto.regions.reading import open_mask
from fastphoto.regions.scenes import SCENE_KINDS
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.host_state import apart_from_host
from fastphoto.runtime.memo import Memo

_TENSOR_CORE_CHANNELS = 8  # convolutions on a GPU are fast for multiples of this many channels

Path = str | os.PathLike[str]
Kind = TypeVar("Kind", Image.Image, "np.ndarray[Any, Any]", Tensor)
AtDeadline = Literal["best", "error"]
"""What a transfer does that is not ready at its deadline: return the best image so far, or raise DeadlineError."""


class Session:
    """A style photo and settings, ready to be transferred to any number of content photos.

    What depends on the style alone is computed once, whichever photo asks for it first: its pixels, its regions, and
    its activations in the network, whose weights are read once too. Everything else about a session never changes.
    Several threads can use one session at a time; each result has the same bits as from `fastphoto.transfer`.

    Args:
        style: photo whose look the results take on: a path, bytes, a binary stream, a PIL image, a numpy array
            (H, W[, C]), a tensor ([1, ]C, H, W), or `Photo`; see `fastphoto.read_photo`. Or a look, which
            `save_look` has written: the path of a .fastphoto file, or a `Look`.
        style_mask: regions of the style, as `fastphoto.read_masks` takes them; each content then needs a mask too.
        regions, segmentation_model: source of the regions, as in `fastphoto.transfer`.
        preset: name in `fastphoto.PRESETS`.
        settings: all settings at once, in place of a preset.
        encoder: name of the encoder, or an `Encoder`, which must not be changed afterwards.
        weights, size, device, seed: as in `fastphoto.transfer`.
        max_memory: bytes that each transfer may take, beyond its photos and the network; None: all that are free.
        changes: fields of `fastphoto.Settings`, to change the preset or the settings.

    Raises:
        InputError: arguments, a mask or a photo that cannot be used.
        FileError: a file that cannot be read.

    Example:
        >>> style = np.full((40, 40, 3), 200, np.uint8)
        >>> with Session(style, steps=0) as session:
        ...     results = [session(np.full((32, 48, 3), grey, np.uint8)) for grey in (60, 120)]
        >>> [(result.shape, int(result.mean())) for result in results]
        [((32, 48, 3), 200), ((32, 48, 3), 200)]
    """

    @apart_from_host
    def __init__(
        self,
        style: PhotoSource | Look,
        style_mask: MaskSource = None,
        *,
        regions: RegionSource | None = None,
        segmentation_model: Path | None = None,
        preset: str | None = None,
        settings: Settings | None = None,
        encoder: str | Encoder = "embedded",
        weights: Path | None = None,
        size: int = 700,
        device: str | torch.device = "auto",
        seed: int = 0,
        max_memory: int | None = None,
        **changes: Any,
    ) -> None:
        self.settings = _chosen_settings(preset, settings, changes)
        self.device = choose_device(device)
        self.size, self.seed, self.max_memory = checked_size(size), checked_seed(seed), _checked_memory(max_memory)
        self._encoder, self._weights = _checked_encoder(encoder, weights), weights
        self._regions, self._segmentation_model = regions, segmentation_model
        self._style_mask: MaskSource | OpenedMask = style_mask
        self._region_finder(None)  # checks the arguments
        style = read_look(style) if is_look(style) else style
        self._look = style if isinstance(style, Look) else None
        if isinstance(style, Look):
            self.style = Photo(style.colours, None, "tensor", "style")
            self._style_mask = self._mask_of_look(style, style_mask)
        else:
            self.style = read_photo(style, "style")
            self._style_mask = open_mask(style_mask, self.style.size, "style mask")
        self._of_style: Memo | None = Memo()

    @overload
    def __call__(
        self,
        content: Path,
        content_mask: MaskSource = None,
        *,
        callback: Callback | None = None,
        deadline: float | None = None,
        at_deadline: AtDeadline = "best",
    ) -> Image.Image: ...
    @overload
    def __call__(
        self,
        content: Photo,
        content_mask: MaskSource = None,
        *,
        callback: Callback | None = None,
        deadline: float | None = None,
        at_deadline: AtDeadline = "best",
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        content: Kind,
        content_mask: MaskSource = None,
        *,
        callback: Callback | None = None,
        deadline: float | None = None,
        at_deadline: AtDeadline = "best",
    ) -> Kind: ...

    @apart_from_host
    def __call__(
        self,
        content: PhotoSource,
        content_mask: MaskSource = None,
        *,
        callback: Callback | None = None,
        deadline: float | None = None,
        at_deadline: AtDeadline = "best",
    ) -> Image.Image | np.ndarray[Any, Any] | Tensor:
        """Make a content photo take on the look of the session's style.

        Args:
            content: photo to change, of any type that the style can have.
            content_mask: regions of the content, matched with the style's by name or colour.
            callback: function that receives a `Progress` before each part of the work (loading, regions, result) and
                after each step; returning True ends the optimisation with the best image so far.
            deadline: seconds from now after which the optimisation ends. It is checked between steps, so the result
                comes a little later, by the time of a step and of making it at the photo's own size.
            at_deadline: what happens then. "best": the result is the best image so far, with a `FastPhotoWarning`.
                "error": raise DeadlineError.

        Returns:
            The result as the type of `content` (a PIL image for a path, pixels (3, H, W) for a `Photo`), at the
            content's own size.

        Raises:
            InputError: arguments, masks or photos that cannot be used, sizes that would not fit in memory, or a closed
                session.
            FileError: a file that cannot be read.
            DeadlineError: the deadline came first, and `at_deadline` is "error".
            FastPhotoError: losses stay non-finite.
        """
        of_style = self._of_style
        if of_style is None:
            raise InputError("session: it is closed; make a new one")
        settings = self.settings
        steps = sum(settings.steps) * len(settings.stages)
        limited = callback if deadline is None else _Deadline(deadline, at_deadline, callback)
        reporter = Reporter(limited, steps)
        finder = self._region_finder(content_mask)
        photo = read_photo(content, "content")
        pair = prepare_pair(
            photo, self.style, content_mask, self._style_mask, self.size, settings.orphans, self._look, of_style
        )
        reporter.announce("loading", pair.content)
        network = of_style.get("encoder", self._load_encoder)
        optimised_size = pair.content.shape[1], pair.content.shape[2]
        check_transfer(optimised_size, len(pair.names), network, settings, self.device, self.max_memory)
        reporter.announce("regions", pair.content)
        with out_of_memory_refused(optimised_size):
            pair = finder(pair, self.device)
        warn_of_one_colour(pair)
        # again: there may be more regions
        check_transfer(optimised_size, len(pair.names), network, settings, self.device, self.max_memory)
        with out_of_memory_refused(optimised_size), _convolution_flags(self.device, settings.precision):
            pixels = optimise(pair, photo.pixels, settings, network, self.device, seed=self.seed, reporter=reporter)
            pixels = pixels.clamp_(0, 1).cpu()
        return pixels if isinstance(content, Photo) else to_source_kind(photo, pixels)

    @apart_from_host
    def save_look(self, path: Path) -> None:
        """Write what a transfer needs of the style to a file of some ten kilobytes, which can stand for the photo.

        A look gives nearly the results of its photo: it keeps a thousand colours and the moments of the activations by
        region, and it is for presets that recolour.

        Args:
            path: file to write, with the extension .fastphoto. `Session`, `transfer` and the command take it as a
                style.

        Raises:
            InputError: another extension, settings that need the photo, or a session that has a look already.
            FileError: the file cannot be written.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     Session(torch.rand(3, 60, 60)).save_look(f"{folder}/dusk.fastphoto")
            ...     os.path.getsize(f"{folder}/dusk.fastphoto") < 20_000
            True
        """
        if not is_look(path):
            raise InputError(f"{printable(path)}: the file of a look has the extension .fastphoto")
        if self._look is not None or self._of_style is None or not isinstance(self._encoder, str):
            raise InputError("look: it is made by an open session with a style photo and an encoder by name")
        check_for_look(self.settings, None, self._encoder)
        # The same look on every device, and the session's own network stays where it is.
        network = load_network(self._encoder, self._weights, torch.device("cpu"), "float32")
        network.check(self.settings.style_layers)
        mask = self._style_mask if isinstance(self._style_mask, OpenedMask) else None
        write_look(path, make_look(self.style, mask, self.size, self.settings, network, self._encoder))

    def _mask_of_look(self, look: Look, style_mask: MaskSource) -> OpenedMask | None:
        """Return the regions of a look as a mask, None if they are kinds of scene."""
        if style_mask is not None:
            raise InputError("style mask: a look has its own regions; leave it out")
        check_for_look(self.settings, look, self._encoder if isinstance(self._encoder, str) else "")
        if look.of_scene and look.names != tuple(SCENE_KINDS):
            raise InputError(
                "look: its kinds of scene are not those of this version; make it anew from the style photo"
            )
        if self._regions == "semantic" or (self._regions == "auto" and not look.of_scene):
            kept = "kinds of scene" if look.of_scene else "those of a mask"
            raise InputError(f'regions: "{self._regions}" needs the style photo; the look has {kept}')
        if look.of_scene:
            return None
        return open_mask(dict(zip(look.names, look.masks(), strict=True)), (SIDE, SIDE), "style mask")

    def close(self) -> None:
        """Give back what the session keeps. Transfers that are running go on; later ones are refused."""
        self._of_style = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _region_finder(self, content_mask: MaskSource) -> RegionFinder:
        source, masks, model = self._regions, (content_mask, self._style_mask), self._segmentation_model
        if source is None:
            given = any(part is not None for part in (*masks, model))
            source = "masks" if given else "auto" if self.settings.start == "colour" else "none"
        return region_finder(source, *masks, model)

    def _load_encoder(self) -> Encoder:
        """Return the encoder on its device; its weights are read, and fetched, only when all else has been checked."""
        if isinstance(self._encoder, str):
            network = load_network(self._encoder, self._weights, self.device, self.settings.precision)
        else:
            network = self._encoder.to(self.device)
        network.check([*self.settings.content_layers, *self.settings.style_layers])
        for layer, means in (self._look.means if self._look is not None else {}).items():
            if layer in self.settings.style_layers and means.shape[1] != network.channels[layer]:
                raise InputError(f"look: {layer} has {means.shape[1]} channels, the encoder {network.channels[layer]}")
        return network


def check_deadline(seconds: Any, at_deadline: Any) -> float:
    """Return a deadline; raises InputError unless it is seconds, 0 or more, and `at_deadline` is known."""
    if isinstance(seconds, bool) or not isinstance(seconds, Real) or not 0 <= float(seconds) < math.inf:
        raise InputError(f"deadline: must be seconds, 0 or more, got {seconds!r}")
    if at_deadline not in get_args(AtDeadline):
        raise InputError(f"at_deadline: must be best or error, got {at_deadline!r}")
    return float(seconds)


class _Deadline:
    """A callback that ends an optimisation when the time is over, beside the caller's own."""

    def __init__(self, seconds: float, at_deadline: AtDeadline, callback: Callback | None) -> None:
        self._seconds = seconds = check_deadline(seconds, at_deadline)
        self._end: float = time.monotonic() + seconds
        self._raises: bool = at_deadline == "error"
        self._callback: Callback | None = callback

    def __call__(self, progress: Progress) -> bool:
        stopped = self._callback is not None and bool(self._callback(progress))
        if progress.stage == "result" or stopped or time.monotonic() < self._end:
            return stopped
        if progress.step < progress.total:
            came = f"deadline: {self._seconds:g} s were over after step {progress.step} of {progress.total}"
            if self._raises:
                raise DeadlineError(f"{came}; give more time or take fewer steps")
            warn(f"{came}; the result is the best image so far")
        return True


def checked_seed(seed: Any) -> int:
    """Return a seed as an int; raises InputError for anything but a whole number from 0 to 2^63 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**63:
        raise InputError(f"seed: must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    return int(seed)


def load_network(name: str, weights: Path | None, device: torch.device, precision: str) -> Encoder:
    """Return an encoder on its device, with activations of the type that the precision names."""
    if device.type == "cpu":
        if precision == "bfloat16":
            raise InputError("precision: bfloat16 is for CUDA devices; give auto or float32")
        return load_encoder(name, weights)
    dtype = torch.bfloat16 if precision in ("auto", "bfloat16") else torch.float32
    return load_encoder(name, weights, dtype=dtype, channel_multiple=_TENSOR_CORE_CHANNELS).to(device)


def _chosen_settings(preset: str | None, settings: Settings | None, changes: dict[str, Any]) -> Settings:
    if settings is None:
        return preset_settings("fast" if preset is None else preset, **changes)
    if not isinstance(settings, Settings):
        raise InputError(f"settings: must be a fastphoto.Settings, got {type(settings).__name__}")
    if preset is not None:
        raise InputError("preset: settings are given, which take its place; leave out one or the other")
    return changed_settings(settings, **changes)


def _checked_encoder(encoder: str | Encoder, weights: Path | None) -> str | Encoder:
    if isinstance(encoder, Encoder):
        if weights is not None:
            raise InputError("weights: the encoder that is given has its own; name the encoder of the file instead")
    elif not isinstance(encoder, str) or encoder not in ENCODERS:
        raise InputError(f"encoder {encoder!r}: unknown; give one of {', '.join(ENCODERS)}, or an Encoder")
    return encoder


def _checked_memory(count: Any) -> int | None:
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, Integral) or count <= 0:
        raise InputError(f"max_memory: must be a whole number of bytes above 0, got {count!r}")
    return int(count)


def _convolution_flags(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return a context in which cuDNN chooses the same algorithms in every run, and allows TF32 only if asked for."""
    if device.type == "cpu":
        return nullcontext()
    tf32 = precision == "tf32"
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
