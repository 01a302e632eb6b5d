"""`fastphoto invert`: an image made from one layer's activations."""

from __future__ import annotations

import numpy as np
from command_line import error_line, run_here
from PIL import Image

import fastphoto


def test_it_writes_what_invert_returns(photos, tmp_path, capsys):
    out = tmp_path / "inverse.png"
    assert run_here("invert", photos["content"], "-o", out, "--layer", "relu2_1", "--set", "steps=30") == 0
    assert f"wrote {out} in " in capsys.readouterr().err
    expected = fastphoto.invert(photos["content"], "relu2_1", steps=30)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), np.asarray(expected))


def test_it_is_a_transfer_with_the_preset_inversion(photos):
    inverted = fastphoto.invert(photos["content"], "relu2_1", steps=30)
    options = {"preset": "inversion", "content_layers": "relu2_1", "steps": 30, "size": 350}
    transferred = fastphoto.transfer(photos["content"], photos["style"], **options)
    assert np.asarray(inverted).shape == (48, 64, 3)
    # The rounding of float32 sums may move a value to the next level.
    np.testing.assert_allclose(np.asarray(inverted, int), np.asarray(transferred, int), rtol=0, atol=1)


def test_an_unknown_layer(photos, tmp_path, capsys):
    assert run_here("invert", photos["content"], "-o", tmp_path / "i.png", "--layer", "relu9_9") == 2
    assert "layer 'relu9_9': not in this encoder" in error_line(capsys.readouterr().err)


def test_the_output_may_not_be_the_photo(photos, capsys):
    assert run_here("invert", photos["content"], "-o", photos["content"]) == 2
    assert "also an input" in error_line(capsys.readouterr().err)
