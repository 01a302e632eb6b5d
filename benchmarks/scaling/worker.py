"""Measure one point of the scaling law in this process, and print its seconds as one line of JSON.

python benchmarks/scaling/worker.py POINT_AS_JSON FOLDER
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))


def transfer_seconds(folder: Path, threads: int, options: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of the import, and of reading, transferring and writing a photo."""
    begin = time.perf_counter()
    import fastphoto

    loaded = time.perf_counter()
    import torch

    if threads:
        torch.set_num_threads(threads)
    fastphoto.keep_freed_memory()
    masks = {f"{role}_mask": folder / f"{role}_mask.png" for role in ("content", "style")}
    started = time.perf_counter()
    photo = fastphoto.read_photo(folder / "content.jpg")
    result = fastphoto.transfer(photo, folder / "style.jpg", **masks, device="cpu", **options)
    fastphoto.write_photo(folder / "result.jpg", photo, result)
    return {"import s": loaded - begin, "s": time.perf_counter() - started}


def batch_seconds(folder: Path, count: int, options: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of a batch, with the start of its processes."""
    import fastphoto
    from fastphoto.batch import Job

    style = str(folder / "style.jpg")
    photos = sorted(folder.glob("photo*.jpg"))[:count]
    begin = time.perf_counter()
    jobs = [Job(str(photo), style, str(folder / "out" / photo.name)) for photo in photos]
    summary = fastphoto.transfer_many(jobs, device="cpu", force=True, **options)
    assert summary.done == count, summary.failures
    return {"s": time.perf_counter() - begin}


def main() -> None:
    warnings.simplefilter("ignore")
    point, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    options = {"steps": (2,)} if point.pop("tiny") else {}
    if point["photos"]:
        row = batch_seconds(folder, point["photos"], options)
    else:
        row = transfer_seconds(folder, point["threads"], options)
    # The largest process: of a batch, the largest worker.
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row["peak GB"] = used * (1 if sys.platform == "darwin" else 1024) / 1e9
    assert all(math.isfinite(value) for value in row.values())
    print(json.dumps(row))


if __name__ == "__main__":
    main()
