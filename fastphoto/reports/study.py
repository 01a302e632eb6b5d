"""A blind user study of results: the page that participants answer, and the key that names the images on it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastphoto.errors import InputError, printable
from fastphoto.reports.document import BLANK_IMAGE, ENLARGED_DIALOG, escaped, html_document
from fastphoto.reports.page_pictures import encode_picture
from fastphoto.reports.study_json import read_json_object
from fastphoto.runtime.files import check_folder, text_writer, write_files

TITLE = "How real does it look?"
"""Default title of the page."""


@dataclass(frozen=True)
class _ComparedPair:
    """A pair and its results, from a folder that `fastphoto compare` wrote."""

    name: str  # of the folder
    content: Path
    style: Path
    results: dict[str, Path]  # by method, in alphabetical order
    titles: dict[str, str]  # by method
    scores: dict[str, dict[str, float]]  # by method; those of a folder that has them


@dataclass(frozen=True)
class _BlindResults:
    """The results of a study under random ids, and the key to the ids."""

    results: list[dict[str, str]]  # id of each result, and ids of the pictures "result", "content" and "style"
    pictures: dict[str, str]  # id -> data: URI
    key: dict[str, dict[str, Any]]  # id of a result -> its "pair", "method" and "scores"


def make_study(
    comparisons: Sequence[Path],
    output: Path,
    seed: int = 0,
    title: str = TITLE,
    introduction: str = "",
    image_width: int = 1000,
) -> Path:
    """Write a blind user study: `study.html`, a page to hand to participants, and `key.json`, which is not for them.

    The page shows the results of all methods on all pairs, one at a time, in an order that each participant's browser
    shuffles. It asks how photorealistic each result is and how faithful to the style, both on the four-point scale on
    which users rated photorealism for Deep Photo Style Transfer (Luan et al., CVPR 2017): 1 definitely not ... 4
    definitely. The page names no method, pair or file: images have random ids, and only the key says what they are,
    and how they score.

    Args:
        comparisons: folders that `fastphoto compare` wrote; the name of a folder is the name of its pair.
        output: folder to write; made if it does not exist.
        seed: seed of the random ids; the same arguments write the same bytes.
        title: heading of the page.
        introduction: text on the first page below the title; blank lines separate paragraphs.
        image_width: largest width of images in pixels; wider ones are shrunk.

    Returns:
        The path of the page.

    Raises:
        FileError: a file that cannot be read or written.
        InputError: no comparison, a `comparison.json` that cannot be used, two pairs of the same name, or an output
            folder that holds the key of another study.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> from fastphoto.reports.comparison import compare
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> noise = np.random.default_rng(0)
        >>> comparison = compare(noise.random((24, 32, 3)), noise.random((24, 32, 3)), methods=["reinhard"])
        >>> _ = comparison.write(folder / "lake")
        >>> make_study([folder / "lake"], folder / "study").name
        'study.html'
    """
    pairs = _read_comparisons(comparisons)
    folder = check_folder(output, ["key.json", "study.html"])
    blind = _hide_names(pairs, seed, image_width)
    contents = [seed, title, introduction, blind.results, blind.pictures]
    study = hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:16]
    titles = {method: name for pair in pairs for method, name in pair.titles.items()}
    key = {"study": study, "title": title, "seed": seed, "methods": titles, "images": blind.key}
    page = _study_page(title, introduction, {"study": study, "results": blind.results, "pictures": blind.pictures})
    _refuse_other_study(folder / "key.json", study)
    texts = {"key.json": json.dumps(key, indent=1) + "\n", "study.html": page}
    write_files({folder / name: text_writer(text) for name, text in texts.items()})
    return folder / "study.html"


# -- comparisons


def _read_comparisons(folders: Sequence[Path]) -> list[_ComparedPair]:
    """Return the compared pairs, sorted by name."""
    if not folders:
        raise InputError("comparisons: none given; name folders that `fastphoto compare` wrote")
    pairs = sorted((_read_comparison(Path(folder)) for folder in folders), key=lambda pair: pair.name)
    for one, other in zip(pairs, pairs[1:], strict=False):
        if one.name == other.name:
            raise InputError(
                f"comparisons: two folders are named {one.name}; rename one, because a folder's name names its pair"
            )
    return pairs


def _read_comparison(folder: Path) -> _ComparedPair:
    path = folder / "comparison.json"
    comparison = read_json_object(path)
    methods = comparison.get("methods")
    if not isinstance(methods, dict) or not methods:
        raise InputError(
            f'{printable(path)}: "methods" must name at least one method; write it with `fastphoto compare`'
        )
    for method, description in methods.items():
        if not isinstance(description, dict):
            raise InputError(f'{printable(path)}: "methods" has no description of {printable(method)}')
    return _ComparedPair(
        name=printable(folder.resolve().name),
        content=_named_file(path, comparison, "content"),
        style=_named_file(path, comparison, "style"),
        results={method: _named_file(path, methods[method], "file") for method in sorted(methods)},
        titles={method: str(methods[method].get("title", method)) for method in sorted(methods)},
        scores={method: _scores(path, method, methods[method]) for method in sorted(methods)},
    )


def _scores(comparison: Path, method: str, description: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of a method by name, from its description in a comparison.json; {} if it has none."""
    scores = description.get("scores", {})
    if not isinstance(scores, dict) or not all(type(score) in (int, float) for score in scores.values()):
        raise InputError(
            f'{printable(comparison)}: "scores" of {printable(method)} must be numbers by name; '
            "write it with `fastphoto compare`"
        )
    return scores


