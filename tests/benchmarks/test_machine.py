"""The machine that a record describes, and the line that pages show of it."""

from __future__ import annotations

import os

from benchmarks.machine import described, machine_facts


def test_facts_name_processor_cores_versions_and_no_folder():
    import torch

    facts = machine_facts()
    assert facts["cores"] == os.cpu_count()
    assert facts["torch"] == torch.__version__
    assert facts["cpu"] and isinstance(facts["instructions"], list)
    assert ("gpu" in facts) == torch.cuda.is_available()


def test_line_names_device_date_and_commit_and_says_what_disturbed_the_run():
    facts = {"cpu": "AMD EPYC", "cores": 2, "instructions": ["avx2", "avx512f"], "torch": "2.13"}
    results = {"machine": facts, "date": "2026-11-28T10:00:00", "commit": "0123456789abcdef", "full": True}
    assert described(results) == "AMD EPYC, torch 2.13, 2 CPU cores, AVX-512, 2026-11-28, commit 0123456789ab"
    disturbed = described(results | {"load before": 2.04, "dirty": True, "full": False})
    assert disturbed.endswith("with changes, few repetitions, while other programs ran (load 2.0)")
