"""`fastphoto info`: versions, devices, encoders and the cache."""

from __future__ import annotations

import argparse
import sys

import torch

from fastphoto.cli.options import Commands, message_options
from fastphoto.encoders.download import KNOWN, cache_folder, find_cached
from fastphoto.encoders.encoder import ENCODERS
from fastphoto.ops.library import build_info


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "info", parents=[message_options(quiet=False)], help="print versions, devices, encoders and the cache folder"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto info`."""
    build = build_info()
    _print_row("fastphoto", build["version"])
    _print_row("python", f"{sys.version.split()[0]}, torch {torch.__version__}")
    for name, value in build.items():
        _print_row("built with", f"{name}: {' '.join(value) if isinstance(value, list) else value}")
    _print_row("device", f"cpu, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        _print_row("device", f"cuda:{index}, {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
    _print_row("encoder", "embedded: comes with the package; MIT")
    for encoder in ENCODERS[1:]:
        _print_row("encoder", _describe_encoder(encoder))
    _print_row("cache", str(cache_folder()))


def _print_row(head: str, text: str) -> None:
    print(f"{head:<13}{text}")


def _describe_encoder(name: str) -> str:
    known = next(known for known in KNOWN if known.encoder == name)
    return f"{name}: {find_cached(name) or f'not downloaded yet; source: {known.url}'}; {known.licence}"
