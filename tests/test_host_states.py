"""The state of the program that calls changes no result, and a call leaves it as it was."""

from __future__ import annotations

import ast
import functools
import inspect
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from host_states import OTHER_ARITHMETIC, STATES
from PIL import Image, ImageFile
from rendered_photos import day, dusk
from torch import Tensor

import fastphoto
from fastphoto.regions.scenes import scene_regions

CONTENT, STYLE = day(20, 24), dusk(24, 20)
SHORT: dict[str, Any] = {"size": 24, "scales": 1.0, "steps": 2}
MASKED = (CONTENT.pixels, STYLE.pixels, CONTENT.mask_picture, STYLE.mask_picture)


def made_pair() -> fastphoto.PhotoPair:
    content, style = fastphoto.read_photo(CONTENT.pixels), fastphoto.read_photo(STYLE.pixels)
    return fastphoto.prepare_pair(content, style, CONTENT.mask_picture, STYLE.mask_picture, 24)


def applied(name: str) -> Tensor:
    method = fastphoto.METHODS[name]
    if method.preset is not None:
        method = replace(method, settings={"scales": 1.0, "steps": 2})
    return fastphoto.apply_method(method, made_pair())


def written_and_read(folder: Path) -> list[Any]:
    path = folder / "written.png"
    fastphoto.write_photo(path, fastphoto.read_photo(CONTENT.array), 0.9 * CONTENT.pixels)
    return [path.read_bytes(), fastphoto.read_photo(path).pixels]


def transferred_file(folder: Path) -> np.ndarray:
    Image.fromarray(CONTENT.array).save(folder / "content.jpg")
    return np.asarray(fastphoto.transfer(folder / "content.jpg", STYLE.array, **SHORT))


def grown() -> Tensor:
    strokes = CONTENT.masks.clone()
    strokes[:, :, ::2] = 0
    return fastphoto.grow_scribbles(CONTENT.pixels, strokes).masks


def measured() -> list[float]:
    scored = fastphoto.evaluate(CONTENT.pixels, STYLE.pixels, {"mirrored": CONTENT.pixels.flip(2)})
    return list(asdict(scored["mirrored"].measures).values())


def transferred_frames(folder: Path) -> list[Any]:
    pytest.importorskip("cv2", reason="moving pictures need OpenCV, fastphoto[video]")
    source, results = folder / "frames", folder / "results"
    source.mkdir(exist_ok=True)
    for number in range(2):
        Image.fromarray(np.roll(CONTENT.array, number, 1)).save(source / f"{number}.png")
    fastphoto.transfer_video(source, STYLE.array, results, interval=1, **SHORT)
    return [(results / f"{number}.png").read_bytes() for number in range(2)]


def compared() -> list[Any]:
    comparison = fastphoto.compare(*MASKED, methods=["reinhard"], size=24)
    return [
        [result.pixels, list(asdict(result.evaluation.measures).values())] for result in comparison.results.values()
    ]


CALLS: dict[str, Callable[[Path], Any]] = {
    "write_photo, read_photo": written_and_read,
    "read_masks": lambda _: fastphoto.read_masks(CONTENT.mask_picture, (20, 24)).masks,
    "prepare_pair": lambda _: [made_pair().content, made_pair().style, made_pair().content_masks],
    "load_encoder": lambda _: list(fastphoto.load_encoder("embedded").state_dict().values()),
    "transfer of a file": transferred_file,
    "transfer of regions": lambda _: fastphoto.transfer(*MASKED, **SHORT),
    "Session": lambda _: fastphoto.Session(STYLE.pixels, **SHORT)(CONTENT.pixels),
    "transfer_video": transferred_frames,
    "invert": lambda _: fastphoto.invert(CONTENT.pixels, size=24, steps=2),
    "find_regions": lambda _: [found.masks for found in fastphoto.find_regions(CONTENT.pixels, STYLE.pixels)],
    "scene_regions": lambda _: scene_regions(made_pair()).content_masks,
    "grow_scribbles": lambda _: grown(),
    "region_unlikeness": lambda _: fastphoto.region_unlikeness(*MASKED[:2], CONTENT.masks, STYLE.masks),
    "evaluate": lambda _: measured(),
    "compare": lambda _: compared(),
    "painterly": lambda _: fastphoto.transfer(*MASKED, preset="painterly", **SHORT),
    **{name: lambda _, name=name: applied(name) for name in fastphoto.METHODS},
}


def values(result: Any) -> list[Tensor]:
    """The numbers of a result, as tensors of their own types."""
    if isinstance(result, list):
        return [each for part in result for each in values(part)]
    if isinstance(result, bytes):
        result = np.frombuffer(result, np.uint8)
    return [result if isinstance(result, Tensor) else torch.from_numpy(np.array(result))]


