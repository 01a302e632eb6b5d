"""The colour guided filter: borders of masks move to the content's edges, each mask by itself."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day

from fastphoto.colour.guided import guided_filter


def test_borders_move_to_the_contents_edge():
    content = torch.full((3, 32, 40), 0.2)
    content[:, :, 20:] = 0.8
    content += 0.01 * torch.randn(content.shape, generator=torch.Generator().manual_seed(1))
    drawn = torch.zeros(2, 32, 40)
    drawn[0, :, :18], drawn[1, :, 18:] = 1, 1  # two pixels beside the edge
    filtered = guided_filter(drawn, content, radius=6)
    assert filtered.shape == (2, 32, 40) and filtered.min() >= 0 and filtered.max() <= 1
    profile = filtered[0].mean(0)
    assert int((profile[:-1] - profile[1:]).argmax()) == 19, "the steepest descent is not at the content's edge"
    assert profile[19] > 0.5 > profile[20]
    assert (filtered.sum(0) - 1).abs().max() < 1e-4, "masks that added up to one no longer do"
    assert filtered[0, :, :8].min() > 0.9 and filtered[0, :, -8:].max() < 0.1


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_each_mask_is_filtered_by_itself(count):
    """Masks go through three-channel maps; their number, and their neighbours there, must not matter."""
    content = day(20, 24).pixels
    masks = torch.rand(count, 20, 24, generator=torch.Generator().manual_seed(count)).round()
    filtered = guided_filter(masks, content, radius=3)
    assert filtered.shape == masks.shape
    for r in range(count):
        assert torch.allclose(filtered[r], guided_filter(masks[r : r + 1], content, radius=3)[0], atol=1e-6)
