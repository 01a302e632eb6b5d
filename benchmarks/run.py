"""What the runs on CPUs and on GPUs share: processes for their sections, and the record that they write."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import RECORDS, earlier_sections, record_name, write_record
from benchmarks.sections import DRY_RUN, ROOT, Results, run_in_process

Stage = Sequence[Sequence[str]]  # processes that run at the same time, each with the sections that it runs


@dataclass(frozen=True)
class Run:
    """One of the runs: what it consists of, and how its results are shown."""

    script: Path
    limits: Mapping[str, float]
    """Seconds that each section may take. What a section leaves goes to the next ones."""
    options: Sequence[str]
    """Options that its processes get."""
    environment: Callable[[], Mapping[str, str]]
    report: Callable[[Results], str]
    figures: Callable[[Results], Results]

    def measure(
        self, arguments: argparse.Namespace, results: Results, stages: Sequence[Stage], total: float | None = None
    ) -> int:
        """Run stages one after the other and write the record after each; return the exit code.

        Args:
            arguments: options of `sections.argument_parser`.
            results: beginning of the results, see `record.new_results`.
            stages: which sections run, in which processes.
            total: seconds for all of them; None: as long as their limits allow.
        """
        records, reports = (arguments.output or folder for folder in (RECORDS, ROOT / "results"))
        for folder in (records, reports):
            folder.mkdir(parents=True, exist_ok=True)
        begin, allowed = time.monotonic(), 0.0
        for stage in stages:
            allowed += max(sum(self.limits[name] for name in names) for names in stage)
            limit = min(allowed, total or allowed) - (time.monotonic() - begin)
            if limit < 5:
                skipped = [name for names in stage for name in names]
                results["sections"] |= {name: {"error": "not run: no time left"} for name in skipped}
            else:
                results["sections"] |= self._run_stage(arguments, results, stage, limit)
            results["seconds"] = round(time.monotonic() - begin, 1)
            record = records.resolve() / f"{record_name(results)}.json"
            results["sections"] = earlier_sections(record, results) | results["sections"]
            report = reports.resolve() / f"{record.stem}.md"
            write_record(results, record, report, self.report, self.figures)  # now, in case the run is stopped
        print(self.report(results))
        chosen = [name for stage in stages for names in stage for name in names]
        errors = [name for name in chosen if "error" in results["sections"][name]]
        print(f"written: {record}" + (f"; with errors: {', '.join(errors)}" if errors else ""))
        return 1 if errors else 0

    def _run_stage(self, arguments: argparse.Namespace, results: Results, stage: Stage, limit: float) -> Results:
        with ThreadPoolExecutor(len(stage)) as pool:
            calls = [pool.submit(self._run_process, arguments, names, limit) for names in stage]
            measured: Results = {}
            for call in calls:
                measured |= call.result()
        results["machine"] = measured.pop("machine", results["machine"])
        return measured

    def _run_process(self, arguments: argparse.Namespace, names: Sequence[str], limit: float) -> Results:
        """Run sections in a process, and those after one that fails in another one; return their results."""
        results: Results = {}
        deadline = time.monotonic() + limit
        while left := [name for name in names if name not in results]:
            limit = deadline - time.monotonic()
            if limit < 5 and results:
                return results | {name: {"error": "not run: no time left"} for name in left}
            print(f"== {', '.join(left)} (at most {limit:.0f} s)", flush=True)
            scratch = ROOT / "build" / "benchmarks" / f"worker-{os.getpid()}-{left[0]}.json"
            scratch.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, str(self.script), "--worker", str(scratch), "--limit", str(limit)]
            command += ["--sections", ",".join(left), *self.options]
            variables = dict(self.environment()) | (DRY_RUN if arguments.dry_run else {})
            results |= run_in_process(command, left, limit, scratch, variables)
        return results