@functools.cache
def undisturbed(call: str, folder: Path) -> list[Tensor]:
    return values(CALLS[call](folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", STATES)
def test_a_result_does_not_depend_on_the_state_of_the_host(state, call, folder):
    expected = undisturbed(call, folder)
    with STATES[state]():
        result = CALLS[call](folder)
    # Sums in another order differ in the last of seven digits, which a few steps amplify a little.
    tolerance = 1e-4 if state in OTHER_ARITHMETIC else 0
    for one, other in zip(values(result), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def cut_short(folder: Path) -> Path:
    """A JPEG file without its last third."""
    path = folder / "cut.jpg"
    Image.fromarray(day(200, 240).array).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: 2 * len(data) // 3])
    return path


def test_a_file_that_is_cut_short_is_refused_whatever_pillow_is_told(tmp_path, monkeypatch):
    cut = cut_short(tmp_path)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for source in (cut, Image.open(cut)):
        with pytest.raises(fastphoto.FileError):
            fastphoto.read_photo(source)
    with Image.open(cut) as hosts:
        hosts.load()  # the host's own pictures still load


def test_other_threads_load_cut_short_pictures_during_a_call(tmp_path, monkeypatch):
    cut = cut_short(tmp_path)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    def load_as_the_host() -> None:
        for _ in range(50):
            with Image.open(cut) as image:
                image.load()

    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load_as_the_host) for _ in range(2)]
        for _ in range(50):
            with pytest.raises(fastphoto.FileError):
                fastphoto.read_photo(cut)
        for load in loads:
            load.result()
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.usefixtures("one_thread")
def test_transfers_at_once_give_the_bits_of_one_alone():
    alone = [fastphoto.transfer(*MASKED, preset=preset, **SHORT) for preset in ("fast", "painterly", "gatys")]
    with ThreadPoolExecutor(6) as pool:
        options = [{"preset": preset, **SHORT} for preset in ("fast", "painterly", "gatys")] * 3
        together = list(pool.map(lambda each: fastphoto.transfer(*MASKED, **each), options))
    assert all(torch.equal(one, other) for one, other in zip(together, alone * 3, strict=True))


def test_calls_at_once_restore_the_precision_that_the_host_chose():
    torch.set_float32_matmul_precision("medium")
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda _: measured(), range(12)):
                pass
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_transform_of_torch_func_is_refused():
    photos = torch.stack([CONTENT.pixels, CONTENT.pixels])
    with pytest.raises(fastphoto.InputError, match=r"transfer: .*torch\.func.*call it outside"):
        torch.func.vmap(lambda photo: fastphoto.transfer(photo, STYLE.pixels, **SHORT))(photos)


@pytest.mark.usefixtures("one_thread")
def test_a_compiled_function_calls_without_compiling_fastphoto():
    options = {**SHORT, "regions": "none"}
    compiled = torch.compile(lambda photo: fastphoto.transfer(photo * 1, STYLE.pixels, **options) * 1, backend="eager")
    assert torch.equal(compiled(CONTENT.pixels), fastphoto.transfer(CONTENT.pixels, STYLE.pixels, **options))


def test_every_public_function_runs_apart_from_its_host():
    needless = {"demo_pairs", "keep_freed_memory", "preset_settings"}  # they compute nothing
    inner = {"invert", "transfer_many"}  # they call transfer and Session
    functions = {name for name in fastphoto.__all__ if inspect.isfunction(getattr(fastphoto, name))}
    apart = {name for name in functions if hasattr(getattr(fastphoto, name), "__wrapped__")}
    assert functions - apart == needless | inner


def test_new_tensors_name_their_dtype():
    makers = {"zeros", "ones", "full", "empty", "eye", "linspace", "rand", "randn", "tensor"}
    unnamed = [
        f"{path.name}:{call.lineno}"
        for path in Path(fastphoto.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr) in {("torch", maker) for maker in makers}
        and "dtype" not in {keyword.arg for keyword in call.keywords}
    ]
    assert not unnamed, "without dtype=, the default dtype of the host decides"


def test_only_processes_of_its_own_change_the_filters_of_warnings():
    package = Path(fastphoto.__file__).parent
    changing = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(
            name in path.read_text(encoding="utf-8") for name in ("catch_warnings", "simplefilter", "filterwarnings")
        )
    }
    # The page's server computes on one thread.
    assert changing == {"cli/messages.py", "batch/photo_job.py", "ui/tab.py"}, (
        "filters belong to all threads; two at once can leave them changed"
    )


def test_what_is_imported_in_a_strange_state_works_later():
    script = """
import torch
torch.set_default_dtype(torch.float16)
with torch.device("meta"), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
    import fastphoto
    from test_host_states import CALLS, folder, values
    first = CALLS["scene_regions"](None)  # loads the network, which stays
torch.set_default_dtype(torch.float32)
torch.set_num_threads(1)
print([float(value.double().sum()) for call in ("scene_regions", "compare") for value in values(CALLS[call](None))])
"""
    root = Path(__file__).parents[1]
    paths = f"import sys; sys.path[:0] = {[str(root), str(root / 'tests'), str(root / 'tests/support')]}\n"
    done = subprocess.run([sys.executable, "-c", paths + script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = [
        float(v.double().sum()) for call in ("scene_regions", "compare") for v in undisturbed_in_one_thread(call)
    ]
    assert done.stdout.strip() == str(expected)


def undisturbed_in_one_thread(call: str) -> list[Tensor]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return values(CALLS[call](Path()))
    finally:
        torch.set_num_threads(before)


def test_operators_take_the_activations_of_autocast():
    layer = torch.nn.Conv2d(3, 8, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        activations = layer(CONTENT.pixels[None])[0]
        gram = fastphoto.ops.masked_gram(activations, fastphoto.ops.list_pixels(CONTENT.masks))
        gram.sum().backward()
    assert activations.dtype == torch.bfloat16 and gram.dtype == torch.float32
    assert torch.equal(gram, fastphoto.ops.masked_gram(activations.float(), fastphoto.ops.list_pixels(CONTENT.masks)))
    assert layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0
