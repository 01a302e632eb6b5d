"""Records: JSON files with the results of one run each. Those in `records/` were measured and may be quoted.

All runs write the same form: `date`, `commit`, `dirty`, options, `machine`, `sections` with what was measured, and
`figures` by subject, each with its target, its floor, its ratios to both, and the ratios of its peers, where it has
them. Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sections import ROOT, Results

RECORDS = ROOT / "benchmarks" / "records"

# What runs and `make tables` write, and what does not change a figure.
_WRITTEN = (":!benchmarks/records", ":!docs", ":!README.md")
_LOGS = {"command", "tail"}  # keys of what a run logs about the programs it starts
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:'\"]+/)+")  # the folders of an absolute path


def new_results(**options: bool) -> Results:
    """Return the beginning of a run's results: its date, its commit, the machine's load, and its options."""
    return {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "code": _code(),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN)),
        "load before": round(os.getloadavg()[0], 2),
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
    """Return the name of a record, without extension: DATE-DEVICE, as in 2026-11-28-amd-epyc-2-cores."""
    machine = results["machine"]
    device = machine.get("gpu") or f"{machine.get('cpu', 'cpu')} {machine.get('cores', 'unknown')} cores"
    device = re.sub(r"nvidia|\((r|tm)\)|processor", "", device.lower())
    words = [results["date"][:10], re.sub(r"[^a-z0-9]+", "-", device).strip("-")]
    return "-".join([*words, *["full"] * bool(results.get("full")), *["dry-run"] * bool(results.get("dry_run"))])


def earlier_sections(record: Path, results: Results) -> Results:
    """Return the sections in an earlier record, if it is of the same code, machine and kind of run."""
    if not record.exists():
        return {}
    earlier: Results = json.loads(record.read_text(encoding="utf-8"))
    same = all(earlier.get(key) == results.get(key) for key in ("code", "dirty", "quick", "full"))
    varying = {"clock MHz"}
    facts = ({k: v for k, v in run["machine"].items() if k not in varying} for run in (earlier, results))
    return earlier["sections"] if same and len({json.dumps(each, sort_keys=True) for each in facts}) == 1 else {}


def write_record(
    results: Results, path: Path, report: Path, text: Callable[[Results], str], figures: Callable[[Results], Results]
) -> None:
    """Write the publishable part of results with their figures as JSON, and a report in Markdown.

    Args:
        results: results of a run.
        path: JSON file.
        report: Markdown file.
        text: returns the report.
        figures: returns the entries of `figures.entries`.
    """
    results = publishable(results) | {"figures": {} if results["dry_run"] else figures(results)}
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report.write_text(text(results), encoding="utf-8")


def read_records(folder: Path = RECORDS) -> list[Results]:
    """Return all records in a folder, the oldest first."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(records, key=lambda record: str(record["date"]))


def newest(records: Sequence[Results], sections: Sequence[str], gpu: bool) -> Results | None:
    """Return the newest record of a GPU, or of a CPU, that has all these sections; None if there is none."""
    for record in reversed(records):
        if bool(record["machine"].get("gpu")) == gpu and set(sections) <= set(record["sections"]):
            return record
    return None


def _code() -> str:
    """Return a hash of the committed files that decide a figure: not of documents and records."""
    files = _git("ls-files", "-s", "--", "fastphoto", "csrc", "benchmarks", *_WRITTEN)
    return hashlib.sha256(files.encode()).hexdigest()[:12]


def _git(*command: str) -> str:
    """Return what git prints, or nothing where there is no repository."""
    try:
        return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
