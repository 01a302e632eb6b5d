"""The command: `fastphoto transfer`, `fastphoto demo` and `fastphoto info`; the only place that prints."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from PIL import Image
from tqdm import tqdm

from . import __version__
from .download import KNOWN, cache_folder, download, find_cached, known_files
from .encoder import ENCODERS
from .errors import FastPhotoError, FastPhotoWarning, FileError
from .images import Photo, check_output, read_photo, write_photo
from .ops import build_info
from .process import keep_freed_memory
from .setting_text import parse_settings
from .settings import PRESETS, Settings
from .transfer import Progress, transfer

ORPHANS = ("merge", "global", "drop", "error")
SHEET_HEIGHT, SHEET_MARGIN = 360, 8  # pixels


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit status.

    0: done. 2: input, a file or an option cannot be used. 130: interrupted. 1: any other failure.
    """
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    try:
        with _reported_warnings(options):
            options.run(options)
            sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        if isinstance(error, FastPhotoError):
            _say(f"error: {_one_line(error)}")
            return 2
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            _say("error: not enough memory; use a smaller --size")
            return 2
        what = f"{type(error).__name__}: {_one_line(error)}"
        _say(f"error: {what}" + ("" if options.debug else "; run again with --debug to see where"))
        return 1


def _transfer(options: argparse.Namespace) -> None:
    """`fastphoto transfer`"""
    sources = (options.content, options.style, options.content_mask, options.style_mask)
    check_output(options.output, sources)
    started = time.perf_counter()
    content = read_photo(options.content, "content")
    style = read_photo(options.style, "style")
    pixels = _run(options, content, style, options.content_mask, options.style_mask)
    write_photo(options.output, content, pixels)
    if not options.quiet:
        _say(f"wrote {options.output} in {time.perf_counter() - started:.1f} s")


