"""Session: one style for many photos gives the results of single transfers, and does the style's work once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_photos import day, dusk
from short_transfer import SHORT

import fastphoto
from fastphoto import DeadlineError, FastPhotoWarning, FileError, InputError, Session
from fastphoto.encoders import encoder as encoders
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.regions import scenes

CONTENTS = [day(48, 64).pixels, day(40, 40).pixels, 1 - day(64, 48).pixels]
STYLE = dusk().pixels


@pytest.mark.parametrize("preset", ["fast", "painterly", "recolour"])
@pytest.mark.parametrize("regions", ["auto", "none"])
def test_results_are_those_of_single_transfers(preset, regions):
    settings = {"size": 48, "preset": preset, "regions": regions}
    if preset != "recolour":
        settings |= {"scales": 1.0, "steps": 2}
    session = Session(STYLE, **settings)
    for content in (*CONTENTS, CONTENTS[0]):
        assert torch.equal(session(content), fastphoto.transfer(content, STYLE, **settings))


def test_results_with_masks_are_those_of_single_transfers():
    session = Session(STYLE, dusk().mask_picture, **SHORT)
    for photo in (day(48, 64), day(60, 40)):
        expected = fastphoto.transfer(photo.pixels, STYLE, photo.mask_picture, dusk().mask_picture, **SHORT)
        assert torch.equal(session(photo.pixels, photo.mask_picture), expected)


def test_a_mask_that_is_a_stream_serves_every_photo():
    file = BytesIO()
    Image.fromarray(dusk().mask_picture).save(file, "PNG")
    file.seek(0)
    session = Session(STYLE, file, steps=0, size=48)
    first, second = (session(day().pixels, day().mask_picture) for _ in range(2))
    assert torch.equal(first, second)


def test_threads_share_a_session():
    """Each gets the bits of a thread alone, though all ask for the style's work at once."""
    expected = [fastphoto.transfer(content, STYLE, **SHORT) for content in CONTENTS]
    session = Session(STYLE, **SHORT)
    with ThreadPoolExecutor(3) as threads:
        for _ in range(2):
            for one, other in zip(threads.map(session, CONTENTS), expected, strict=True):
                assert torch.equal(one, other)


class Counted:
    """A function that counts its calls by a property of the first argument."""

    def __init__(self, function: Callable[..., Any], key: Callable[..., Any]) -> None:
        self.function, self.key, self.calls = function, key, []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(self.key(*args))
        return self.function(*args, **kwargs)


def test_the_styles_work_is_done_once(monkeypatch):
    style = dusk(50, 46)
    activations = Counted(Encoder.forward, lambda encoder, image, layers: tuple(image.shape))
    monkeypatch.setattr(Encoder, "forward", lambda *args: activations(*args))
    weights, kinds = Counted(encoders.read_weights, str), Counted(scenes.kind_scores, lambda photo: tuple(photo.shape))
    monkeypatch.setattr(encoders, "read_weights", weights)
    monkeypatch.setattr(scenes, "kind_scores", kinds)
    session = Session(style.pixels, size=50, scales=1.0, steps=1)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(session, CONTENTS[:1] * 4))
    assert len(weights.calls) == 1
    assert kinds.calls.count((3, 50, 46)) == 1 and len(kinds.calls) == 5
    assert activations.calls.count((3, 50, 46)) == 1 and len(activations.calls) > 5


def test_memory_does_not_grow_with_the_number_of_sizes():
    session = Session(STYLE, preset="painterly", size=60, scales=1.0, steps=1)
    for width in range(40, 60):
        session(day(48, width).pixels)
    assert len(session._of_style._entries) <= 16


def test_work_that_failed_is_done_again(tmp_path):
    weights = tmp_path / "weights.safetensors"
    session = Session(STYLE, encoder="vgg19", weights=weights, **SHORT)
    for _ in range(2):
        with pytest.raises(FileError, match=r"weights\.safetensors: No such file"):
            session(CONTENTS[0])


def test_an_encoder_and_settings_of_ones_own():
    settings = fastphoto.preset_settings("painterly", scales=1.0, steps=2)
    session = Session(STYLE, encoder=load_encoder("embedded"), settings=settings, size=48, strength=0.5)
    expected = fastphoto.transfer(
        CONTENTS[0], STYLE, preset="painterly", scales=1.0, steps=2, size=48, strength=0.5, regions="auto"
    )
    assert session.settings.strength == 0.5 and torch.equal(session(CONTENTS[0]), expected)
    given = fastphoto.transfer(CONTENTS[0], STYLE, settings=settings, encoder=load_encoder("embedded"), size=48)
    assert given.shape == expected.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "fast", "settings": fastphoto.PRESETS["fast"]}, "preset: settings are given"),
        ({"settings": {"steps": 3}}, "settings: must be a fastphoto.Settings, got dict"),
        ({"settings": fastphoto.PRESETS["fast"], "step": 3}, "setting 'step': unknown; did you mean steps"),
        ({"encoder": 3}, "encoder 3: unknown; give one of embedded, .*or an Encoder"),
        ({"encoder": "vgg16"}, "encoder 'vgg16': unknown"),
        ({"encoder": load_encoder("embedded"), "weights": "a.pth"}, "weights: the encoder that is given has its own"),
        ({"max_memory": 0}, "max_memory: must be a whole number of bytes above 0, got 0"),
        ({"max_memory": 1e9}, "max_memory: "),
        ({"size": 15}, "size: .*got 15"),
        ({"seed": -1}, "seed: "),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"regions": "clusters"}, "regions: must be one of"),
        ({"regions": "auto", "style_mask": dusk().mask_picture}, 'regions: "auto" takes no masks'),
        ({"style_mask": np.zeros((48, 56, 3), np.float64) + 2}, "style mask: "),
        ({"style": np.zeros((40, 40, 3), np.int32)}, "^style: "),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_at_once(arguments, message):
    with pytest.raises(InputError, match=message):
        Session(**{"style": STYLE} | arguments)


