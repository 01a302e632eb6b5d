"""Jobs: one photo to change, what with, and where the result goes; read from a manifest or found in folders."""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from fastphoto.batch.storage import is_url, joined, listed, local_path, read_bytes
from fastphoto.errors import InputError, printable
from fastphoto.optimisation.presets import SETTING_NAMES, preset_settings
from fastphoto.optimisation.setting_types import parsed
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.formats import READ_EXTENSIONS, WRITE_FORMATS
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.regions.pair import checked_size
from fastphoto.runtime.memo import Memo
from fastphoto.session import check_deadline

_OPTION_TYPES: dict[str, Any] = {
    "preset": str,
    "regions": str,
    "segmentation_model": str,
    "encoder": str,
    "weights": str,
    "size": int,
    "seed": int,
    "max_memory": int,
    "deadline": float,
    "at_deadline": str,
}


_checked_options = Memo()  # a million jobs have few different options, and checking them takes longer than all else


@dataclass(frozen=True)
class Job:
    """One photo to change; files are paths, or URLs of a storage that fsspec knows.

    Example:
        >>> Job("a.jpg", "style.jpg", "out/a.jpg", options={"size": 350}).output
        'out/a.jpg'
    """

    content: str
    style: str
    output: str
    content_mask: str | None = None
    style_mask: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `fastphoto.transfer`, such as size, preset, or a field of `fastphoto.Settings`."""

    def __post_init__(self) -> None:
        for name in ("content", "style", "output", "content_mask", "style_mask"):
            value = getattr(self, name)
            if name.endswith("_mask") and value is None:
                continue
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
            elif not isinstance(value, str) or not value:
                raise InputError(f"job: {name} must be a path or a URL, got {value!r}")
        for name in self.options:
            if name not in _OPTION_TYPES and name not in SETTING_NAMES:
                close = difflib.get_close_matches(name, [*_OPTION_TYPES, *SETTING_NAMES], 1)
                hint = f"did you mean {close[0]}?" if close else "give options of fastphoto.transfer"
                raise InputError(f"job: {name!r} is no option; {hint}")
        _checked_options.get(repr(sorted(self.options.items())), self._check_options)
        if os.path.splitext(self.output)[1].lower() not in WRITE_FORMATS:
            raise InputError(
                f"{printable(self.output)}: cannot write this kind of file; use one of {', '.join(WRITE_FORMATS)}"
            )

    def settings(self) -> Settings:
        """Return the settings of the transfer."""
        changes = {name: value for name, value in self.options.items() if name in SETTING_NAMES}
        return preset_settings(self.options.get("preset", "fast"), **changes)

    def _check_options(self) -> None:
        self.settings()
        checked_size(self.options.get("size", MINIMUM_SIDE))
        check_deadline(self.options.get("deadline", 0), self.options.get("at_deadline", "best"))

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"options": dict(self.options)}


FILES = tuple(each.name for each in fields(Job) if each.name != "options")
"""Names of the fields of `Job` that are files."""


def read_manifest(
    path: str | os.PathLike[str], defaults: Mapping[str, Any] | None = None, output: str | None = None
) -> list[Job]:
    """Read jobs from a table: CSV with a line of names at the top, or JSON Lines, one object in each line.

    Each row has `content` and, unless they are among the defaults, `style` and `output`; it may have `content_mask`,
    `style_mask`, and options of `fastphoto.transfer` by name. Relative paths count from the manifest's folder.

    Args:
        path: a .csv, .jsonl, .ndjson or .json file, or the URL of one.
        defaults: values for the rows that leave a column out or empty.
        output: folder of the results of rows without an output, under the content's name.

    Raises:
        InputError: a row that is no job, with the number of its line.
        FileError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = open(f"{folder}/jobs.csv", "w").write("content,style,output,size\\na.jpg,s.jpg,o.png,350\\n")
        ...     job = read_manifest(f"{folder}/jobs.csv")[0]
        >>> job.output.endswith("o.png"), dict(job.options)
        (True, {'size': 350})
    """
    path = os.fspath(path)
    name = printable(path)
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{name}: not text in UTF-8; save the table as UTF-8") from None
    extension = os.path.splitext(path)[1].lower()
    if extension not in (".csv", ".jsonl", ".ndjson", ".json"):
        raise InputError(f"{name}: a manifest is a .csv or .jsonl file")
    rows = _csv_rows(text, name) if extension == ".csv" else _json_rows(text, name)
    folder = path.rpartition("/")[0] if is_url(path) else os.path.dirname(local_path(path))
    jobs = [_job(row, defaults or {}, folder, output, where) for where, row in rows]
    if not jobs:
        raise InputError(f"{name}: no jobs in it")
    return jobs


def _csv_rows(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    types = _OPTION_TYPES | get_type_hints(Settings)
    try:
        for row in reader:
            where = f"{name}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: not as many values as there are names in the first line")
            values = {key.strip(): value.strip() for key, value in row.items() if value.strip()}
            if not values:
                continue
            for key, value in values.items():
                if key in types:
                    try:
                        values[key] = parsed(value, types[key])
                    except ValueError as error:
                        raise InputError(f"{where}: {key}: {error}") from None
            yield where, values
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: no CSV ({error})") from None


def _json_rows(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: no JSON ({error.msg}); write one object in each line") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: {type(row).__name__}; write one object in each line")
        options = row.pop("options", {})
        if not isinstance(options, dict):
            raise InputError(f"{where}: options: must be an object, got {type(options).__name__}")
        yield where, {key: value for key, value in (row | options).items() if value is not None}


def _job(row: Mapping[str, Any], defaults: Mapping[str, Any], folder: str, output: str | None, where: str) -> Job:
    files = {name: joined(folder, row[name]) for name in FILES if isinstance(row.get(name), str)}
    files |= {name: row[name] for name in FILES if name in row and name not in files}  # for the message of `Job`
    files = {name: defaults[name] for name in FILES if defaults.get(name) is not None} | files
    if "output" not in files and output is not None and isinstance(files.get("content"), str):
        files["output"] = joined(output, result_name(os.path.basename(files["content"])))
    missing = [name for name in ("content", "style", "output") if name not in files]
    if missing:
        raise InputError(f"{where}: no {missing[0]}")
    options = {name: value for values in (defaults, row) for name, value in values.items() if name not in FILES}
    try:
        return Job(**files, options=options)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def find_jobs(
    sources: Sequence[str],
    output: str,
    defaults: Mapping[str, Any],
    *,
    recursive: bool = False,
    extension: str | None = None,
    content_masks: str | None = None,
) -> list[Job]:
    """Return the jobs of all photos in files, folders and patterns; results keep the photos' names.

    Args:
        sources: files, folders and patterns such as "shoot/*.jpg", as paths or URLs.
        output: folder of the results, a path or URL; a photo of a folder in a source lies in the same folder there.
        defaults: `style`, and optionally `style_mask`, and options of `fastphoto.transfer`.
        recursive: whether photos in the folders of a folder count.
        extension: extension of the results, such as ".png"; None: that of the photo, or .png where it cannot be
            written.
        content_masks: folder of the masks, whose names are those of the photos with the extension .png.

    Raises:
        FileError: a source with no photo, or that cannot be read.
        InputError: an unknown extension.
    """
    if extension is not None and extension not in WRITE_FORMATS:
        raise InputError(f"{extension}: cannot write this kind of file; use one of {', '.join(WRITE_FORMATS)}")
    jobs: dict[str, Job] = {}
    earlier_results = (
        f"{Path(os.path.abspath(local_path(output))).as_posix()}/" if not is_url(output) else f"{output.rstrip('/')}/"
    )
    for source in sources:
        folder, names = listed(source, recursive)
        if _identity(folder) == _identity(output):
            raise InputError(f"{printable(output)}: is also the folder of the photos; write results to another folder")
        for name in names:
            path = joined(folder, name)
            is_photo = os.path.splitext(name)[1].lower() in READ_EXTENSIONS
            is_hidden = os.path.basename(name).startswith(".")  # such as the notes of macOS beside each file
            if not is_photo or is_hidden or path.replace("\\", "/").startswith(earlier_results):
                continue
            mask = None if content_masks is None else joined(content_masks, f"{os.path.splitext(name)[0]}.png")
            result = joined(output, result_name(name, extension))
            jobs.setdefault(_identity(path), _job_of_photo(path, result, mask, defaults))  # once, if found twice
    if not jobs:
        raise InputError(f"{', '.join(map(printable, sources))}: no photos there; --recursive looks into folders too")
    return list(jobs.values())


def _job_of_photo(content: str, output: str, mask: str | None, defaults: Mapping[str, Any]) -> Job:
    files = {name: defaults[name] for name in ("style", "style_mask") if defaults.get(name) is not None}
    options = {name: value for name, value in defaults.items() if name not in FILES}
    return Job(content=content, output=output, content_mask=mask, options=options, **files)


def result_name(name: str, extension: str | None = None) -> str:
    """Return the name of a photo's result.

    Example:
        >>> result_name("day 1/a.JPG"), result_name("b.gif"), result_name("c.jpg", ".png")
        ('day 1/a.JPG', 'b.png', 'c.png')
    """
    stem, own = os.path.splitext(name)
    return f"{stem}{extension or (own if own.lower() in WRITE_FORMATS else '.png')}"


def check_jobs(jobs: Iterable[Job]) -> None:
    """Raise InputError if two jobs write one file, or one writes what another reads."""
    outputs: dict[str, str] = {}
    inputs: set[str] = set()
    for job in jobs:
        output = _identity(job.output)
        if output in outputs:
            raise InputError(
                f"{printable(job.output)}: is the output of both {printable(outputs[output])} and "
                f"{printable(job.content)}; give each a name of its own"
            )
        outputs[output] = job.content
        inputs.update(
            _identity(path) for path in (job.content, job.style, job.content_mask, job.style_mask) if path is not None
        )
    for path in outputs.keys() & inputs:
        raise InputError(f"{printable(path)}: is both an input and an output; write results to another folder")


def _identity(path: str) -> str:
    return path if is_url(path) else os.path.realpath(local_path(path))
