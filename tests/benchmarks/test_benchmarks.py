"""The benchmarks: what fastphoto is measured against has the same losses, and the commands that measure run through."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from locations import ROOT
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.ops import reference
from fastphoto.pipeline import _Run

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture(autouse=True)
def one_thread():
    """Images are tiny here: more threads would wait for one another, for long where cores are busy otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


# ---- the losses of the baselines ---------------------------------------------------------------------------


def small_pair() -> dict:
    """Two hard regions, and a third in the content that is too small for the deep layers."""
    content, style = day(), dusk()
    masks = []
    for photo, side in ((content, 6), (style, 20)):
        regions = torch.cat([photo.regions, torch.zeros_like(photo.regions[:1])])
        regions[:, -side:, -side:] = 0
        regions[2, -side:, -side:] = 1
        masks.append({str(number): mask.numpy() for number, mask in enumerate(regions)})
    return {"content": content.pixels, "style": style.pixels, "content_mask": masks[0], "style_mask": masks[1]}


def problem(normalisation: str, caffe: bool = True):
    """caffe: whether the encoder takes photos as the paper's does, for whose scale the published weights are."""
    from plain_ops import random_weights
    from transfers import problem_of

    weights = random_weights("vgg19-16x")
    if not caffe:
        weights = replace(weights, normalise=tuple(part / 100 for part in weights.normalise))
    return problem_of(small_pair(), normalisation, weights)


def image_of(posed) -> Tensor:
    """Neither content nor start, and in places out of gamut."""
    noise = torch.randn(posed.start.shape, generator=torch.Generator().manual_seed(0))
    return (posed.content + posed.start) / 2 + 0.1 * noise


@pytest.mark.parametrize(("normalisation", "caffe"), [("relative", True), ("published", True), ("published", False)])
def test_baselines_have_the_losses_of_a_transfer(normalisation, caffe):
    from baselines import Engineered, Published

    posed = problem(normalisation, caffe)
    encoder = Encoder(posed.weights)
    run = _Run(posed.settings, encoder, posed.content, posed.style, posed.content_masks, posed.style_masks, 0, None)
    x = image_of(posed)
    total, gradient, parts = run._objective("photorealism", posed.content, posed.start).value_and_gradient(x)
    assert {"content", "style", "photorealism"} < set(parts)
    names = ("content_masks", "style_masks")
    nine = replace(posed, **{name: F.pad(getattr(posed, name), (0, 0, 0, 0, 0, 6)) for name in names})
    for baseline in (Published(posed), Published(nine), Engineered(posed)):
        found = baseline.parts(x)
        for name in set(parts) | set(found):
            assert float(found[name]) == pytest.approx(float(parts[name]), rel=1e-4), name
        value, slope = baseline.value_and_gradient(x)
        assert float(value) == pytest.approx(float(total), rel=1e-4)
        assert relative(slope, gradient) < 1e-4
    left_out = Engineered(posed)
    assert left_out.value(x) == pytest.approx(float(total), rel=1e-4)
    assert len(left_out.losses.style["relu1_1"].masks) == 3
    assert len(left_out.losses.style["relu5_1"].masks) == 2, "the third region has no pixel there"


def test_baselines_cope_without_a_region():
    """In tiny images no region is present in the deepest layers."""
    from baselines import Engineered, Published

    posed = problem("relative")
    tiny = replace(posed, content_masks=posed.content_masks[2:], style_masks=posed.style_masks[2:])
    x = image_of(posed)
    (value, gradient), (wanted, slope) = (kind(tiny).value_and_gradient(x) for kind in (Engineered, Published))
    assert float(value) == pytest.approx(float(wanted), rel=1e-4) and relative(gradient, slope) < 1e-4


def test_every_baseline_lowers_the_loss():
    from baselines import Engineered, Published, coarse_to_fine

    posed = problem("relative")
    engineered = Engineered(posed)
    at_content, at_start = engineered.value(posed.content), engineered.value(posed.start)
    assert engineered.value(engineered.run(8)) < 0.9 * at_content
    assert engineered.value(engineered.run_lbfgs(8)) < 0.99 * at_content
    assert engineered.value(coarse_to_fine(posed, (0.5, 1.0), (6, 6), 0.001)) < 0.9 * at_start
    published = problem("published")
    judge = Engineered(published)
    assert judge.value(Published(published).descend(published.content, 8)) < 0.99 * judge.value(published.content)


