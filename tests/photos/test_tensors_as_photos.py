"""Tensors that `fastphoto.transfer` refuses or uses as they are, kinds 53 to 62 of docs/reliability.md."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk

import fastphoto

CONTENT, STYLE = day(40, 48), dusk(48, 40)


def put(value: float):
    """Return a function that copies a photo and sets its first value."""

    def change(photo: torch.Tensor) -> torch.Tensor:
        photo = photo.clone()
        photo[0, 0, 0] = value
        return photo

    return change


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(put(float("nan")), "NaN or infinite", id="53-NaN"),
        pytest.param(put(-float("inf")), "NaN or infinite", id="54-infinity"),
        pytest.param(lambda x: x * 255, r"got 0 to 255; divide by 255|must be in \[0, 1\]", id="55-0 to 255"),
        pytest.param(lambda x: (x * 255).long(), "tensor of torch.int64; give uint8", id="56-int64"),
        pytest.param(lambda x: x + 0j, "tensor of torch.complex64", id="56-complex"),
        pytest.param(lambda x: x[0], r"shape 40x48; give \(C, H, W\)", id="58-rank 2"),
        pytest.param(lambda x: x[:2], "shape 2x40x48", id="58-two channels"),
        pytest.param(lambda x: x.permute(1, 2, 0), "permute", id="58-channels last"),
        pytest.param(lambda x: torch.stack([x, x]), "one photo at a time", id="58-batch"),
        pytest.param(lambda x: x[:, :0], "each side must have at least 16", id="59-no rows"),
        pytest.param(lambda x: x.to("meta"), "sparse, quantized or meta", id="60-meta"),
        pytest.param(lambda x: x.to_sparse(), "sparse, quantized or meta", id="60-sparse"),
        pytest.param(lambda x: (x + 0j).conj(), "tensor of torch.complex64", id="60-conjugate"),
    ],
)
def test_refused(change, said, role):
    photos = {"content": CONTENT.pixels, "style": STYLE.pixels}
    photos[role] = change(CONTENT.pixels)
    with pytest.raises(fastphoto.InputError, match=said) as error:
        fastphoto.transfer(**photos, steps=1)
    assert role in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda x: x.permute(1, 2, 0).contiguous().permute(2, 0, 1), id="61-channels-last"),
        pytest.param(lambda x: x[None].to(memory_format=torch.channels_last)[0], id="61-memory-format"),
        pytest.param(lambda x: torch.nn.functional.pad(x, (2, 3, 1, 4))[:, 1:-4, 2:-3], id="61-offset"),
        pytest.param(lambda x: x.clone().requires_grad_(), id="62-gradient"),
    ],
)
def test_views_give_the_same_bits(view):
    expected = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=2)
    result = fastphoto.transfer(view(CONTENT.pixels), view(STYLE.pixels), steps=2)
    assert torch.equal(result, expected) and not result.requires_grad


def test_a_stride_of_0_gives_the_same_bits():  # kind 61
    grey = torch.linspace(0, 1, 48).expand(3, 40, 48)
    result = fastphoto.transfer(grey, STYLE.pixels, steps=1)
    assert torch.equal(result, fastphoto.transfer(grey.clone(), STYLE.pixels, steps=1))
