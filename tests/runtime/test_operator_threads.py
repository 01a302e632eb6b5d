"""A transfer has the same bits with any number of threads and in any layout, and its kernels run on all threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

import fastphoto
from fastphoto.ops.library import native
from fastphoto.runtime.operator_threads import one_thread_for_torch

CONTENT, STYLE = day(200, 260).pixels, dusk(220, 240).pixels  # PyTorch shares out what has more than 32,768 numbers


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("preset", ["fast", "painterly", "gatys"])
def test_a_transfer_has_the_same_bits(preset):
    """With regions found by the network where the preset has them found."""

    def compute(content: Tensor, threads: int) -> Tensor:
        torch.set_num_threads(threads)
        return fastphoto.transfer(content, STYLE, preset=preset, size=260, scales=1.0, steps=2)

    expected = compute(CONTENT, 1)
    for threads in (2, 3, 5):
        assert torch.equal(compute(CONTENT, threads), expected), f"other bits with {threads} threads"
    interleaved = CONTENT.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    shifted = torch.cat([torch.zeros(7), CONTENT.flatten()])[7:].view(CONTENT.shape)
    assert torch.equal(compute(interleaved, 2), expected), "other bits with interleaved colours"
    assert torch.equal(compute(shifted, 2), expected), "other bits elsewhere in memory"


def test_kernels_run_on_all_threads_and_other_operators_on_one():
    torch.set_num_threads(3)
    with one_thread_for_torch():
        assert torch.get_num_threads() == 1 and native.use_threads.default(3) == 3
        with one_thread_for_torch():  # as when a function calls another
            assert torch.get_num_threads() == 1 and native.use_threads.default(3) == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3 and native.use_threads.default(0) == 3


def test_a_host_with_one_thread_keeps_one():
    torch.set_num_threads(1)
    with one_thread_for_torch():
        assert native.use_threads.default(0) == 1


def test_threads_are_given_back_after_an_error():
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), one_thread_for_torch():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_another_thread_keeps_its_threads():
    torch.set_num_threads(2)
    with ThreadPoolExecutor(1) as pool:
        with one_thread_for_torch():
            assert pool.submit(torch.get_num_threads).result() == 2
        assert pool.submit(torch.get_num_threads).result() == 2