def _demo(options: argparse.Namespace) -> None:
    """`fastphoto demo`"""
    folder = Path(options.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: cannot be made ({error.strerror}); give another folder with -o") from error
    rows = []
    for pair in demo_pairs():
        started = time.perf_counter()
        content, style = read_photo(pair / "content.jpg", "content"), read_photo(pair / "style.jpg", "style")
        pixels = _run(options, content, style, pair / "content_mask.png", pair / "style_mask.png")
        result = folder / f"{pair.name}.jpg"
        write_photo(result, content, pixels)
        rows.append((pair / "content.jpg", pair / "style.jpg", result))
        if not options.quiet:
            _say(f"wrote {result} in {time.perf_counter() - started:.1f} s")
    sheet = folder / "contact-sheet.jpg"
    _contact_sheet(rows).save(sheet, quality=92)
    if not options.quiet:
        _say(f"wrote {sheet}: content, style, result")


def demo_pairs() -> list[Path]:
    """The folders of the demo pairs in the package, each with content.jpg, style.jpg and their masks."""
    return sorted(file.parent for file in (Path(__file__).parent / "demo").glob("*/content.jpg"))


def _contact_sheet(rows: Sequence[Sequence[Path]]) -> Any:
    grid = []
    for row in rows:
        images = [Image.open(path).convert("RGB") for path in row]
        grid.append([i.resize((round(i.width * SHEET_HEIGHT / i.height), SHEET_HEIGHT)) for i in images])
    widths = [max(image.width for image in column) for column in zip(*grid, strict=True)]
    size = (
        sum(widths) + SHEET_MARGIN * (len(widths) + 1),
        (SHEET_HEIGHT + SHEET_MARGIN) * len(grid) + SHEET_MARGIN,
    )
    sheet = Image.new("RGB", size, "white")
    for r, images in enumerate(grid):
        for c, image in enumerate(images):
            left = SHEET_MARGIN + sum(widths[:c]) + SHEET_MARGIN * c + (widths[c] - image.width) // 2
            sheet.paste(image, (left, SHEET_MARGIN + r * (SHEET_HEIGHT + SHEET_MARGIN)))
    return sheet


def _info(options: argparse.Namespace) -> None:
    """`fastphoto info`"""
    print(f"fastphoto    {__version__}")
    print(f"python       {sys.version.split()[0]}, torch {torch.__version__}")
    for name, value in build_info().items():
        print(f"built with   {name}: {' '.join(value) if isinstance(value, list) else value}")
    print(f"device       cpu, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        print(f"device       cuda:{index}, {device.name}, {device.total_memory / 2**30:.0f} GiB")
    print("encoder      embedded: comes with the package; MIT")
    for encoder in ENCODERS[1:]:
        known = next(known for known in KNOWN if known.encoder == encoder)
        place = find_cached(encoder) or f"not here yet, would be loaded from {known.url}"
        print(f"encoder      {encoder}: {place}; {known.licence}")
    print(f"cache        {cache_folder()}")


def _run(options: argparse.Namespace, content: Photo, style: Photo, *masks: str | Path | None) -> Any:
    """One transfer with the options both commands share; returns pixels (3, H, W)."""
    settings = {"orphans": options.orphans, **parse_settings(options.set, Settings)}
    with contextlib.ExitStack() as stack:
        report = None if options.quiet else stack.enter_context(_Report())
        if options.weights is None and options.encoder != "embedded":
            _fetch_weights(options.encoder, report)
        return transfer(
            content,
            style,
            *masks,
            preset=options.preset,
            encoder=options.encoder,
            weights=options.weights,
            size=options.size,
            device=options.device,
            seed=options.seed,
            callback=report,
            **settings,
        )


def _fetch_weights(encoder: str, report: _Report | None) -> None:
    """Download ahead of the transfer, which would do it too, but has no progress to show for it."""
    if find_cached(encoder) is None:
        download(known_files(encoder)[0], progress=report and report.downloading)


class _Report:
    """Progress on stderr: a bar where that is a terminal, else one line when a stage begins."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.stage: tuple[Any, ...] = ()

    def __enter__(self) -> _Report:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, progress: Progress) -> None:
        height, width = progress.scale
        self._show(
            f"{progress.stage} {width}x{height}",
            progress.step,
            progress.total,
            unit="step",
            loss=lambda: sum(progress.losses.values()),
        )

    def downloading(self, name: str, done: int, total: int | None) -> None:
        self._show(f"downloading {name}", done, total, unit="B", unit_scale=True)

    def _show(self, stage: str, done: int, total: int | None, loss: Any = None, **bar: Any) -> None:
        new = stage != self.stage
        self.stage = stage
        if not sys.stderr.isatty():
            if new:
                _say(stage)
            return
        if self.bar is None or self.bar.total != total:
            self._close()
            self.bar = tqdm(total=total, file=sys.stderr, leave=False, dynamic_ncols=True, **bar)
        if new:
            self.bar.set_description(stage)
        # Losses live on the device: reading one waits for it, so only when the bar is drawn anyway.
        if loss and time.time() - self.bar.last_print_t >= self.bar.mininterval:
            self.bar.set_postfix_str(f"loss {loss():.4g}", refresh=False)
        self.bar.update(done - self.bar.n)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _say(f"error: {message}; see {self.prog} --help")
        self.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastphoto", description="Photorealistic style transfer between photographs.")
    parser.add_argument("--version", action="version", version=f"fastphoto {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    messages = argparse.ArgumentParser(add_help=False)
    messages.add_argument("--debug", action="store_true", help="show where an error comes from")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--preset", choices=PRESETS, default="fast", help="default: %(default)s")
    shared.add_argument("--encoder", choices=ENCODERS, default="embedded", help="default: %(default)s")
    shared.add_argument("--weights", metavar="FILE", help="weight file of the encoder, instead of its own")
    shared.add_argument(
        "--size",
        type=int,
        default=700,
        metavar="PX",
        help="long side to optimise at; the result has the content's own size (default: %(default)s)",
    )
    shared.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    shared.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    shared.add_argument(
        "--orphans",
        choices=ORPHANS,
        default="merge",
        help="what to do with a region of the content that the style lacks (default: %(default)s)",
    )
    shared.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting; may be repeated"
    )
    shared.add_argument("--quiet", action="store_true", help="print nothing but errors")

    transfer = commands.add_parser(
        "transfer", parents=[shared, messages], help="make one photo take on the look of another"
    )
    transfer.set_defaults(run=_transfer)
    transfer.add_argument("content", metavar="CONTENT", help="the photo to change")
    transfer.add_argument("style", metavar="STYLE", help="the photo whose look it takes on")
    transfer.add_argument("-o", "--output", required=True, metavar="OUT", help="png, jpg, tif or webp")
    transfer.add_argument("--content-mask", metavar="M", help="image of the content's regions, by colour")
    transfer.add_argument("--style-mask", metavar="N", help="image of the style's regions, same colours")

    demo = commands.add_parser("demo", parents=[shared, messages], help="run the pairs in the package")
    demo.set_defaults(run=_demo)
    demo.add_argument("-o", "--output", default="fastphoto-demo", metavar="DIR", help="folder (default: %(default)s)")

    info = commands.add_parser("info", parents=[messages], help="versions, devices, encoders and the cache")
    info.set_defaults(run=_info, quiet=False)
    return parser


@contextlib.contextmanager
def _reported_warnings(options: argparse.Namespace) -> Iterator[None]:
    """Every FastPhotoWarning as one line; those of other libraries only with --debug."""

    def show(message: Warning | str, *_: Any) -> None:
        if not options.quiet:
            _say(f"warning: {_one_line(message)}")

    with warnings.catch_warnings():
        if not options.debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", FastPhotoWarning)
        warnings.showwarning = show
        yield


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        tqdm.write(f"fastphoto: {text}", file=sys.stderr)


def _one_line(message: object) -> str:
    return " ".join(str(message).split()) or type(message).__name__


if __name__ == "__main__":
    sys.exit(main())
