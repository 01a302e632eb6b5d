"""Files by path or by URL: local ones, and those of every storage that fsspec knows, such as s3:// and gs://."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from fastphoto.errors import FileError, error_text, printable
from fastphoto.photos.input_files import opened_file
from fastphoto.runtime.files import make_folder, write_file

_WHOLE_WRITES = {"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"}
"""Storages in which an object appears under its name only when all of it has been sent."""


class StorageError(FileError):
    """A storage that could not be read or written; it may work later."""


def is_url(path: str) -> bool:
    """Return whether a file is not on this machine's file system.

    Example:
        >>> is_url("s3://bucket/photo.jpg"), is_url("photos/a.jpg"), is_url("file:///photos/a.jpg")
        (True, False, False)
    """
    return "://" in path and not path.startswith(("file://", "local://"))


def local_path(path: str) -> str:
    """Return a path of this machine without the prefix of a URL."""
    return path.split("://", 1)[1] if path.startswith(("file://", "local://")) else path


def joined(folder: str, path: str) -> str:
    """Return a path relative to a folder, either of which may be a URL; an absolute path stays as it is.

    Example:
        >>> joined("s3://bucket/shoot", "a.jpg"), joined("shoot", "/photos/a.jpg"), joined("", "a.jpg")
        ('s3://bucket/shoot/a.jpg', '/photos/a.jpg', 'a.jpg')
    """
    if is_url(path) or path.startswith(("file://", "local://")):
        return path
    return f"{folder.rstrip('/')}/{path}" if is_url(folder) else os.path.join(local_path(folder), path)


def read_bytes(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        FileError: the file cannot be read, or the package for its storage is missing.
    """
    if not is_url(path):
        path = local_path(path)
        with opened_file(path, printable(path)) as file:
            return file.read()
    try:
        fs, name = _file_system(path)
        content: bytes = fs.cat_file(name)
        return content
    except FileNotFoundError:
        raise FileError(f"{printable(path)}: no such file") from None
    except FileError:
        raise
    except Exception as error:  # every storage has its own
        raise StorageError(f"{printable(path)}: cannot be read ({error_text(error)})") from error


def write_bytes(path: str, content: bytes) -> None:
    """Write a file, so that it is complete or untouched, and make its folder.

    Raises:
        FileError: the file cannot be written.
    """
    if not is_url(path):
        path = local_path(path)
        make_folder(os.path.dirname(path) or ".")
        write_file(path, lambda file: file.write(content))
        return
    try:
        fs, name = _file_system(path)
        if path.split("://", 1)[0] in _WHOLE_WRITES:
            fs.pipe_file(name, content)
            return
        temporary = f"{name}.{secrets.token_hex(6)}.tmp"
        fs.makedirs(name.rsplit("/", 1)[0], exist_ok=True)
        fs.pipe_file(temporary, content)
        fs.mv(temporary, name)
    except FileError:
        raise
    except Exception as error:
        raise StorageError(f"{printable(path)}: cannot be written ({error_text(error)})") from error


def file_size(path: str) -> int | None:
    """Return the size of a file in bytes, None if there is none."""
    if not is_url(path):
        path = local_path(path)
        return os.path.getsize(path) if os.path.isfile(path) else None
    try:
        fs, name = _file_system(path)
        fs.invalidate_cache()
        size: int | None = fs.size(name)
        return size
    except FileNotFoundError:
        return None
    except FileError:
        raise
    except Exception as error:
        raise StorageError(f"{printable(path)}: cannot be looked up ({error_text(error)})") from error


def listed(source: str, recursive: bool) -> tuple[str, list[str]]:
    """Return the folder that a source stands for, and the files in it as paths relative to it, sorted.

    Args:
        source: a file, a folder or a pattern, whose wildcards are those of a shell; a path or a URL.
        recursive: whether files in the folders of a folder count.

    Raises:
        FileError: nothing there, or the storage cannot be read.
    """
    try:
        fs, name = _file_system(source)
        if fs.isfile(name):
            files, folder = [name], name.rpartition("/")[0]
        elif fs.isdir(name):
            files = fs.find(name, maxdepth=None if recursive else 1)
            folder = name
        elif any(wildcard in name for wildcard in "*?["):
            files = [each for each in fs.glob(name) if fs.isfile(each)]
            folder = name[: min(name.index(w) for w in "*?[" if w in name)].rpartition("/")[0]
        else:
            raise FileError(f"{printable(source)}: no such file, folder or match of a pattern")
    except FileError:
        raise
    except Exception as error:
        raise FileError(f"{printable(source)}: cannot be listed ({error_text(error)})") from error
    if not files and not fs.isdir(name):
        raise FileError(f"{printable(source)}: no such file, folder or match of a pattern")
    start = len(folder.rstrip("/")) + 1 if folder else 0
    relative = sorted(each[start:] for each in files)
    for each in relative:  # an object may have any name, and that of its result is made of it
        if ".." in each.replace("\\", "/").split("/") or os.path.isabs(each):
            raise FileError(f"{printable(source)}: the name {printable(each)} leads out of its folder")
    prefix = f"{source.split('://', 1)[0]}://" if is_url(source) else ""
    return prefix + folder, relative


def _file_system(path: str) -> tuple[Any, str]:
    """Return the storage of a path and its name there."""
    import fsspec  # only batches need it

    try:
        if not is_url(path):
            return fsspec.filesystem("file"), Path(os.path.abspath(local_path(path))).as_posix()
        fs, name = fsspec.core.url_to_fs(path)
        return fs, name
    except ImportError as error:  # its message names the package
        raise FileError(f"{printable(path)}: {error_text(error)}") from error
    except ValueError as error:
        raise FileError(f"{printable(path)}: {error_text(error)}; give a path, or a URL such as s3://") from error
