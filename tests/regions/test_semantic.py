"""Regions by a semantic network: rules from scores to regions, and whole runs of a small network of the real kind."""

from __future__ import annotations

import http.server
import json
import logging
import math
import pickle
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rendered_photos import Rendered, day, dusk
from torch import Tensor
from torch.nn import functional as F

from fastphoto.cli import command as cli
from fastphoto.errors import FileError, InputError
from fastphoto.regions.ade20k import CATEGORIES, KINDS
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.reading import read_masks
from fastphoto.regions.semantic import _without_islands, semantic_regions, shared_regions

SKY, MOUNTAIN = CATEGORIES.index("sky"), CATEGORIES.index("mountain")

# From scores to regions


def painted(kinds: np.ndarray, colours: int = 8) -> Tensor:
    """(3, H, W): a photo in which every kind has a colour of its own."""
    random = torch.Generator().manual_seed(3)
    return torch.rand(colours, 3, generator=random)[torch.from_numpy(kinds)].permute(2, 0, 1).contiguous()


def certain(kinds: np.ndarray, count: int, second: dict[int, int] | None = None) -> Tensor:
    """(count, H, W) scores: nearly all for each pixel's kind, and more for a second one than for the rest."""
    scores = torch.zeros(count, *kinds.shape)
    for kind in range(count):
        scores[kind][torch.from_numpy(kinds == kind)] = 10
    for kind, other in (second or {}).items():
        scores[other][torch.from_numpy(kinds == kind)] = 3
    return scores


