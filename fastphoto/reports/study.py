"""A blind user study of results: the page that participants answer, and reading their answers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastphoto.errors import FileError, InputError, error_text, printable
from fastphoto.reports.page import BLANK, ENLARGED, document, encoded_picture, escaped
from fastphoto.runtime.files import make_folder, write_text

Question = Literal["photorealism", "faithfulness"]
QUESTIONS: tuple[Question, ...] = ("photorealism", "faithfulness")
LOWEST, HIGHEST = 1, 4  # of the scale, from "definitely not ..." to "definitely ..."

TITLE = "How real does it look?"
_ANSWERS_LIMIT = 10_000_000  # bytes of one file of answers: thousands of results


@dataclass(frozen=True)
class Answer:
    """What one participant said about one result; None where a question was left out."""

    participant: str
    pair: str  # name of the comparison's folder
    method: str
    photorealism: int | None  # 1 definitely not photorealistic ... 4 definitely photorealistic
    faithfulness: int | None  # 1 definitely not faithful to the style ... 4 definitely faithful to the style


@dataclass(frozen=True)
class _Comparison:
    """A folder that `fastphoto compare` wrote, as far as a study needs it."""

    pair: str
    content: Path
    style: Path
    results: dict[str, Path]  # by method, in alphabetical order
    titles: dict[str, str]  # by method


def make_study(
    comparisons: Sequence[Path],
    output: Path,
    seed: int = 0,
    title: str = TITLE,
    introduction: str = "",
    image_width: int = 1000,
) -> Path:
    """Write a folder with `study.html`, a page to hand to participants, and `key.json`, which is not for them.

    comparisons: folders with a `comparison.json`; the name of a folder is the name of its pair.
    output: made where it does not exist.
    seed: chooses the images' random ids; the same call writes the same bytes.
    introduction: shown on the first page, below the title; blank lines part paragraphs.
    image_width: pixels; wider images are shrunk to it.

    The page shows the results of all methods on all pairs, one at a time, in an order that each participant's browser
    shuffles, and asks how photorealistic each is and how faithful to the style, both on the four-point scale on which
    users rated photorealism for Deep Photo Style Transfer (Luan et al., CVPR 2017): 1 definitely not ... 4 definitely.
    It names neither methods nor pairs nor files: images have random ids, and only the key says what they are.

    Returns the page's path. Raises FileError for files that cannot be read or written, and InputError for a
    `comparison.json` that cannot be used, two pairs of one name and an output that holds the key of another study.
    """
    if not comparisons:
        raise InputError("comparisons: none given; name folders that `fastphoto compare` wrote")
    pairs = sorted((_read_comparison(Path(folder)) for folder in comparisons), key=lambda pair: pair.pair)
    for one, other in zip(pairs, pairs[1:], strict=False):
        if one.pair == other.pair:
            raise InputError(f"comparisons: two folders are named {one.pair}; rename one, their names tell pairs apart")

    ids = _random_ids(seed)
    pictures: dict[str, str] = {}  # data: URI -> id
    results: list[dict[str, str]] = []
    key: dict[str, dict[str, str]] = {}

    def held(path: Path) -> str:
        uri = encoded_picture(path, printable(path), image_width).uri
        return pictures.setdefault(uri, next(ids))

    for pair in pairs:
        content, style = held(pair.content), held(pair.style)
        for method, path in pair.results.items():
            result = next(ids)
            results.append({"id": result, "result": held(path), "content": content, "style": style})
            key[result] = {"pair": pair.pair, "method": method}
    results.sort(key=lambda result: result["id"])
    by_id = dict(sorted((name, uri) for uri, name in pictures.items()))
    study = hashlib.sha256(json.dumps([seed, title, introduction, results, by_id]).encode()).hexdigest()[:16]

    titles = {method: name for pair in pairs for method, name in pair.titles.items()}
    contents = {"study": study, "title": title, "seed": seed, "methods": titles, "images": dict(sorted(key.items()))}
    output = Path(output)
    make_folder(output)
    _refuse_other_study(output / "key.json", study)
    write_text(output / "key.json", json.dumps(contents, indent=1) + "\n")
    page = _study_page(title, introduction, {"study": study, "results": results, "pictures": by_id})
    write_text(output / "study.html", page)
    return output / "study.html"


def read_answers(key: Path, answers: Sequence[Path]) -> list[Answer]:
    """The answers in files that participants saved, in the order of the files and of what each was shown.

    A file need not be complete; a result without any rating is left out. Raises FileError for a file that cannot be
    read, and InputError, which names the file, for one that is not JSON, belongs to another study, rates an image that
    the study does not have, rates one twice, has a rating other than 1, 2, 3 or 4, or is of a participant who has
    another file among them.
    """
    study, images = _read_key(Path(key))
    found: list[Answer] = []
    files: dict[str, Path] = {}
    for path in map(Path, answers):
        participant, rated = _read_participant(path, study, images)
        if participant in files:
            raise InputError(
                f"{printable(path)}: is of the same participant as "
                f"{printable(files[participant])}; keep the later of the two"
            )
        files[participant] = path
        found += rated
    return found


def method_titles(key: Path) -> dict[str, str]:
    """The title of each of a study's methods; raises as `read_answers` does for its key."""
    titles = _read_json(Path(key)).get("methods")
    if not isinstance(titles, dict) or not all(isinstance(title, str) for title in titles.values()):
        raise InputError(f"{printable(key)}: is no key of a study; give the key.json that was written beside its page")
    return titles