def test_a_style_mask_needs_a_content_mask():
    session = Session(STYLE, dusk().mask_picture, **SHORT)
    with pytest.raises(InputError, match="content mask: missing, but the style has one"):
        session(CONTENTS[0])


def test_a_closed_session_is_refused():
    with Session(STYLE, steps=0, size=48) as session:
        session(CONTENTS[0])
    with pytest.raises(InputError, match="session: it is closed; make a new one"):
        session(CONTENTS[0])


def test_a_session_that_is_closed_in_the_middle_of_a_transfer_lets_it_finish():
    session = Session(STYLE, **SHORT)
    result = session(CONTENTS[0], callback=lambda progress: session.close())
    assert torch.equal(result, fastphoto.transfer(CONTENTS[0], STYLE, **SHORT))


def test_more_memory_than_allowed_is_refused():
    with pytest.raises(InputError, match=r"48x36 pixels need about .* 4 MiB are allowed; a size of \d+ fits"):
        Session(STYLE, max_memory=2**22, **SHORT)(CONTENTS[0])
    assert Session(STYLE, max_memory=2**30, **SHORT)(CONTENTS[0]).shape == CONTENTS[0].shape


# ---- progress and deadlines


def test_the_callback_hears_every_part_of_the_work():
    reports: list[fastphoto.Progress] = []
    result = Session(STYLE, **SHORT)(day(96, 128).pixels, callback=reports.append)
    assert [p.stage for p in reports] == ["loading", "regions", *["photorealism"] * 6, "result"]
    assert [p.step for p in reports] == [0, 0, 1, 2, 3, 4, 5, 6, 6] and {p.total for p in reports} == {6}
    assert [p.is_step for p in reports] == [False, False, *[True] * 6, False]
    assert not reports[0].losses and not reports[-1].losses
    for progress in reports:
        preview = progress.preview()
        assert preview.shape == (3, *progress.scale) and preview.min() >= 0 and preview.max() <= 1
    assert (reports[-1].preview().mean((1, 2)) - result.mean((1, 2))).abs().max() < 0.02


@pytest.mark.parametrize("preset", ["fast", "painterly"])
@pytest.mark.parametrize("stage", ["loading", "regions"])
def test_a_stop_before_the_first_step_gives_the_start_image(preset, stage):
    result = fastphoto.transfer(
        CONTENTS[0], STYLE, preset=preset, callback=lambda progress: progress.stage == stage, **SHORT
    )
    start = fastphoto.transfer(CONTENTS[0], STYLE, preset=preset, **SHORT | {"steps": 0})
    assert (result - start).abs().mean() < 0.01


def test_at_the_deadline_the_best_image_so_far_is_the_result(monkeypatch):
    seconds, reports = [0.0], []
    monkeypatch.setattr("fastphoto.session.time.monotonic", lambda: seconds[0])

    def watch(progress: fastphoto.Progress) -> None:
        reports.append(progress)
        seconds[0] += 20 if progress.is_step else 0

    message = r"^deadline: 30 s were over after step 2 of 6; the result is the best image so far$"
    with pytest.warns(FastPhotoWarning, match=message):
        result = Session(STYLE, **SHORT)(CONTENTS[0], callback=watch, deadline=30)
    assert [p.step for p in reports if p.is_step] == [1, 2] and reports[-1].is_step
    assert torch.isfinite(result).all()


def test_a_deadline_can_be_an_error():
    with pytest.raises(DeadlineError, match=r"deadline: 0 s were over after step 0 of 6") as refused:
        fastphoto.transfer(CONTENTS[0], STYLE, deadline=0, at_deadline="error", **SHORT)
    assert isinstance(refused.value, TimeoutError) and isinstance(refused.value, fastphoto.FastPhotoError)


def test_a_deadline_that_is_not_reached_changes_nothing():
    result = fastphoto.transfer(CONTENTS[0], STYLE, deadline=1000, at_deadline="error", **SHORT)
    assert torch.equal(result, fastphoto.transfer(CONTENTS[0], STYLE, **SHORT))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deadline": -1}, "deadline: must be seconds, 0 or more, got -1"),
        ({"deadline": "soon"}, "deadline: .*got 'soon'"),
        ({"deadline": float("nan")}, "deadline: "),
        ({"deadline": 1, "at_deadline": "worst"}, "at_deadline: must be best or error, got 'worst'"),
    ],
    ids=str,
)
def test_deadlines_that_cannot_be_used(arguments, message):
    with pytest.raises(InputError, match=message):
        Session(STYLE, **SHORT)(CONTENTS[0], **arguments)


def test_threads_with_deadlines_do_not_wait_for_one_another():
    session, begun = Session(STYLE, **SHORT), threading.Barrier(2, timeout=60)

    def meet(progress: fastphoto.Progress) -> None:
        if progress.step == 1 and progress.is_step:
            begun.wait()  # both are in their first step at once

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda content: session(content, callback=meet), CONTENTS[:2]))
    assert [result.shape for result in results] == [content.shape for content in CONTENTS[:2]]
