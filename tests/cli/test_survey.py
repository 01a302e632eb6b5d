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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--figures", "lamda"], "figure 'lamda': unknown", id="figure"),
        pytest.param(["--figures", "lambda", "--device", "tpu"], "device 'tpu'", id="device"),
    ],
)
def test_refused(tmp_path, capsys, options, said):
    assert run_here("survey", "-o", tmp_path / "new", *options) == 2
    assert said in error_line(capsys.readouterr().err)
    assert not (tmp_path / "new").exists(), "a folder is left"