# -- the study's page and key


def _read_comparison(folder: Path) -> _Comparison:
    path = folder / "comparison.json"
    found = _read_json(path)
    methods = found.get("methods")
    if not isinstance(methods, dict) or not methods:
        raise InputError(
            f'{printable(path)}: "methods" must name at least one method; write it with `fastphoto compare`'
        )
    for method, described in methods.items():
        if not isinstance(described, dict):
            raise InputError(f'{printable(path)}: "methods" holds no description of {printable(method)}')
    return _Comparison(
        pair=printable(folder.resolve().name),
        content=_named_file(path, found, "content"),
        style=_named_file(path, found, "style"),
        results={method: _named_file(path, methods[method], "file") for method in sorted(methods)},
        titles={method: str(methods[method].get("title", method)) for method in sorted(methods)},
    )


def _named_file(comparison: Path, described: Mapping[str, Any], entry: str) -> Path:
    """The file beside a comparison.json that one of its entries names."""
    name = described.get(entry)
    if not isinstance(name, str) or not name or name != os.path.basename(name):
        raise InputError(f'{printable(comparison)}: "{entry}" must be the name of a file beside it, got {name!r}')
    return comparison.parent / name


def _random_ids(seed: int) -> Iterator[str]:
    """Different random names without end, the same for the same seed."""
    generator, given = random.Random(seed), set()
    while True:
        name = f"{generator.getrandbits(48):012x}"
        if name not in given:
            given.add(name)
            yield name


def _study_page(title: str, introduction: str, data: Mapping[str, Any]) -> str:
    template = string.Template(Path(__file__).with_name("study.html").read_text(encoding="utf-8"))
    paragraphs = [f"<p>{escaped(part)}</p>" for part in introduction.split("\n\n") if part.strip()]
    body = template.substitute(
        title=escaped(title), introduction="\n".join(paragraphs), count=len(data["results"]), blank=BLANK
    )
    held = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    body += f'{ENLARGED}\n<script type="application/json" id="data">{held}</script>'
    return document(title, body, ["page.css", "study.css"], ["page.js", "study.js"])


def _refuse_other_study(key: Path, study: str) -> None:
    """Answers of participants are worth nothing without the key of their study."""
    if key.exists() and _read_json(key).get("study") != study:
        raise InputError(f"{printable(key)}: is the key of another study, which its answers need; give another folder")


# -- answers


def _read_key(path: Path) -> tuple[str, dict[str, tuple[str, str]]]:
    """The study's id, and the pair and method of each image's id."""
    found = _read_json(path)
    try:
        images = {image: (entry["pair"], entry["method"]) for image, entry in found["images"].items()}
        return found["study"], images
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"{printable(path)}: is no key of a study; give the key.json that was written beside its page"
        ) from None


def _read_participant(path: Path, study: str, images: Mapping[str, tuple[str, str]]) -> tuple[str, list[Answer]]:
    name, found = printable(path), _read_json(path)
    if found.get("study") != study:
        raise InputError(f"{name}: answers of study {found.get('study')!r}; the key is of {study!r}")
    participant, ratings = found.get("participant"), found.get("answers")
    if not isinstance(participant, str) or not participant:
        raise InputError(f'{name}: "participant" must be text, got {participant!r}')
    if not isinstance(ratings, list) or not all(isinstance(rating, dict) for rating in ratings):
        raise InputError(f'{name}: "answers" must be a list of objects; save them with the study\'s page')
    answers, seen = [], set()
    for rating in ratings:
        image = rating.get("image")
        if not isinstance(image, str) or image not in images:
            raise InputError(f"{name}: rates image {image!r}, which the study does not have")
        if image in seen:
            raise InputError(f"{name}: rates image {image!r} twice")
        seen.add(image)
        values = {
            question: _rating(rating.get(question), f"{name}: {question} of image {image!r}") for question in QUESTIONS
        }
        if any(value is not None for value in values.values()):
            pair, method = images[image]
            answers.append(Answer(participant, pair, method, **values))
    return participant, answers


def _rating(value: object, what: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not LOWEST <= value <= HIGHEST:
        raise InputError(f"{what}: must be a whole number from {LOWEST} to {HIGHEST}, got {value!r}")
    return value


def _read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; raises FileError where unreadable, InputError where it is something else."""
    name = printable(path)
    try:
        with open(path, "rb") as file:
            text = file.read(_ANSWERS_LIMIT + 1)
    except FileNotFoundError:
        raise FileError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error_text(error)})") from error
    if len(text) > _ANSWERS_LIMIT:
        raise InputError(f"{name}: larger than {_ANSWERS_LIMIT // 10**6} MB; files of a study are smaller")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON ({error_text(error)})") from error
    if not isinstance(found, dict):
        raise InputError(f"{name}: must hold a JSON object, got {type(found).__name__}")
    return found
