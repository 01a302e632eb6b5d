"""What people install, as `make wheels` leaves it: its contents and names, and that it runs where no compiler is."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy
import pytest
import torch
from locations import ROOT
from PIL import Image

BUILT = ROOT / "build" / "wheels"
SOURCES = [*ROOT.glob("csrc/**/*.*"), *ROOT.glob("fastphoto/**/*.py"), ROOT / "setup.py", ROOT / "pyproject.toml"]


@pytest.fixture(scope="module")
def wheel() -> Path:
    wheels = list(BUILT.glob("*.whl"))
    if not wheels:
        pytest.skip("no wheel is built; run make wheels")
    if wheels[0].stat().st_mtime < max(path.stat().st_mtime for path in SOURCES):
        pytest.skip("the wheel is older than the sources; run make wheels")
    return wheels[0]


def test_name_says_which_pythons_and_systems_it_is_for(wheel):
    _, version, pythons, abi, platform = wheel.stem.split("-")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version) and abi == "none"
    assert f"cp{sys.version_info[0]}{sys.version_info[1]}" in pythons.split(".")
    if sys.platform == "linux":
        assert re.search(r"manylinux_2_\d+_" + os.uname().machine, platform), platform
    names = zipfile.ZipFile(wheel).namelist()
    modules = [name for name in names if name.startswith("fastphoto/ops/_C.") and not name.endswith(".pyi")]
    assert len(modules) == len(pythons.split(".")), "not one pybind11 module for each Python of the name"
    assert len([name for name in names if name.startswith("fastphoto/ops/_operators.")]) == 1


def test_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"fastphoto", f"fastphoto-{wheel.name.split('-')[1]}.dist-info"}
    for needed in ("py.typed", "encoders/embedded/encoder.safetensors", "regions/embedded/segmenter.safetensors"):
        assert f"fastphoto/{needed}" in names
    assert not [name for name in names if name.endswith((".cpp", ".h", ".o", ".pyc"))]
    assert wheel.stat().st_size < 4e6


def test_metadata_is_what_a_package_index_shows(wheel):
    archive = zipfile.ZipFile(wheel)
    (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
    assert metadata["License-Expression"] == "MIT AND Apache-2.0"
    assert set(metadata.get_all("License-File")) == {"LICENSE", "fastphoto/regions/embedded/LICENSE"}
    assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert metadata["Requires-Python"] == ">=3.10"
    assert any(line.startswith("Programming Language :: Python :: 3.10") for line in metadata.get_all("Classifier"))
    assert metadata.get_all("Project-URL") and metadata["Description-Content-Type"] == "text/markdown"


def test_sums_are_those_of_the_files(wheel):
    for line in (BUILT / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((BUILT / name).read_bytes()).hexdigest() == digest
    assert {path.name for path in BUILT.iterdir()} > {wheel.name, "SHA256SUMS"}


def test_source_distribution_can_be_built_from(wheel):
    (source,) = BUILT.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", "csrc/library.cpp", "csrc/exported_symbols.map"} <= names
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob("csrc/**/*.*")} <= names


@pytest.fixture(scope="module")
def empty_environment(wheel, tmp_path_factory) -> Path:
    """Return the folder of programs of an environment that holds the wheel, and sees its dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    command = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*command, "--no-warn-script-location", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    needed = {str(Path(module.__file__).parents[1]) for module in (torch, numpy, Image)}
    # As plain paths: the .pth files in there, among them that of an editable installation, are not read.
    (packages / "dependencies.pth").write_text("\n".join(needed))
    return folder / "bin"


def run(programs: Path, *command: str, cwd: Path) -> str:
    """Run a program of the environment with nothing else on PATH, and return what it printed."""
    environment = {"PATH": str(programs), "HOME": str(cwd), "GOMP_SPINCOUNT": "10000"}
    finished = subprocess.run(
        [str(programs / command[0]), *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_wheel_runs_the_demo_without_compiler_and_sources(empty_environment, tmp_path):
    where = run(empty_environment, "python", "-c", "import fastphoto; print(fastphoto.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(empty_environment.parent)
    run(empty_environment, "fastphoto", "demo", "-o", "results", "--size", "64", cwd=tmp_path)
    results = sorted((tmp_path / "results").glob("*.jpg"))
    assert results and all(Image.open(path).size[0] > 100 for path in results)


def test_build_without_a_compiler_ends_in_one_line(tmp_path):
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build_ext",
        "--build-lib",
        str(tmp_path),
        "--build-temp",
        str(tmp_path),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "CXX"} | {"PATH": str(tmp_path)}
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    said = finished.stderr.strip().splitlines()[-1]
    assert said.startswith("fastphoto: no C++ compiler") and "wheel" in said


def test_builder_refuses_what_it_cannot_use(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    program = [sys.executable, str(ROOT / "tools" / "build_wheels.py")]
    finished = subprocess.run([*program, str(tmp_path)], capture_output=True, text=True)
    assert finished.returncode == 1 and "thesis.txt" in finished.stderr and (tmp_path / "thesis.txt").exists()
    finished = subprocess.run(
        [*program, str(tmp_path / "new"), "--python", "no-python"], capture_output=True, text=True
    )
    assert finished.returncode == 1 and finished.stderr.startswith("build_wheels: no-python: does not run")
