"""`fastphoto demo`: results of the pairs in the package, and a contact sheet."""

from __future__ import annotations

from command_line import error_line, run_here, run_process
from PIL import Image

from fastphoto.photos.demo import demo_pairs
from fastphoto.reports import contact_sheet


def test_every_pair_and_a_contact_sheet_are_written(tmp_path):
    folder = tmp_path / "new" / "folder"
    done = run_process("demo", "-o", folder, "--size", "96")
    assert done.returncode == 0, done.stderr
    for pair in demo_pairs():
        assert Image.open(folder / f"{pair.name}.jpg").size == Image.open(pair / "content.jpg").size
    sheet = Image.open(folder / "contact-sheet.jpg")
    assert sheet.height > len(demo_pairs()) * contact_sheet.HEIGHT and sheet.width > 3 * contact_sheet.HEIGHT


def test_every_file_is_announced_unless_quiet(tmp_path, capsys):
    words = ["demo", "-o", tmp_path, "--size", "48", "--set", "steps=1"]
    assert run_here(*words) == 0
    said = capsys.readouterr().err
    assert all(f"wrote {path}" in said for path in tmp_path.iterdir()) and len(list(tmp_path.iterdir())) == 3
    assert run_here(*words, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_contact_sheet_that_cannot_be_written_is_refused_before_any_transfer(tmp_path, capsys):
    (tmp_path / "contact-sheet.jpg").mkdir()
    assert run_here("demo", "-o", tmp_path, "--size", "48") == 2
    assert "contact-sheet.jpg: is a folder" in error_line(capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["contact-sheet.jpg"]


def test_a_device_that_does_not_exist_leaves_no_folder(tmp_path, capsys):
    assert run_here("demo", "-o", tmp_path / "new", "--device", "tpu") == 2
    assert "device 'tpu'" in capsys.readouterr().err and not (tmp_path / "new").exists()
