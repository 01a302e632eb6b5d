"""Semantic networks of transformers: their scores, loading from a folder or the Hub, and models that are refused."""

from __future__ import annotations

import http.server
import json
import logging
import math
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import FileError, InputError
from fastphoto.regions.ade20k import CATEGORIES, KINDS
from fastphoto.regions.segmentation_model import score_kinds
from fastphoto.regions.semantic import semantic_regions

PHOTOS = day(96, 128).pixels, dusk(96, 128).pixels


def normalised(pixels: Tensor) -> Tensor:
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    return (pixels - mean) / deviation


def resized(photo: Tensor, sides: tuple[int, int]) -> Tensor:
    """(1, 3, h, w), as a network gets it."""
    return F.interpolate(photo[None], sides, mode="bicubic", antialias=True).clamp(0, 1)


def categories_of(kind: str) -> list[int]:
    return [CATEGORIES.index(category) for category in KINDS[kind]]


def score(model: Path | str, size: int = 128, photos: tuple[Tensor, ...] = PHOTOS) -> list[Tensor]:
    kinds, scores = score_kinds(photos, str(model), "cpu", size)
    assert kinds == tuple(KINDS)
    return scores


def refused(model: Path | str, kind: type[Exception] = FileError, size: int = 64) -> str:
    with pytest.raises(kind) as caught:
        score(model, size)
    message = str(caught.value)
    assert "\n" not in message and str(model) in message
    return message


# Scores


def test_scores_are_log_sums_over_the_categories_of_a_kind(network):
    """The reference is transformers' own call on the normalised photo."""
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSemanticSegmentation.from_pretrained(network).eval()
    photos = day(96, 192).pixels, dusk(64, 64).pixels
    sides = (96, 192), (128, 128)  # about 128 x 128, multiples of 32
    for photo, size, scores in zip(photos, sides, score(network, photos=photos), strict=True):
        with torch.no_grad():
            sums = model(normalised(resized(photo, size))).logits[0].double().exp()
        expected = torch.stack([sums[categories_of(kind)].sum(0) for kind in KINDS]).log().float()
        torch.testing.assert_close(scores, expected, atol=2e-3, rtol=0)


def test_a_network_of_one_input_size_gets_that(tmp_path):
    """BEiT has learned a position for each patch; its scores have a quarter of the size."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.BeitConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, intermediate_size=24, image_size=64, patch_size=16,
        out_indices=[1, 2, 3, 4], num_labels=150, pool_scales=[1, 2], use_relative_position_bias=True,
        use_auxiliary_head=False, layer_scale_init_value=0.1, initializer_range=0.5,
    )  # fmt: skip
    model = transformers.BeitForSemanticSegmentation(config).eval()
    model.save_pretrained(tmp_path)
    transformers.BeitImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    photos = day(48, 90).pixels, dusk(56, 48).pixels
    for photo, scores in zip(photos, score(tmp_path, photos=photos), strict=True):
        with torch.no_grad():
            pixels = (resized(photo, (64, 64)) - 0.5) / 0.5
            single, exact = model.float()(pixels).logits[0], model.double()(pixels.double()).logits[0]
        expected = torch.stack([exact[categories_of(kind)].logsumexp(0) for kind in KINDS]).float()
        # The network's weights are large, so that it amplifies the rounding of float32, here by as much as there.
        rounding = float((single - exact).abs().max())
        assert rounding < 0.05, "the example says nothing"
        torch.testing.assert_close(scores, expected, atol=8 * rounding, rtol=0)


@pytest.mark.parametrize("size", [16, 0, True, 64.0, None])
def test_unusable_sizes_are_refused(size):
    with pytest.raises(InputError, match="^size: must be a whole number of 32 pixels or more, got"):
        semantic_regions(*PHOTOS, model="any/model", size=size)


# What a call leaves as it was


def library_settings() -> list[object]:
    transformers = pytest.importorskip("transformers")
    from huggingface_hub.utils import are_progress_bars_disabled

    return [
        logging.getLogger("transformers").level,
        transformers.utils.logging.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
        torch.get_rng_state().tolist(),
    ]


def test_calls_are_silent_and_restore_the_libraries_settings(network, capfd):
    pytest.importorskip("transformers").utils.logging.enable_progress_bar()
    before = library_settings()
    score(network, 96)
    assert library_settings() == before
    assert capfd.readouterr() == ("", "")


def test_the_same_call_gives_the_same_bits_also_under_inference_mode(network):
    first = semantic_regions(*PHOTOS, model=str(network), size=96)
    with torch.inference_mode():
        second = semantic_regions(*PHOTOS, model=str(network), size=96)
    assert all(torch.equal(a.masks, b.masks) and a.names == b.names for a, b in zip(first, second, strict=True))


def test_photos_are_only_read(network):
    before = [photo.clone() for photo in PHOTOS]
    score(network, 96)
    assert all(torch.equal(a, b) for a, b in zip(PHOTOS, before, strict=True)), "a photo changed although only read"


# The Hub


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one model's files as the Hub does, and records the requests."""

    folder: Path
    requests: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.requests.append(self.path.partition("?")[0])
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

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(copied, tmp_path, monkeypatch):
    """A Hub that has the model someone/something, with weights of the old format only, and an empty cache."""
    from safetensors.torch import load_file

    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    (copied / "README.md").write_text("not needed")
    handler = type("Model", (Hub,), {"folder": copied, "requests": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        for module in ("constants", "file_download"):  # the latter has its own before version 1.0
            monkeypatch.setattr(f"huggingface_hub.{module}.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield handler
        server.shutdown()


def test_a_model_of_the_hub_is_downloaded_once_and_in_silence(hub, capfd):
    for _ in range(2):
        regions = semantic_regions(*PHOTOS, model="someone/something", size=128)[0]
        assert regions.names == ("sky", "mountains")
    assert [path for path in hub.requests if "someone" in path] == [
        "/api/models/someone/something",
        *(f"/someone/something/resolve/main/{name}" for name in ("config.json", "preprocessor_config.json")),
        "/someone/something/resolve/main/pytorch_model.bin",
    ]
    assert capfd.readouterr() == ("", "")


def test_a_model_that_the_hub_lacks_says_what_to_download(hub, capfd):
    message = refused("someone/else")
    assert "neither a folder nor in the cache, and not downloaded (" in message
    files = "config.json, preprocessor_config.json and model.safetensors or pytorch_model.bin"
    assert f"download {files} from https://huggingface.co/someone/else, put them in a folder" in message
    assert [path for path in hub.requests if "someone" in path] == ["/api/models/someone/else"]
    assert capfd.readouterr() == ("", "")


def test_a_model_of_the_hub_without_all_files_is_refused(hub):
    (hub.folder / "preprocessor_config.json").unlink()
    assert "is missing some of config.json, preprocessor_config.json and " in refused("someone/something")


# Files that cannot be used


def test_a_missing_transformers_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"^semantic regions need transformers: pip install fastphoto\[segment\]$"):
        semantic_regions(*PHOTOS)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    pytest.importorskip("transformers")
    assert "no such folder" in refused(tmp_path / "missing")


def test_an_empty_folder_is_refused(tmp_path):
    pytest.importorskip("transformers")
    assert "no config.json in the folder" in refused(tmp_path)


def test_a_missing_or_broken_processor_is_refused(copied):
    (copied / "preprocessor_config.json").unlink()
    assert "no preprocessor_config.json in the folder" in refused(copied)
    (copied / "preprocessor_config.json").write_text("{")
    assert "can load" in refused(copied)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), id="truncated"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"<html>"), id="web page"),
        pytest.param(Path.unlink, id="missing"),
    ],
)
def test_broken_weights_are_refused(spoil, copied):
    spoil(copied / "model.safetensors")
    assert "not a network for semantic segmentation that transformers can load" in refused(copied)


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "nothing"}', "{}"])
def test_a_broken_configuration_is_refused(text, copied):
    (copied / "config.json").write_text(text)
    assert "config.json cannot be read" in refused(copied)