# ---- the peers of the operators ----------------------------------------------------------------------------


def dense_laplacian(image: Tensor) -> Tensor:
    height, width, _ = image.shape
    unit = torch.eye(height * width, dtype=image.dtype)
    return reference.matting_laplacian(image, unit.view(height, width, -1), 1e-4).reshape(height * width, -1)


@pytest.fixture
def small(photo):
    """(9, 11, 3) float64."""
    return photo[8:17, 10:21].double()


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_sparse_matrices_are_the_matting_laplacian(small, index):
    from plain_ops import csr_tensor, sparse_matrix

    wanted, stencil = dense_laplacian(small), reference.matting_laplacian_stencil(small, 1e-4)
    found = csr_tensor(stencil, index)
    assert found.crow_indices().dtype == found.col_indices().dtype == index
    parts = found.crow_indices(), found.col_indices(), found.values()
    torch.sparse_csr_tensor(*parts, found.shape, check_invariants=True)  # columns ascend in each row
    assert relative(found.to_dense(), wanted) < 1e-12
    assert relative(torch.from_numpy(sparse_matrix(stencil.float()).toarray()).double(), wanted) < 1e-6


def test_quadratic_form_and_product_have_the_gradients_of_the_matrix(small):
    from plain_ops import QuadraticForm, SymmetricProduct, csr_tensor

    matrix = csr_tensor(reference.matting_laplacian_stencil(small, 1e-4))
    x = torch.rand(len(matrix), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    dense = dense_laplacian(small)
    wanted = (x * (dense @ x)).sum()
    (slope,) = torch.autograd.grad(3 * wanted, x)
    for form in (QuadraticForm.apply(matrix, x), (x * SymmetricProduct.apply(matrix, x)).sum()):
        assert float(form.detach()) == pytest.approx(float(wanted.detach()), rel=1e-10)
        assert relative(torch.autograd.grad(3 * form, x)[0], slope) < 1e-10


def test_gathered_gram_is_the_dense_one():
    from plain_ops import GatheredGram, dense_gram, gather_lists

    generator = torch.Generator().manual_seed(2)
    features = torch.randn(5, 7, 9, generator=generator, dtype=torch.float64).requires_grad_()
    masks = (2 * torch.rand(4, 7, 9, generator=generator, dtype=torch.float64) - 1).clamp_min(0)
    masks[2] = 0
    direction = torch.randn(4, 5, 5, generator=generator, dtype=torch.float64)
    for chosen in (masks, masks[:0]):
        wanted = dense_gram(features, chosen)
        found = GatheredGram.apply(features, *gather_lists(chosen, torch.float64))
        assert found.shape == wanted.shape == (len(chosen), 5, 5)
        torch.testing.assert_close(found, wanted)
        if len(chosen):
            torch.testing.assert_close(wanted, reference.masked_gram(features, chosen))
            slopes = [torch.autograd.grad(gram, features, direction)[0] for gram in (found, wanted)]
            torch.testing.assert_close(*slopes)


def test_every_contender_is_right_and_a_wrong_one_is_seen():
    import network_workloads
    import workloads
    from plain_ops import random_weights

    shapes = workloads.style_layers(20, 30, (3, 4, 5, 6, 7))
    weights = random_weights("vgg19-16x")
    every = [
        workloads.matting_laplacian(20, 24),
        workloads.building_the_stencil(20, 24),
        workloads.masked_gram(shapes, workloads.smooth_partition(3, shapes)),
        workloads.masked_gram(shapes[:1], [workloads.partition(3, 20, 30)], "planar"),
        network_workloads.encoder_pass(weights, ("relu1_1", "relu3_1"), 33, 30),
        network_workloads.convolution(17, (9, 13, 22)),
        network_workloads.evaluation(small_pair(), weights),
        *workloads.local_affine(20, 24).values(),
    ]
    for workload in every:
        for name, contender in workload.contenders.items():
            if name.startswith("pymatting") and importlib.util.find_spec("pymatting") is None:
                continue
            outputs = contender.prepare()()
            assert workload.error(outputs) <= workload.tolerance, (workload.title, name)
            for wrong in range(len(outputs)):
                changed = [1.02 * out if n == wrong else out for n, out in enumerate(outputs)]
                assert workload.error(changed) > workload.tolerance, (workload.title, name, wrong)
            assert contender.bytes > 0 and contender.flops > 0


# ---- the commands that measure -----------------------------------------------------------------------------


def dry_run_of(script: str, folder: Path) -> tuple[dict, str, str]:
    """What a dry run wrote, figures and table, and what it printed."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--dry-run", "-o", folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    (figures,), (table,) = folder.glob("*-dry-run.json"), folder.glob("*-dry-run.md")
    others = [path for path in folder.iterdir() if path not in (figures, table)]
    assert {path.suffix for path in others} <= {".svg"}, "nothing else is left there"
    return json.loads(figures.read_text(encoding="utf-8")), table.read_text(encoding="utf-8"), done.stdout


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory) -> tuple[dict, str, str]:
    """The command for a GPU."""
    return dry_run_of("gpu.py", tmp_path_factory.mktemp("results"))


def test_dry_run_goes_through_every_section(dry_run):
    import gpu

    results, table, printed = dry_run
    assert list(results["sections"]) == list(gpu.SECTIONS)
    assert not {name: section["error"] for name, section in results["sections"].items() if "error" in section}
    assert table in printed and "ERROR" not in table
    for name in ("setup.py", "pytest"):
        assert f"would run: {sys.executable} " in printed, name
    assert results["sections"]["image"]["same bits twice"] is True


def test_dry_run_has_a_figure_for_every_target_and_says_it_is_none(dry_run):
    from gpu_report import targets
    from targets import UNKNOWN

    results, table, _ = dry_run
    assert "A dry run on a CPU" in table
    rows = list(targets(results["sections"]))
    on_a_gpu_only = [row.what for row in rows if row.measured == UNKNOWN]
    assert all(what.startswith(("tests on the GPU", "compute-sanitizer")) for what in on_a_gpu_only)
    for row in rows:
        mark = "" if row.what in on_a_gpu_only else " (dry run)"
        assert f"| {row.what} | {row.wanted} | {row.measured}{mark} |\n" in table
    assert "missed" not in table


def test_report_says_what_was_missed_and_what_failed():
    from gpu_report import report

    sections = {
        "ceilings": {"copy": {"ms": 1.0, "GB/s": 100.0}},
        "laplacian": {
            "12 MP": {
                "stencil_energy": {"ms": 1.0, "GB/s": 80.0},
                "csr_int32_rows_energy": {"ms": 4.0},
                "csr_int32_columns_energy": {"ms": 2.0},
            },
            "error": "Traceback:\nRuntimeError: no memory",
        },
        "sanitizer": {"memcheck": {"clean": False}},
    }
    about = {"machine": {}, "commit": "", "dirty": False, "date": "", "dry_run": False}
    table = report(about | {"sections": sections})
    assert "CSR float32 int32 / ours | ≥ 3x | 2x (missed) |" in table
    assert "CSR float32 int64 / ours | ≥ 4.5x | not measured |" in table
    assert "| ≥ 70 % | 80 % |" in table
    assert "| compute-sanitizer memcheck | clean | not clean (missed) |" in table
    assert "| laplacian |  | ERROR: RuntimeError: no memory |" in table


def test_a_section_that_fails_is_recorded_and_the_next_one_runs(tmp_path, monkeypatch):
    import sections

    (tmp_path / "some_sections.py").write_text(
        "def build(found, sizes):\n    found['begun'] = True\n    raise SystemExit('no compiler')\n"
        "def tests(found, sizes):\n    found['passed'] = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    modules = dict.fromkeys(("build", "tests"), "some_sections")
    sections.work(modules, list(modules), None, tmp_path / "found.json", {})
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["build"]["begun"] and "no compiler" in found["build"]["error"]
    assert found["tests"]["passed"] == 3 and "error" not in found["tests"]


@pytest.fixture(scope="module")
def suite_run(tmp_path_factory) -> tuple[dict, str, str]:
    """The suite for the CPU."""
    return dry_run_of("suite.py", tmp_path_factory.mktemp("results"))


def test_suite_has_a_figure_for_every_claim_and_says_it_is_none(suite_run):
    from suite_report import targets
    from targets import UNKNOWN

    results, table, printed = suite_run
    assert not {name: section["error"] for name, section in results["sections"].items() if "error" in section}
    assert table in printed and "A dry run" in table and "missed" not in table
    # pymatting is needed for one figure only.
    optional = [] if importlib.util.find_spec("pymatting") else ["pymatting's / ours"]
    for row in targets(results):
        if not any(name in row.what for name in optional):
            assert row.measured != UNKNOWN, row.what
        assert f"| {row.what} | {row.wanted} | {row.measured}" in table


def test_suite_puts_every_time_beside_its_floor(suite_run):
    results, table, _ = suite_run
    rows = results["sections"]["operators"]["rows"]
    contenders = {(row["work"].split(",")[0], row["contender"]) for row in rows.values()}
    assert len(contenders) > 15
    for row in rows.values():
        floor = max(row["bytes"] / row["bytes/s"], row["flops"] / row["flop/s"])
        assert row["roofline"] == pytest.approx(row["ms"] / 1e3 / floor)
    scaling = {key: row for key, row in results["sections"]["scaling"].items() if key.endswith(("MP", "regions"))}
    assert len(scaling) == 5
    assert all(len(row) == 2 and all(at["roofline"] > 0 for at in row.values()) for row in scaling.values())
    for name in ("embedded, command, 700 px", "embedded, 700 px, warm", "embedded, B1", "embedded, B2", "vgg19, B0"):
        assert f"| {name} | " in table


def test_suite_says_what_was_missed_extrapolated_and_cut_off():
    from suite_report import report

    slow, fast = {"s": 20.0, "CPU s": 39.0, "peak GB": 1.2}, {"s": 18.0, "all": [18.0]}
    sections = {
        "embedded": {
            "command, 700 px": slow,
            "warm": fast,
            "same losses": {"s": 10.0, "loss": 0.1},
            "B1": {"s": 30.0, "reached": False, "evaluations": 9, "loss": 0.2},
            "B2": {"s": 15.0, "reached": True, "evaluations": 9, "loss": 0.1},
            "left out": "24 MP",
            "error": "Traceback:\nRuntimeError: no memory",
        },
        "vgg19": {"extrapolated, 700 px": {"s": 60.0, "measured s": 6.0, "evaluations": 9, "of": 90}},
    }
    about = {"machine": {}, "commit": "", "dirty": True, "date": "", "dry_run": False, "full": False, "seconds": 9}
    table = report(about | {"load before": 0.0, "sections": sections})
    assert "| command, 700 px with masks, embedded | ≤ 15 s | 20 s (missed) |" in table
    assert "VGG-19 | ≤ 90 s | 62 s (extrapolated from 9 of 90 evaluations) |" in table
    assert "B1 / transfer() |  | 3x or more (stopped) |" in table and "B2 / transfer() |  | 1.5x |" in table
    assert "| embedded |  | ERROR: RuntimeError: no memory |" in table and "Left out of embedded: 24 MP" in table
    assert "stencil build, 700x466: pymatting's / ours | ≥ 20x | not measured |" in table


def test_roofline_is_the_slower_of_memory_and_arithmetic(monkeypatch):
    import ceilings

    monkeypatch.setattr(ceilings, "rates", lambda small: {"bytes/s": 10.0, "flop/s": 100.0})
    assert ceilings.floor(20, 100) == 2 and ceilings.floor(20, 300) == 3


def test_vgg19_takes_the_operations_that_the_report_says():
    from network_workloads import pass_cost
    from plain_ops import random_weights

    _, flops = pass_cost(random_weights("vgg19"), ("relu1_1", "relu5_1"), 384, 512)
    assert flops / (384 * 512) == pytest.approx(1.445e6, rel=1e-3)