def halves(left: int, right: int, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    kinds = np.full(size, left)
    kinds[:, size[1] // 2 :] = right
    return kinds


def region(labels: RegionMasks, name: str) -> np.ndarray:
    return labels.masks[labels.names.index(name)].numpy() == 1


def assert_shared(content: RegionMasks, style: RegionMasks, names, sizes) -> None:
    assert content.names == style.names and len(content.names) >= 1
    assert [n for n in names if n in content.names] == list(content.names), "in the order of the names, each once"
    for labels, size in zip((content, style), sizes, strict=True):
        assert labels.masks.shape == (len(labels.names), *size) and labels.masks.dtype == torch.float32
        assert set(labels.masks.unique().tolist()) <= {0.0, 1.0}
        assert bool((labels.masks.sum(0) == 1).all()), "every pixel is of one region"
        assert labels.masks.mean((1, 2)).min() >= min(0.01, 1 / len(labels.names)) - 1e-6, "no orphans"


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kinds=st.integers(1, 9),
    sizes=st.lists(st.tuples(st.integers(16, 60), st.integers(16, 60)), min_size=2, max_size=2),
    coarse=st.sampled_from([1, 3, 12]),
    contrast=st.sampled_from([0.0, 0.5, 6.0, 200.0]),
    bias=st.sampled_from([0.0, 4.0]),
    flat=st.booleans(),
)
def test_any_scores_give_shared_regions(seed, kinds, sizes, coarse, contrast, bias, flat):
    random = torch.Generator().manual_seed(seed)
    scores, photos = [], []
    for size in sizes:
        scores.append(contrast * torch.randn(kinds, coarse, coarse + 1, generator=random))
        scores[-1] += bias * torch.randn(kinds, 1, 1, generator=random)
        photos.append(torch.full((3, *size), 0.5) if flat else torch.rand(3, *size, generator=random))
    names = tuple("abcdefghi"[:kinds])
    assert_shared(*shared_regions(*scores, *photos, names), names, sizes)


@pytest.mark.parametrize(("lacked", "other"), [(1, 2), (2, 1)])
def test_content_takes_its_best_kind_of_those_that_the_style_has(lacked, other):
    content, style = halves(0, lacked), halves(0, other, (50, 70))
    photos = painted(content), painted(style)
    found = shared_regions(certain(content, 4, {lacked: other}), certain(style, 4), *photos, tuple("abcd"))
    assert found[0].names == ("a", "abc"[other])
    np.testing.assert_array_equal(region(found[0], "abc"[other]), content == lacked)
    np.testing.assert_array_equal(region(found[1], "abc"[other]), style == other)
    found = shared_regions(certain(content, 4, {lacked: 0}), certain(style, 4), *photos, tuple("abcd"))
    assert found[0].names == ("a",), "what the content lacks is given up in the style"


def test_kinds_too_small_in_either_photo_join_the_next_best():
    """0.8 % of the content or of the style are no region, and 1.3 % are one."""
    names = tuple("abc")
    for height, kept in ((4, False), (6, True)):
        spot = halves(0, 1, (60, 100))
        spot[20 : 20 + height, 62 : 62 + 13] = 2
        thirds = halves(0, 1, (60, 100))
        thirds[40:] = 2
        for content, style in ((spot, thirds), (thirds, spot)):
            scores = [certain(kinds, 3, {2: 0}) for kinds in (content, style)]
            found = shared_regions(*scores, painted(content), painted(style), names)
            assert_shared(*found, names, [content.shape, style.shape])
            assert found[0].names == (("a", "b", "c") if kept else ("a", "b"))
            for labels, kinds in zip(found, (content, style), strict=True):
                if not kept:
                    np.testing.assert_array_equal(region(labels, "b"), kinds == 1)
                else:
                    assert (region(labels, "c") == (kinds == 2)).mean() > 0.99


@pytest.mark.parametrize("second", [0, 1])
def test_kinds_that_the_content_lacks_join_the_next_best_however_sure_the_network_was(second):
    """The other kinds' probabilities are 1e-17 and less: what counts is how they compare."""
    style = halves(0, 1, (60, 90))
    style[30:] = 2
    scores = 4 * certain(style, 3, {2: second})
    content, found = shared_regions(
        4 * certain(halves(0, 1), 3), scores, painted(halves(0, 1)), painted(style), tuple("abc")
    )
    assert content.names == ("a", "b")
    np.testing.assert_array_equal(region(found, "ab"[second]), (style == second) | (style == 2))


def test_smallest_kind_is_given_up_first_and_may_save_another():
    """Two kinds of 0.7 % each that take one another for second best: one of them is left, with the pixels of both."""
    kinds = halves(0, 0, (100, 100))
    kinds[20:27, 20:30] = 1
    kinds[60:67, 60:69] = 2
    style = np.repeat(np.arange(3), 30)[:, None].repeat(50, 1)
    scores = certain(kinds, 3, {1: 2, 2: 1}), certain(style, 3)
    content, _ = shared_regions(*scores, painted(kinds), painted(style), tuple("abc"))
    assert content.names == ("a", "b")
    assert (region(content, "b") == (kinds > 0)).mean() > 0.999


def test_of_more_than_nine_kinds_the_smallest_are_given_up():
    widths = (12, 4, 11, 10, 9, 8, 7, 6, 5, 13, 14)
    kinds = np.repeat(np.arange(11), widths)[None].repeat(40, 0)
    scores, photo = certain(kinds, 11, {1: 0, 8: 7}), painted(kinds, 11)
    found = shared_regions(scores, scores, photo, photo, tuple("abcdefghijk"))
    assert_shared(*found, tuple("abcdefghijk"), [kinds.shape] * 2)
    assert found[0].names == tuple("acdefghjk")
    np.testing.assert_array_equal(region(found[0], "a"), (kinds == 0) | (kinds == 1))
    np.testing.assert_array_equal(region(found[1], "h"), (kinds == 7) | (kinds == 8))


def test_small_islands_join_what_surrounds_them_and_larger_ones_stay():
    kinds = halves(0, 1, (100, 150))
    kinds[20:23, 20:24] = 1  # 12 pixels, below a thousandth
    kinds[70:74, 100:103] = 0
    kinds[40:48, 30:40] = 1
    scores = certain(kinds, 2), certain(halves(0, 1), 2)
    content, _ = shared_regions(*scores, painted(kinds), painted(halves(0, 1)), ("a", "b"))
    wanted = halves(0, 1, (100, 150))
    wanted[40:48, 30:40] = 1
    np.testing.assert_array_equal(region(content, "b"), wanted == 1)


def test_islands_between_two_regions_take_the_nearer_one():
    """Islands of a kind that has a region elsewhere: each pixel goes to the region beside it, whatever its scores."""
    kinds = halves(0, 1, (100, 150))
    wanted = kinds.copy()
    wanted[90:] = kinds[90:] = 2
    kinds[5:85:10, 72:78] = 2
    style = np.repeat(np.arange(3), 30)[:, None].repeat(50, 1)
    scores = certain(kinds, 3), certain(style, 3)
    content, _ = shared_regions(*scores, painted(kinds), painted(style), tuple("abc"))
    np.testing.assert_array_equal(content.masks.argmax(0).numpy(), wanted)


def test_nothing_but_islands_is_one_region():
    checks = np.indices((61, 60)).sum(0) % 2
    found = shared_regions(certain(checks, 2), certain(checks, 2), painted(checks), painted(checks), ("a", "b"))
    assert [len(labels.names) for labels in found] == [1, 1] and found[0].names == found[1].names
    mixed = np.where(checks == 1, 1, np.indices(checks.shape)[0] // 2 % 2 * 2)  # half of the pixels are of kind 1
    assert bool((_without_islands(torch.from_numpy(mixed)) == 1).all())


@pytest.mark.parametrize("size", [(300, 400), (600, 300), (60, 1400)])
def test_borders_follow_the_photos_edges(size):
    """Scores are soft and half a hundredth of the photo's length off; the photo tells where the border is."""
    width = size[1]
    kinds = np.zeros(size, int)
    kinds[:, width * 2 // 5 :] = 1
    photo = 0.9 * painted(kinds) + 0.1 * torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    off = 0.005 * max(size)
    scores = torch.stack([(width * 2 // 5 + off - torch.arange(width)).div(off).expand(size), torch.zeros(size)])
    style = certain(halves(0, 1), 2), painted(halves(0, 1))

    def wrong(guide: Tensor) -> float:
        """Pixels of a row that are of the wrong region."""
        content, _ = shared_regions(scores, style[0], guide, style[1], ("a", "b"))
        return float((region(content, "b") != (kinds == 1)).mean() * width)

    assert wrong(torch.full_like(photo, 0.5)) >= off - 0.5, "it is the photo that moves the border"
    assert wrong(photo) < 0.3 * off


def test_photos_larger_than_the_working_size_keep_their_own():
    kinds = halves(0, 1, (700, 1700))
    kinds[100:200, 100:240] = 1
    content, style = shared_regions(
        certain(kinds[::7, ::7], 2), certain(kinds[:600:6, ::6], 2), painted(kinds), painted(kinds), ("a", "b")
    )
    assert_shared(content, style, ("a", "b"), [kinds.shape] * 2)
    assert (region(content, "b") == (kinds == 1)).mean() > 0.998


# Whole runs


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> Path:
    """A folder as the Hub's: UperNet on ConvNeXt with few channels, trained to tell skies from mountains."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    stages = [f"stage{n}" for n in (1, 2, 3, 4)]
    backbone = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=stages)
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, auxiliary_in_channels=16, auxiliary_channels=8, num_labels=150
    )
    network = transformers.UperNetForSemanticSegmentation(config).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    photos = day(64, 96), dusk(64, 96)
    seen = torch.stack([normalised(photo.pixels) for photo in photos])
    truth = torch.stack([torch.tensor([SKY, MOUNTAIN])[torch.from_numpy(photo.labels)] for photo in photos])
    for _ in range(35):
        optimiser.zero_grad()
        network(seen, labels=truth).loss.backward()
        optimiser.step()
    network.eval().save_pretrained(folder)
    transformers.SegformerImageProcessor().save_pretrained(folder)
    return folder


def normalised(pixels: Tensor) -> Tensor:
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    return (pixels - mean) / deviation


def agreement(labels: RegionMasks, photo: Rendered) -> float:
    return float((labels.masks * photo.regions).sum() / photo.labels.size)


@pytest.fixture
def copied(network, tmp_path) -> Path:
    """The network's folder, to be spoiled."""
    return Path(shutil.copytree(network, tmp_path / "copied"))


def refused(model, kind: type = FileError, **options) -> str:
    with pytest.raises(kind) as caught:
        semantic_regions(day().pixels, dusk().pixels, model=str(model), **options)
    message = str(caught.value)
    assert "\n" not in message and str(model) in message
    return message


@pytest.mark.parametrize("size", [(96, 128), (144, 120)])
def test_a_network_finds_the_skies_of_both_photos(network, size):
    content, style = day(*size), dusk(size[0] + 13, size[1])
    found = semantic_regions(content.pixels, style.pixels, model=str(network), size=128)
    assert_shared(*found, KINDS, [content.labels.shape, style.labels.shape])
    assert found[0].names == ("sky", "mountains")
    assert [agreement(*both) > 0.9 for both in zip(found, (content, style), strict=True)] == [True, True]


def test_the_command_writes_what_a_network_finds(network, tmp_path):
    for name, photo in (("content", day(96, 128)), ("style", dusk(96, 80))):
        Image.fromarray(photo.array).save(tmp_path / f"{name}.png")
    words = [tmp_path / "content.png", tmp_path / "style.png", "--regions", "semantic", "--device", "cpu"]
    words += ["--segmentation-model", network, "-o", tmp_path / "out", "--quiet"]
    assert cli.main(["regions", *map(str, words)]) == 0
    names = json.loads((tmp_path / "out" / "names.json").read_text())
    assert names["blue"] == "sky" and len(names) > 1
    read = read_masks(tmp_path / "out" / "content_mask.png", (96, 128))
    assert (read.masks[read.names.index("blue")].bool().numpy() == (day(96, 128).labels == 0)).mean() > 0.9


def test_scores_are_summed_by_kind_of_what_the_network_makes_of_the_normalised_photo(network, copied):
    """Against transformers' own call, probabilities and sums over categories; kinds are close, so that sums matter."""
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSemanticSegmentation.from_pretrained(copied)
    with torch.no_grad():
        random = torch.Generator().manual_seed(5)
        weight = model.decode_head.classifier.weight
        weight.copy_(0.3 * weight + 0.12 * torch.randn(weight.shape, generator=random))
        model.decode_head.classifier.bias.zero_()
    model.eval().save_pretrained(copied)
    photos, scores, single = (day(96, 192).pixels, dusk(64, 64).pixels), [], []
    for photo, sides in zip(photos, ((96, 192), (128, 128)), strict=True):  # about 128 x 128, of multiples of 32
        seen = F.interpolate(photo[None], sides, mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            probabilities = model(normalised(seen)).logits[0].double().softmax(0)
        sums = [
            sum(probabilities[n] for n, category in enumerate(CATEGORIES) if category in merged)
            for merged in KINDS.values()
        ]
        scores.append(torch.stack(sums).log().float())
        single.append([probabilities[[CATEGORIES.index(c) for c in merged]].amax(0) for merged in KINDS.values()])
    wanted = shared_regions(*scores, *photos, tuple(KINDS))
    found = semantic_regions(*photos, model=str(copied), size=128)
    assert found[0].names == wanted[0].names and len(found[0].names) > 1
    for mine, theirs in zip(found, wanted, strict=True):
        assert (mine.masks != theirs.masks).float().mean() < 1e-3
    best = shared_regions(*(torch.stack(s).log().float() for s in single), *photos, tuple(KINDS))
    assert best[0].names != wanted[0].names or (best[0].masks != wanted[0].masks).float().mean() > 0.02


def test_the_same_call_gives_the_same_bits_and_leaves_everything_as_it_was(network, capfd):
    transformers = pytest.importorskip("transformers")
    from huggingface_hub.utils import are_progress_bars_disabled

    photos = day(48, 64).pixels, dusk(56, 48).pixels
    before = [photo.clone() for photo in photos]
    transformers.utils.logging.enable_progress_bar()
    settings = (
        logging.getLogger("transformers").level,
        transformers.utils.logging.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
        torch.get_rng_state().tolist(),
    )
    first = semantic_regions(*photos, model=str(network), size=96)
    with torch.inference_mode():
        second = semantic_regions(*photos, model=str(network), size=96)
    assert settings == (
        logging.getLogger("transformers").level,
        transformers.utils.logging.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
        torch.get_rng_state().tolist(),
    )
    assert all(torch.equal(a.masks, b.masks) and a.names == b.names for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(photos, before, strict=True))
    assert capfd.readouterr() == ("", "")


def test_size_decides_what_the_network_sees(network):
    photos = day(96, 128), dusk(96, 128)
    coarse, fine = (
        semantic_regions(photos[0].pixels, photos[1].pixels, model=str(network), size=size)[0] for size in (32, 128)
    )
    assert fine.names != coarse.names or not torch.equal(fine.masks, coarse.masks)
    for size in (16, 0, True, 64.0, None):
        with pytest.raises(InputError, match="^size: must be a whole number of 32 pixels or more, got"):
            semantic_regions(photos[0].pixels, photos[1].pixels, model=str(network), size=size)


def test_a_network_of_one_input_size_gets_that(tmp_path):
    """BEiT has learned a place for each patch; its scores are of a quarter of the size."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.BeitConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, intermediate_size=24, image_size=64, patch_size=16,
        out_indices=[1, 2, 3, 4], num_labels=150, pool_scales=[1, 2], use_relative_position_bias=True,
        use_auxiliary_head=False, layer_scale_init_value=0.1, initializer_range=0.5,
    )  # fmt: skip
    network = transformers.BeitForSemanticSegmentation(config).eval()
    network.save_pretrained(tmp_path)
    transformers.BeitImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    photos = day(48, 90).pixels, dusk(56, 48).pixels
    scores = []
    for photo in photos:
        seen = F.interpolate(photo[None], (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            logits = network((seen - 0.5) / 0.5).logits[0]
        scores.append(torch.stack([logits[[CATEGORIES.index(c) for c in of]].logsumexp(0) for of in KINDS.values()]))
    wanted = shared_regions(*scores, *photos, tuple(KINDS))
    for mine, theirs in zip(semantic_regions(*photos, model=str(tmp_path)), wanted, strict=True):
        assert mine.names == theirs.names and len(mine.names) > 1
        assert (mine.masks != theirs.masks).float().mean() < 1e-3


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one model's files as the Hub does, and notes what it is asked for."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.asked.append(self.path.partition("?")[0])
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        path, _, name = self.path.partition("?")[0].rpartition("/")
        if (path, name) == ("/api/models/someone", "something"):
            files = [{"rfilename": file.name} for file in self.folder.iterdir()]
            body = json.dumps({"id": "someone/something", "sha": "a" * 40, "siblings": files}).encode()
        elif path == "/someone/something/resolve/main" and (self.folder / name).is_file():
            body = (self.folder / name).read_bytes()
        else:
            self.send_response(404)
            self.end_headers()
            return b""
        self.send_response(200)
        for header in (("Content-Length", str(len(body))), ("X-Repo-Commit", "a" * 40), ("ETag", f'"{name}"')):
            self.send_header(*header)
        self.end_headers()
        return body

    def log_message(self, *_) -> None:
        pass


def test_a_model_of_the_hub_is_downloaded_once_and_in_silence(copied, tmp_path, monkeypatch, capfd):
    """One with weights of the old format only."""
    from safetensors.torch import load_file

    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    (copied / "README.md").write_text("not needed")
    handler = type("Model", (Hub,), {"folder": copied, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        for module in ("constants", "file_download"):  # which has it of its own, in versions before 1.0
            monkeypatch.setattr(f"huggingface_hub.{module}.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        photos = day(96, 128).pixels, dusk(96, 128).pixels
        for _ in range(2):
            assert semantic_regions(*photos, model="someone/something", size=128)[0].names == ("sky", "mountains")
        message = refused("someone/else")
        server.shutdown()
    assert "neither a folder nor in the cache, and not downloaded (" in message
    assert "put config.json, preprocessor_config.json and model.safetensors or pytorch_model.bin of" in message
    assert [path for path in handler.asked if "someone" in path] == [
        "/api/models/someone/something",
        *(f"/someone/something/resolve/main/{name}" for name in ("config.json", "preprocessor_config.json")),
        "/someone/something/resolve/main/pytorch_model.bin",
        "/api/models/someone/else",
    ]
    assert capfd.readouterr() == ("", "")


# What cannot be used


def test_without_transformers_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"^semantic regions need transformers: pip install fastphoto\[segment\]$"):
        semantic_regions(day().pixels, dusk().pixels)


def test_a_folder_that_is_none(tmp_path):
    pytest.importorskip("transformers")
    assert "no such folder" in refused(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "no config.json in the folder" in refused(tmp_path / "empty")


def test_files_that_are_missing_or_broken(copied):
    (copied / "preprocessor_config.json").rename(copied / "kept.json")
    assert "no preprocessor_config.json in the folder" in refused(copied)
    (copied / "preprocessor_config.json").write_text("{")
    assert "can load" in refused(copied)
    (copied / "kept.json").rename(copied / "preprocessor_config.json")
    weights = (copied / "model.safetensors").read_bytes()
    for spoiled in (weights[: len(weights) // 2], b"", b"<html>", None):
        if spoiled is None:
            (copied / "model.safetensors").unlink()
        else:
            (copied / "model.safetensors").write_bytes(spoiled)
        assert "not a network for semantic segmentation that transformers can load" in refused(copied)
    for config in ("{", "[]", '{"model_type": "nothing"}', "{}"):
        (copied / "config.json").write_text(config)
        assert "config.json cannot be read" in refused(copied)


def test_weights_that_run_code_are_not_run(copied):
    class Trap:
        def __reduce__(self):
            return open, (str(copied / "sprung"), "w")

    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps({"decode_head.classifier.bias": Trap()}))
    refused(copied)
    torch.save({"decode_head.classifier.bias": Trap()}, copied / "pytorch_model.bin")
    refused(copied)
    assert not (copied / "sprung").exists()


def test_code_of_a_model_is_not_run(copied):
    (copied / "own.py").write_text(f"open({str(copied / 'sprung')!r}, 'w')\nclass Own: pass\n")
    config = json.loads((copied / "config.json").read_text())
    mapped = {"AutoConfig": "own.Own", "AutoModelForSemanticSegmentation": "own.Own"}
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": mapped}))
    assert "config.json cannot be read" in refused(copied)
    (copied / "config.json").write_text(json.dumps(config | {"auto_map": mapped}))
    found = semantic_regions(day(96, 128).pixels, dusk(96, 128).pixels, model=str(copied), size=128)
    assert found[0].names == ("sky", "mountains")
    assert not (copied / "sprung").exists()


def test_models_for_something_else(copied, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = json.loads((copied / "config.json").read_text())
    labels = {n: f"breed {n}" for n in range(150)}
    (copied / "config.json").write_text(json.dumps(config | {"id2label": labels, "label2id": {}}))
    assert "ADE20K" in refused(copied, InputError)
    backbone = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    classifier = transformers.ConvNextForImageClassification(transformers.ConvNextConfig(num_labels=150, **backbone))
    classifier.save_pretrained(tmp_path / "classifier")
    transformers.SegformerImageProcessor().save_pretrained(tmp_path / "classifier")
    assert "not a network for semantic segmentation" in refused(tmp_path / "classifier")


def test_weights_that_lack_or_spoil_a_layer(copied):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copied / "model.safetensors")
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("decode_head.classifier")}
    save_file(without, copied / "model.safetensors", {"format": "pt"})
    assert "lack decode_head.classifier.bias and 1 more" in refused(copied)
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("auxiliary_head")}
    save_file(without, copied / "model.safetensors", {"format": "pt"})
    semantic_regions(day().pixels, dusk().pixels, model=str(copied), size=64)
    spoiled = tensors | {"decode_head.classifier.bias": torch.full((150,), math.nan)}
    save_file(spoiled, copied / "model.safetensors", {"format": "pt"})
    assert "NaN" in refused(copied, size=64)
