"""Records: JSON files with the results of one run each. Those in `records/` were measured and may be quoted.

Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.sections import ROOT, Results

RECORDS = ROOT / "benchmarks" / "records"

_LOGS = {"command", "tail"}  # keys of what a run logs about the programs it starts
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:'\"]+/)+")  # the folders of an absolute path


def new_results(**options: bool) -> Results:
    """Return the beginning of a run's results: its date, its commit and its options."""
    return {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        **options,
        "machine": {},
        "sections": {},
    }


def publishable(value: Any) -> Any:
    """Return results without logs, and with file names instead of absolute paths, which would reveal the machine."""
    if isinstance(value, dict):
        return {key: publishable(entry) for key, entry in value.items() if key not in _LOGS}
    if isinstance(value, list):
        return [publishable(entry) for entry in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value


def record_name(results: Results) -> str:
    """Return the name of a record, without extension: DATE-DEVICE, as in 2026-11-27-h200."""
    device = results["machine"].get("gpu", "cpu").lower().replace("nvidia", "")
    words = [results["date"][:10], re.sub(r"[^a-z0-9]+", "-", device).strip("-")]
    words += [word for key, word in (("full", "full"), ("dry_run", "dry-run")) if results.get(key)]
    return "-".join(words)


def write_record(results: Results, path: Path, report: Callable[[Results], str]) -> None:
    """Write the publishable part of results as JSON, and their report as Markdown beside it."""
    results = publishable(results)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(report(results), encoding="utf-8")


def read_records(folder: Path = RECORDS) -> list[Results]:
    """Return all records in a folder, the oldest first."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(records, key=lambda record: str(record["date"]))


def _git(*command: str) -> str:
    """Return what git prints, or nothing where there is no repository."""
    try:
        return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
