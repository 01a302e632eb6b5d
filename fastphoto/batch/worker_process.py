"""`python -m fastphoto.batch.worker_process`: a worker that reads tasks from standard input and answers each.

A line of JSON in, a line of JSON out. It ends when its standard input does, so also when the process that started it is
killed; a photo that it is just working on is then still finished.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from fastphoto.batch.jobs import Job
from fastphoto.batch.photo_job import PhotoJobs
from fastphoto.batch.record import Finished


def main() -> None:
    """Answer tasks until there are no more. Arguments: the device, and the number of threads."""
    device, threads = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the first one ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    jobs = PhotoJobs(device, threads)
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin.buffer:
        job, finished = json.loads(line)
        entry = jobs.run(Job(**job), None if finished is None else Finished(*finished))
        answers.write(json.dumps(entry, default=str).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the process that started this one has ended
        os._exit(1)