def _named_file(comparison: Path, description: Mapping[str, Any], entry: str) -> Path:
    """Return the path of the file beside a comparison.json that one of its entries names."""
    name = description.get(entry)
    if not isinstance(name, str) or not name or name != os.path.basename(name):
        raise InputError(f'{printable(comparison)}: "{entry}" must be the name of a file beside it, got {name!r}')
    return comparison.parent / name


# -- ids, page and key


def _hide_names(pairs: Sequence[_ComparedPair], seed: int, image_width: int) -> _BlindResults:
    """Give every picture and every result a random id, and sort by id, so that the order reveals nothing."""
    ids = _random_ids(seed)
    picture_ids: dict[str, str] = {}  # data: URI -> id; equal pictures share one
    results: list[dict[str, str]] = []
    key: dict[str, dict[str, Any]] = {}

    def picture_id(path: Path) -> str:
        uri = encode_picture(path, printable(path), image_width).uri
        return picture_ids.setdefault(uri, next(ids))

    for pair in pairs:
        content, style = picture_id(pair.content), picture_id(pair.style)
        for method, path in pair.results.items():
            result = next(ids)
            results.append({"id": result, "result": picture_id(path), "content": content, "style": style})
            key[result] = {"pair": pair.name, "method": method, "scores": pair.scores[method]}
    results.sort(key=lambda one: one["id"])
    return _BlindResults(
        results, dict(sorted((picture, uri) for uri, picture in picture_ids.items())), dict(sorted(key.items()))
    )


def _random_ids(seed: int) -> Iterator[str]:
    """Yield different random ids without end, the same ones for the same seed."""
    generator = random.Random(seed)
    used: set[str] = set()
    while True:
        new = f"{generator.getrandbits(48):012x}"
        if new not in used:
            used.add(new)
            yield new


def _study_page(title: str, introduction: str, data: Mapping[str, Any]) -> str:
    """Return study.html; its script shows `data`."""
    template = string.Template(Path(__file__).with_name("study.html").read_text(encoding="utf-8"))
    paragraphs = [f"<p>{escaped(part)}</p>" for part in introduction.split("\n\n") if part.strip()]
    body = template.substitute(
        title=escaped(title), introduction="\n".join(paragraphs), count=len(data["results"]), blank=BLANK_IMAGE
    )
    json_text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # </script> would end the element
    body += f'{ENLARGED_DIALOG}\n<script type="application/json" id="data">{json_text}</script>'
    return html_document(title, body, ["tokens.css", "page.css", "study.css"], ["page.js", "study.js"])


def _refuse_other_study(key: Path, study: str) -> None:
    """Raise InputError if the file is the key of another study, because its answers cannot be read without it."""
    if key.exists() and read_json_object(key).get("study") != study:
        raise InputError(
            f"{printable(key)}: is the key of another study, whose answers cannot be read without it; "
            "give another folder"
        )
