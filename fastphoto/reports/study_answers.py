"""Answers to a user study: one participant's ratings of a result, and the reading of saved files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fastphoto.errors import InputError, printable
from fastphoto.reports.study_json import read_json_object

Question = Literal["photorealism", "faithfulness"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
LOWEST, HIGHEST = 1, 4
"""The ends of the scale of answers: "definitely not ..." and "definitely ..."."""


@dataclass(frozen=True)
class Answer:
    """One participant's ratings of one result; None for a question that was left out."""

    participant: str
    pair: str  # name of the folder of the comparison
    method: str
    photorealism: int | None  # 1 definitely not photorealistic ... 4 definitely photorealistic
    faithfulness: int | None  # 1 definitely not faithful to the style ... 4 definitely faithful to the style


def read_answers(key: Path, answers: Sequence[Path]) -> list[Answer]:
    """Read the answers that participants saved.

    A participant need not have rated all results; a result without any rating is left out.

    Args:
        key: path of the study's `key.json`.
        answers: paths of the saved files, one for each participant.

    Returns:
        The answers in the order of the files, those of a file in the order in which the results were shown.

    Raises:
        FileError: a file that cannot be read.
        InputError: a file that is not JSON, belongs to another study, rates an image that is not in the study, rates an
            image twice, or has a rating other than 1, 2, 3 and 4; two files of the same participant. The message names
            the file.

    Example:
        >>> import json, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> key = {"study": "5f0c", "images": {"a1": {"pair": "lake", "method": "reinhard"}}}
        >>> saved = {"study": "5f0c", "participant": "p1", "answers": [{"image": "a1", "photorealism": 3}]}
        >>> _ = (folder / "key.json").write_text(json.dumps(key))
        >>> _ = (folder / "answers-p1.json").write_text(json.dumps(saved))
        >>> read_answers(folder / "key.json", [folder / "answers-p1.json"])
        [Answer(participant='p1', pair='lake', method='reinhard', photorealism=3, faithfulness=None)]
    """
    study, images = _read_key(Path(key))
    all_answers: list[Answer] = []
    files: dict[str, Path] = {}
    for path in map(Path, answers):
        participant, its_answers = _read_participant(path, study, images)
        if participant in files:
            raise InputError(
                f"{printable(path)}: is from the same participant as "
                f"{printable(files[participant])}; keep the later of the two"
            )
        files[participant] = path
        all_answers += its_answers
    return all_answers


def method_titles(key: Path) -> dict[str, str]:
    """Return the titles of a study's methods by name; raise as `read_answers` does for its key."""
    titles = read_json_object(Path(key)).get("methods")
    if not isinstance(titles, dict) or not all(isinstance(title, str) for title in titles.values()):
        raise _not_a_key(key)
    return titles


def scores_of_results(key: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Return the scores of a study's results, by pair and method and then by name; raise as `read_answers` does.

    They are those that `fastphoto compare` wrote. Results without scores are left out.
    """
    images = read_json_object(Path(key)).get("images")
    try:
        return {
            (image["pair"], image["method"]): {name: float(value) for name, value in image["scores"].items()}
            for image in dict(images or {}).values()
            if image.get("scores")
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _not_a_key(key) from None


def _read_key(path: Path) -> tuple[str, dict[str, tuple[str, str]]]:
    """Return the id of the study, and the pair and method of each image by the image's id."""
    key = read_json_object(path)
    try:
        images = {image: (entry["pair"], entry["method"]) for image, entry in key["images"].items()}
        return key["study"], images
    except (KeyError, TypeError, AttributeError):
        raise _not_a_key(path) from None


def _not_a_key(path: Path) -> InputError:
    return InputError(f"{printable(path)}: is not the key of a study; give the key.json that was written with its page")


def _read_participant(path: Path, study: str, images: Mapping[str, tuple[str, str]]) -> tuple[str, list[Answer]]:
    """Return the participant's id and answers from one saved file."""
    name, saved = printable(path), read_json_object(path)
    if saved.get("study") != study:
        raise InputError(f"{name}: holds answers to study {saved.get('study')!r}; the key is that of study {study!r}")
    participant, ratings = saved.get("participant"), saved.get("answers")
    if not isinstance(participant, str) or not participant:
        raise InputError(f'{name}: "participant" must be text, got {participant!r}')
    if not isinstance(ratings, list) or not all(isinstance(rating, dict) for rating in ratings):
        raise InputError(f'{name}: "answers" must be a list of objects; save them with the study\'s page')
    answers: list[Answer] = []
    rated: set[str] = set()
    for rating in ratings:
        image = rating.get("image")
        if not isinstance(image, str) or image not in images:
            raise InputError(f"{name}: rates image {image!r}, which the study does not have")
        if image in rated:
            raise InputError(f"{name}: rates image {image!r} twice")
        rated.add(image)
        values = {
            question: _checked_rating(rating.get(question), f"{name}: {question} of image {image!r}")
            for question in QUESTIONS
        }
        if any(value is not None for value in values.values()):
            pair, method = images[image]
            answers.append(Answer(participant, pair, method, **values))
    return participant, answers


def _checked_rating(value: object, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not LOWEST <= value <= HIGHEST:
        raise InputError(f"{name}: must be a whole number from {LOWEST} to {HIGHEST}, got {value!r}")
    return value
