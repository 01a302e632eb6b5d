"""`fastphoto look`: a file that the other commands take in place of the style."""

from __future__ import annotations

import pytest
from command_line import error_line, run_here

SHORT = ["--size", "48", "--set", "steps=2", "--quiet"]


def test_a_look_stands_for_the_style(photos, tmp_path, capsys):
    look, out = str(tmp_path / "dusk.fastphoto"), str(tmp_path / "out.png")
    assert run_here("look", photos["style"], "-o", look) == 0
    assert capsys.readouterr().err.startswith(f"fastphoto: wrote {look} in ")
    (tmp_path / "style.png").unlink()
    assert run_here("transfer", photos["content"], look, "-o", out, *SHORT) == 0
    assert run_here("batch", photos["content"], "--style", look, "-o", tmp_path / "batch", *SHORT) == 0
    assert (tmp_path / "batch" / "content.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_a_look_with_masks(photos, tmp_path):
    look, out = str(tmp_path / "dusk.fastphoto"), str(tmp_path / "out.png")
    assert run_here("look", photos["style"], "--style-mask", photos["style_mask"], "-o", look, "--quiet") == 0
    words = ["transfer", photos["content"], look, "-o", out, "--content-mask", photos["content_mask"], *SHORT]
    assert run_here(*words) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["look", "absent.jpg", "-o", "a.fastphoto"], "absent.jpg: no such file"),
        (["look", "{style}", "-o", "a.look"], "a.look: the file of a look has the extension .fastphoto"),
        (["look", "{style}", "-o", "no folder/a.fastphoto"], "no folder/a.fastphoto: the folder"),
        (["transfer", "{content}", "absent.fastphoto", "-o", "r.png"], "absent.fastphoto: no such file"),
    ],
)
def test_what_cannot_be_used(words, message, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_here(*(word.format(**photos) for word in words)) == 2
    assert message in error_line(capsys.readouterr().err)