def test_labels_of_other_data_are_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    labels = {number: f"breed {number}" for number in range(150)}
    (copied / "config.json").write_text(json.dumps(config | {"id2label": labels, "label2id": {}}))
    assert "ADE20K" in refused(copied, InputError)


def test_a_classifier_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ConvNextConfig(num_labels=150, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
    transformers.ConvNextForImageClassification(config).save_pretrained(tmp_path)
    transformers.SegformerImageProcessor().save_pretrained(tmp_path)
    assert "not a network for semantic segmentation" in refused(tmp_path)


def change_weights(folder: Path, lack: str = "", **changed: Tensor) -> None:
    from safetensors.torch import load_file, save_file

    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if not lack or not name.startswith(lack)}
    save_file(tensors | changed, folder / "model.safetensors", {"format": "pt"})


def test_weights_that_lack_a_layer_are_refused(copied):
    change_weights(copied, lack="decode_head.classifier")
    assert "lack decode_head.classifier.bias and 1 more" in refused(copied)


def test_the_auxiliary_head_is_not_needed(copied):
    change_weights(copied, lack="auxiliary_head")
    score(copied, 64)


def test_weights_of_nan_are_refused(copied):
    change_weights(copied, **{"decode_head.classifier.bias": torch.full((150,), math.nan)})
    assert "NaN" in refused(copied)


# Code in files


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda content, path: path.write_bytes(pickle.dumps(content)), id="pickle"),
        pytest.param(torch.save, id="torch"),
    ],
)
def test_weights_that_run_code_are_refused_unrun(save, copied):
    class Trap:
        def __reduce__(self):
            return open, (str(copied / "sprung"), "w")

    (copied / "model.safetensors").unlink()
    save({"decode_head.classifier.bias": Trap()}, copied / "pytorch_model.bin")
    refused(copied)
    assert not (copied / "sprung").exists(), "code of the weights ran"


def with_own_code(folder: Path, **changes: object) -> None:
    (folder / "own.py").write_text(f"open({str(folder / 'sprung')!r}, 'w')\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    mapped = {"AutoConfig": "own.Own", "AutoModelForSemanticSegmentation": "own.Own"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": mapped} | changes))


def test_a_model_that_needs_its_own_code_is_refused(copied):
    with_own_code(copied, model_type="own")
    assert "config.json cannot be read" in refused(copied)
    assert not (copied / "sprung").exists(), "code of the model ran"


def test_a_model_that_brings_code_runs_without_it(copied):
    with_own_code(copied)
    assert semantic_regions(*PHOTOS, model=str(copied), size=128)[0].names == ("sky", "mountains")
    assert not (copied / "sprung").exists(), "code of the model ran"
