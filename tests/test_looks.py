"""Looks: a small file that stands for a style photo gives nearly its results, and never less than it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_photos import LAND, SKY, day, dusk
from safetensors.torch import load_file, save_file

import fastphoto
from fastphoto import FileError, InputError, Session, read_look
from fastphoto.optimisation.style_losses import region_moments_of
from fastphoto.regions.look import SIDE, write_look

SHORT = {"size": 96, "steps": 6}


def saved(path: Path, style_mask: object = None, **settings: object) -> Path:
    Session(dusk(120, 100).pixels, style_mask, **settings).save_look(path)
    return path


@pytest.fixture(scope="module")
def look_file(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("look") / "dusk.fastphoto", dusk(120, 100).mask_picture)


def test_a_look_of_masks_gives_nearly_the_result_of_its_photo(look_file):
    content, style = day(90, 120), dusk(120, 100)
    from_photo = fastphoto.transfer(content.pixels, style.pixels, content.mask_picture, style.mask_picture, **SHORT)
    from_look = fastphoto.transfer(content.pixels, look_file, content.mask_picture, **SHORT)
    assert (from_look - from_photo).abs().mean() < 0.02
    assert (from_photo - content.pixels).abs().mean() > 0.1, "the example transfers nothing"
    assert look_file.stat().st_size < 20_000


@pytest.mark.parametrize("regions", ["auto", "none"])
def test_a_look_of_kinds_of_scene(regions, tmp_path):
    """With photos, in which the network finds several kinds of scene."""
    pair = fastphoto.demo_pairs()[0]
    Session(pair / "style.jpg").save_look(tmp_path / "a.fastphoto")
    content = fastphoto.read_photo(pair / "content.jpg")
    from_photo, from_look = (
        fastphoto.transfer(content, style, regions=regions, steps=20)
        for style in (pair / "style.jpg", tmp_path / "a.fastphoto")
    )
    assert (from_look - from_photo).abs().mean() < 0.02
    assert (from_photo - content.pixels).abs().mean() > 0.05


def test_activations_have_the_moments_of_the_style(look_file):
    look = read_look(look_file)
    masks = look.activation_masks(look.masks())
    for layer in look.means:
        moments = region_moments_of(look.activations(layer), masks)
        expected = torch.cat([look.means[layer], look.deviations[layer]], 1)
        torch.testing.assert_close(moments, expected, atol=2e-3, rtol=1e-3)


def test_a_union_of_regions_has_the_activations_of_both(look_file):
    look = read_look(look_file)
    whole = look.activation_masks(look.masks().sum(0, keepdim=True))
    assert whole.shape[0] == 1 and bool((whole == 1).all())


def test_colours_come_from_their_regions(look_file):
    look, style = read_look(look_file), dusk(120, 100)
    shares = look.masks().mean((1, 2))
    for number, name in enumerate(look.names):
        region = style.region_map == [SKY, LAND].index(name)
        assert float(shares[number]) == pytest.approx(region.mean(), abs=0.02)
        colours = look.colours[:, look.region_map == number]
        assert (colours.mean(1) - style.pixels[:, torch.from_numpy(region)].mean(1)).abs().max() < 0.02


def test_a_file_keeps_the_look(look_file, tmp_path):
    look = read_look(look_file)
    write_look(tmp_path / "again.fastphoto", look)
    assert (tmp_path / "again.fastphoto").read_bytes() == look_file.read_bytes()
    assert torch.equal(read_look(look_file.read_bytes()).colours, look.colours)


def test_a_mask_of_many_regions(tmp_path):
    style_mask = np.arange(40).repeat(3)[None].repeat(120, 0).astype(np.int64)
    Session(dusk(120, 120).pixels, style_mask).save_look(tmp_path / "a.fastphoto")
    assert len(read_look(tmp_path / "a.fastphoto").names) == 40


def test_a_small_region_stays_small(tmp_path):
    style_mask = np.zeros((120, 120), np.int64)
    style_mask[:4, :4] = 1
    Session(dusk(120, 120).pixels, style_mask).save_look(tmp_path / "a.fastphoto")
    share = float((read_look(tmp_path / "a.fastphoto").region_map == 1).float().mean())
    assert 0 < share < 0.015, "a kind of scene needs 3 % of the style"


def test_a_session_still_works_after_its_look_was_saved(tmp_path):
    session = Session(dusk().pixels, **SHORT)
    before = session(day().pixels)
    session.save_look(tmp_path / "a.fastphoto")
    assert torch.equal(session(day().pixels), before)


def test_hidden_pixels_give_no_colours(tmp_path):
    alpha = torch.zeros(1, 60, 60)
    alpha[:, :, 30:] = 1
    style = torch.where(torch.arange(60) < 30, 0.9, 0.2).expand(3, 60, 60)
    Session(torch.cat([style, alpha])).save_look(tmp_path / "a.fastphoto")
    assert read_look(tmp_path / "a.fastphoto").colours.max() < 0.3


def test_tiny_and_flat_styles(tmp_path):
    for number, style in enumerate((torch.full((3, 16, 16), 0.5), torch.zeros(3, 20, 400), dusk(17, 16).pixels)):
        path = tmp_path / f"{number}.fastphoto"
        Session(style).save_look(path)
        result = fastphoto.transfer(day().pixels, path, **SHORT)
        assert torch.isfinite(result).all() and read_look(path).colours.shape == (3, SIDE, SIDE)


def test_a_session_with_a_look_serves_several_photos(look_file):
    session = Session(read_look(look_file), **SHORT)
    for photo in (day(48, 64), day(60, 40)):
        expected = fastphoto.transfer(photo.pixels, look_file, photo.mask_picture, **SHORT)
        assert torch.equal(session(photo.pixels, photo.mask_picture), expected)


# ---- what cannot be used


def test_looks_that_cannot_be_made(look_file, tmp_path):
    with pytest.raises(InputError, match=r"dusk\.look: the file of a look has the extension \.fastphoto"):
        Session(dusk().pixels).save_look(tmp_path / "dusk.look")
    with pytest.raises(InputError, match="look: it serves presets that recolour"):
        Session(dusk().pixels, preset="painterly").save_look(tmp_path / "a.fastphoto")
    with pytest.raises(InputError, match="look: it is made by an open session with a style photo"):
        Session(look_file).save_look(tmp_path / "a.fastphoto")
    session = Session(dusk().pixels)
    session.close()
    with pytest.raises(InputError, match="open session"):
        session.save_look(tmp_path / "a.fastphoto")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "paper"}, "look: it serves presets that recolour"),
        ({"style_statistic": "gram"}, "look: it serves presets that recolour"),
        ({"style_layers": ["relu3_2"], "style_weights": [1]}, "look: it has activations of the encoder embedded in"),
        ({"encoder": "vgg19"}, "look: it has activations of the encoder embedded in relu1_1, "),
        ({"content_layers": ["relu2_2"], "content_weight": 1.0}, "look: it has activations of the encoder embedded in"),
        ({"regions": "auto"}, 'regions: "auto" needs the style photo; the look has those of a mask'),
        ({"style_mask": np.zeros((120, 100), np.uint8)}, "style mask: a look has its own regions"),
    ],
    ids=str,
)
def test_looks_that_do_not_fit_the_settings(arguments, message, look_file):
    with pytest.raises(InputError, match=message):
        Session(look_file, **arguments)


def test_a_look_of_masks_needs_a_mask_of_the_content(look_file):
    with pytest.raises(InputError, match="content mask: missing, but the style has one"):
        fastphoto.transfer(day().pixels, look_file, **SHORT)


def changed(look_file: Path, path: Path, **changes: object) -> Path:
    """Write a look with other tensors, or without those that are None."""
    tensors = {**load_file(look_file), **changes}
    length = int.from_bytes(look_file.read_bytes()[:8], "little")
    metadata = json.loads(look_file.read_bytes()[8 : 8 + length])["__metadata__"]
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path, metadata)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"colours": None},
        {"colours": torch.zeros(3, 8, 8, dtype=torch.uint8)},
        {"region_map": torch.full((SIDE, SIDE), 7, dtype=torch.int8)},
        {"region_map": torch.full((SIDE, SIDE), -1, dtype=torch.int8)},
        {"relu1_1.deviation": None},
        {"relu1_1.mean": torch.zeros(5, 3)},
        {"relu2_1.mean": torch.full((2, 28), torch.nan)},
        {"sureness": torch.zeros(3)},
    ],
    ids=str,
)
def test_damaged_looks(changes, look_file, tmp_path):
    with pytest.raises(FileError, match=r"^.*bad\.fastphoto: no look that `fastphoto look` wrote \(") as refused:
        read_look(changed(look_file, tmp_path / "bad.fastphoto", **changes))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("size", [0, 4, 100, 2000, -10])
def test_cut_looks(size, look_file, tmp_path):
    (tmp_path / "bad.fastphoto").write_bytes(look_file.read_bytes()[:size])
    with pytest.raises(FileError, match=r"bad\.fastphoto: "):
        fastphoto.transfer(day().pixels, tmp_path / "bad.fastphoto")
