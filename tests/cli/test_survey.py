"""`fastphoto survey`: figures by name, and what is refused."""

from __future__ import annotations

import pytest
from command_line import error_line, run_here


def test_it_makes_the_figures_asked_for(tmp_path, capsys):
    folder = tmp_path / "survey"
    assert run_here("survey", "-o", folder, "--size", "32", "--figures", "confused-regions") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fastphoto: running confused-regions/given" and "wrote" in lines[-1]
    assert {file.name for file in folder.iterdir()} == {"index.html", "confused-regions.jpg"}


@pytest.mark.parametrize("name", ["index.html", "methods.jpg"])
def test_a_file_that_cannot_be_written_is_refused_before_any_method_runs(tmp_path, capsys, name):
    (tmp_path / name).mkdir()
    assert run_here("survey", "-o", tmp_path, "--size", "32", "--figures", "methods") == 2
    assert f"{name}: is a folder" in error_line(capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == [name], "something was written"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--figures", "lamda"], "figure 'lamda': unknown", id="figure"),
        pytest.param(["--figures", "lambda", "--device", "tpu"], "device 'tpu'", id="device"),
        pytest.param(
            ["--figures", "methods", "--encoder", "vgg19", "--weights", "absent.pth"], "absent.pth", id="weights"
        ),
    ],
)
def test_refused(tmp_path, capsys, options, said):
    assert run_here("survey", "-o", tmp_path / "new", *options) == 2
    assert said in error_line(capsys.readouterr().err)
    assert not (tmp_path / "new").exists(), "a folder is left"
