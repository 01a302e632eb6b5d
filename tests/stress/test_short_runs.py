"""Short runs of the stress scripts; `make fuzz` runs them for half an hour."""

from __future__ import annotations

import torch
from inject_nonfinite import inject
from repeat_transfers import repeat


def test_values_that_are_not_finite_never_give_a_blank_picture(tmp_path):
    counts = inject(tmp_path, 40)
    assert counts["written"] > 0 and counts["failed"] > 0


def test_transfers_give_the_same_bits_with_one_thread_and_with_two():
    before = torch.get_num_threads()
    assert repeat(4, size=60) == 4
    assert torch.get_num_threads() == before, "the number of threads is not restored"
