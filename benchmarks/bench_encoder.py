"""Times one pass through each encoder on the CPU, forwards and backwards, in one run so that ratios hold.

    pytest benchmarks/bench_encoder.py --benchmark-columns=min,median,rounds

The two encoders that do not come with the package have random weights here: what a pass costs does not depend on them.
"""

from __future__ import annotations

import pytest
from transfers import encoder_weights
from workloads import encoder_pass

from fastphoto.settings import preset_settings

LAYERS = preset_settings("fast").style_layers


@pytest.mark.parametrize("size", [(233, 350), (466, 700)], ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("name", ["embedded", "vgg19-16x", "vgg19"])
@pytest.mark.parametrize("form", ["native", "plain"])
def test_encoder(timed, form, name, size):
    weights = encoder_weights(name, None)
    timed(encoder_pass(weights, LAYERS, *size), form, small=encoder_pass(weights, LAYERS, 67, 90))
