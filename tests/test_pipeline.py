"""transfer() as a user meets it: what goes in and comes out, progress, stopping, and messages."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_photos import day, dusk
from torch import Tensor

import fastphoto
from fastphoto import FastPhotoWarning, FileError, InputError
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.palette import PALETTE

SHORT: dict[str, Any] = {"size": 48, "scales": (0.5, 1.0), "steps": (4, 2)}


def transfer(content: Any = None, style: Any = None, *masks: Any, **options: Any) -> Any:
    """A short transfer between the rendered photos, where none are given."""
    content = day().pixels if content is None else content
    style = dusk().pixels if style is None else style
    return fastphoto.transfer(content, style, *masks, **{**SHORT, **options})


# ---- what comes in is what comes out -----------------------------------------------------------------------


def test_every_kind_comes_back_as_it_came(tmp_path):
    photo, style = day(), dusk()
    path = tmp_path / "content.png"
    Image.fromarray(photo.array).save(path)
    deep = photo.array.astype(np.uint16) * 257
    kinds = {
        "path": path,
        "text": str(path),
        "pil": Image.fromarray(photo.array),
        "uint8": photo.array,
        "uint16": deep,
        "float32": photo.array.astype(np.float32) / 255,
        "tensor": photo.pixels,
        "batch": photo.pixels[None],
        "uint8 tensor": torch.from_numpy(photo.array).permute(2, 0, 1),
    }
    wanted = transfer()
    assert isinstance(wanted, Tensor)
    for name, content in kinds.items():
        before = content.copy() if isinstance(content, np.ndarray) else None
        result = transfer(content, style.array)
        if name in ("path", "text", "pil"):
            assert isinstance(result, Image.Image) and result.mode == "RGB" and result.size == (64, 48)
            values = torch.from_numpy(np.array(result)).permute(2, 0, 1) / 255
        else:
            assert type(result) is type(content) and result.dtype == content.dtype, name
            assert result.shape == content.shape, name
            if isinstance(result, np.ndarray):
                assert np.array_equal(content, before), "the photo given is the caller's"
                top = {"u": np.iinfo}.get(content.dtype.kind)
                scale = top(content.dtype).max if top else 1
                values = torch.from_numpy(result.astype(np.float32)).permute(2, 0, 1) / scale
            else:
                values = result.float().reshape(3, 48, 64) / (255 if content.dtype == torch.uint8 else 1)
        # What differs is the rounding of what came in and goes out.
        assert (values - wanted).abs().max() < 0.02, name


def test_photo_gives_pixels():
    photo = read_photo(day().array)
    result = transfer(photo)
    assert isinstance(photo, Photo) and isinstance(result, Tensor)
    assert result.shape == (3, 48, 64) and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1


def test_alpha_is_given_back():
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    result = transfer(np.dstack([day().array, alpha]))
    assert result.shape == (48, 64, 4) and np.array_equal(result[..., 3], alpha)


@pytest.mark.parametrize("height, width", [(150, 201), (97, 61), (16, 40)])
def test_result_has_the_contents_own_size(height, width):
    """Larger than `size`: optimised small, and yet with the content's detail at its own size."""
    photo = day(height, width)
    checks = photo.pixels.clone()
    checks[:, ::2, ::2] = (checks[:, ::2, ::2] - 0.06).clamp_min(0)  # gone where it is shrunk
    result = transfer(checks, dusk().pixels)
    assert result.shape == (3, height, width)
    detail = (result[:, 2:-2:2, 2:-2:2] - result[:, 3:-1:2, 3:-1:2]).mean()
    assert detail < -0.005, "the finest detail of the content"


def test_photos_are_never_enlarged():
    small = day(20, 24)
    seen = []
    transfer(small.pixels, dusk(18, 16).pixels, size=500, steps=(1, 1), callback=lambda p: seen.append(p.scale))
    assert seen[-1] == (20, 24)


# ---- masks -------------------------------------------------------------------------------------------------


def test_masks_of_every_kind_mean_the_same(tmp_path):
    content, style = day(), dusk()
    paths = []
    for name, photo in (("content", content), ("style", style)):
        Image.fromarray(photo.mask).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    names = ("lightblue", "green")
    wanted = transfer(content.pixels, style.pixels, content.mask, style.mask)
    for masks in (
        paths,
        [Image.fromarray(p.mask) for p in (content, style)],
        [p.labels for p in (content, style)],
        [dict(zip(names, p.regions.numpy(), strict=True)) for p in (content, style)],
        [p.regions for p in (content, style)],
    ):
        result = transfer(content.pixels, style.pixels, *masks)
        # Regions may come in another order, and so their sums.
        assert (result - wanted).abs().max() < 0.02, type(masks[0])
    assert (transfer() - wanted).abs().mean() > 0.005, "without masks it is another result"


def test_masks_at_other_sizes_than_the_photo_are_fitted():
    content, style = day(96, 128), dusk()
    with pytest.warns(FastPhotoWarning, match="content mask"):
        result = transfer(content.pixels, style.pixels, day().mask, style.mask)
    assert result.shape == (3, 96, 128)


def test_one_mask_alone_is_refused():
    with pytest.raises(InputError, match="content mask: missing, but the style has one"):
        transfer(None, None, None, dusk().mask)
    with pytest.raises(InputError, match="style mask: missing, but the content has one"):
        transfer(None, None, day().mask, None)


def test_regions_that_the_style_lacks():
    content, style = day(), dusk()
    orphaned = content.mask.copy()
    orphaned[36:, 40:] = PALETTE["red"]
    results = {}
    for orphans in ("merge", "global", "drop"):
        with pytest.warns(FastPhotoWarning, match="red"):
            results[orphans] = transfer(content.pixels, style.pixels, orphaned, style.mask, orphans=orphans)
        assert torch.isfinite(results[orphans]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = transfer(content.pixels, style.pixels, content.mask, style.mask)
    assert (results["merge"] - plain).abs().max() < 0.02, "red lies in green land, and joins it"
    assert (results["global"] - plain)[:, 38:, 42:].abs().mean() > 0.01
    with pytest.raises(InputError, match="style mask: no region for red"):
        transfer(content.pixels, style.pixels, orphaned, style.mask, orphans="error")


def test_masks_that_share_nothing():
    with pytest.warns(FastPhotoWarning, match="share no region"):
        result = transfer(None, None, np.full((48, 64), 3), np.repeat([[1, 2]], 24, 1).repeat(56, 0))
    assert torch.isfinite(result).all()


# ---- reproducible ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_same_call_gives_the_same_bits(solver):
    content, style = day(), dusk()
    first, second = (transfer(content.pixels, style.pixels, content.mask, style.mask, solver=solver) for _ in range(2))
    assert torch.equal(first, second)


def test_other_random_numbers_do_not_matter():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = transfer(seed=3, start="noise")
    assert torch.equal(state, torch.get_rng_state()), "the caller's generator is the caller's"
    torch.manual_seed(2)
    assert torch.equal(first, transfer(seed=3, start="noise"))
    assert torch.equal(transfer(seed=3), transfer(seed=4)), "nothing but a noise start is random"


def test_gradients_stay_the_callers():
    content = day().pixels.requires_grad_()
    result = transfer(content)
    assert not result.requires_grad and content.grad is None and torch.is_grad_enabled()
    with torch.no_grad():
        assert torch.equal(transfer(), result)
    with torch.inference_mode():
        assert torch.equal(transfer(), result)


# ---- progress ----------------------------------------------------------------------------------------------


def test_progress():
    seen: list[fastphoto.Progress] = []
    content, options = day(72, 96).pixels, {"size": 96, "stages": ("style", "photorealism")}
    result = transfer(content, callback=seen.append, **options)
    assert [p.step for p in seen] == list(range(1, 13)) and {p.total for p in seen} == {12}
    assert [p.stage for p in seen] == ["style"] * 6 + ["photorealism"] * 6
    assert [p.scale for p in seen[:6]] == [(36, 48)] * 4 + [(72, 96)] * 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen[0].step = 9
    for progress in seen:
        assert "style" in progress.losses and all(isinstance(v, float) for v in progress.losses.values())
        assert ("photorealism" in progress.losses) == (progress.stage == "photorealism")
        preview = progress.preview()
        assert preview.shape == (3, *progress.scale) and preview.min() >= 0 and preview.max() <= 1
    kept = seen[3].preview().clone()
    seen[3].preview().zero_()
    assert torch.equal(seen[3].preview(), kept), "a preview is the caller's to change"
    assert torch.equal(transfer(content, **options), result), "looking changes nothing"


@pytest.mark.parametrize("at", [1, 3, 5])
def test_stop(at):
    seen = []

    def stop(progress: fastphoto.Progress) -> bool:
        seen.append(progress.step)
        return progress.step == at

    result = transfer(callback=stop)
    assert seen == list(range(1, at + 1)), "no more of any stage or scale"
    assert isinstance(result, Tensor) and result.shape == (3, 48, 64) and torch.isfinite(result).all()


def test_stop_at_the_end_of_the_first_stage_is_a_run_of_that_stage_alone():
    both = transfer(stages=("style", "photorealism"), callback=lambda progress: progress.step == 6)
    assert torch.equal(both, transfer(stages=("style",)))


def test_stop_at_a_coarse_scale_keeps_what_it_found_there():
    shown = []

    def stop(progress: fastphoto.Progress) -> bool:
        shown.append(progress.preview())
        return progress.step == 4

    result = transfer(callback=stop)
    assert shown[-1].shape[1] < 48
    assert (result.mean((1, 2)) - shown[-1].mean((1, 2))).abs().max() < 0.02


def test_what_alpha_hides_does_not_count():
    """A cut-out style gives the colours of what can be seen of it, whatever lies beneath the rest."""
    style = dusk().pixels
    alpha = torch.zeros(1, *style.shape[1:])
    alpha[:, 10:40, 8:40] = 1
    results = [
        transfer(None, torch.cat([torch.where(alpha > 0, style, hidden), alpha]), size=64, steps=(0, 0))
        for hidden in (torch.zeros(()), torch.ones(()))
    ]
    assert (results[0] - results[1]).abs().max() < 1e-5
    assert torch.isfinite(transfer(None, torch.cat([style, torch.zeros_like(alpha)]))).all()


def test_photos_made_in_inference_mode():
    with torch.inference_mode():
        photo = read_photo(day(48, 48).pixels.clone())
        inside = transfer(photo, photo)
    assert torch.isfinite(inside).all() and torch.isfinite(transfer(photo, photo)).all()


def test_noise_start_aims_the_content_loss_at_the_content():
    content = day()
    options = {"start": "noise", "steps": (8, 4)}
    assert torch.equal(
        transfer(content.pixels, **options), transfer(content.pixels, **options, content_target="content")
    )


def test_whole_numbers_of_numpy():
    assert transfer(size=np.int64(48), seed=np.int64(3)).shape == (3, 48, 64)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_paper_on_constant_photos(level):
    flat = torch.full((3, 40, 40), level)
    result = fastphoto.transfer(flat, flat, preset="paper", steps=3)
    assert torch.isfinite(result).all()


def test_errors_of_the_callback_come_through():
    def fail(progress: fastphoto.Progress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        transfer(callback=fail)


def test_no_step_is_the_start_image():
    style = dusk()
    result = transfer(day().pixels, style.pixels, steps=(0, 0))
    assert (result.mean((1, 2)) - style.pixels.mean((1, 2))).abs().max() < 0.05
    same = transfer(start="content", scales=(1.0,), steps=(0,), affine_epsilon=1e-7)
    assert (same - day().pixels).abs().max() < 0.005


# ---- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 15}, "size: .*16 pixels or more, got 15"),
        ({"size": 64.0}, "size: .*got 64.0"),
        ({"size": True}, "size: "),
        ({"size": "big"}, "size: .*'big'"),
        ({"size": 16}, r"at size 16, 64x48 pixels shrink to 16x12.*at least"),
        ({"seed": -1}, "seed: .*got -1"),
        ({"seed": 2**63}, "seed: "),
        ({"seed": 0.5}, "seed: .*got 0.5"),
        ({"preset": "slow"}, "preset 'slow': unknown; give one of fast, paper"),
        ({"encoder": "vgg16"}, "encoder 'vgg16': unknown; give one of embedded"),
        ({"device": "gpu"}, "device 'gpu': unknown; give auto, cpu, cuda"),
        ({"device": "mps"}, "device 'mps': not supported"),
        ({"device": None}, "device None: unknown"),
        ({"device": "cpu", "precision": "bfloat16"}, "precision: bfloat16 is for CUDA devices; give auto or float32"),
        ({"no_such": 1}, "setting 'no_such': unknown"),
        ({"content_layers": ("relu6_1",)}, "layer 'relu6_1': not in this encoder; it has relu1_1"),
        ({"style_layers": ("pool1",), "style_weights": (1.0,)}, "layer 'pool1': not in this encoder"),
        ({"photorealism_weight": -1}, "photorealism_weight: "),
        ({"weights": "vgg.pth"}, "weights: "),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(options, said):
    with pytest.raises(InputError, match=said) as refused:
        transfer(**options)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_without_a_device(device):
    with pytest.raises(InputError, match="device .*use cpu"):
        transfer(device=device)


def test_photos_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError, match="absent.png"):
        transfer(tmp_path / "absent.png")
    with pytest.raises(InputError, match="^style: "):
        transfer(style=np.zeros((40, 40, 3), np.int32))
    with pytest.raises(InputError, match="^content: .*NaN"):
        transfer(torch.full((3, 40, 40), torch.nan))
    with pytest.raises(FileError, match=r"absent\.pth"):
        transfer(encoder="vgg19", weights=tmp_path / "absent.pth")


# ---- the package -------------------------------------------------------------------------------------------


def test_import_opens_no_connection():
    """Nor does a transfer with the encoder that needs no file."""
    code = """
import socket

def refuse(*arguments, **options):
    raise AssertionError("a socket was opened")

class Refused(socket.socket):
    __init__ = refuse

socket.socket, socket.create_connection, socket.getaddrinfo = Refused, refuse, refuse
import fastphoto
import torch
fastphoto.transfer(torch.rand(3, 16, 16), torch.rand(3, 16, 16), steps=(1,), scales=(1.0,))
print("done")
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
