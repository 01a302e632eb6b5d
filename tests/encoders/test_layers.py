"""Layer names: positions, order, and names that are refused."""

from __future__ import annotations

import pytest

from fastphoto.encoders.layers import BLOCKS, CONVOLUTIONS, VGG19_CHANNELS, Layer, is_layer
from fastphoto.errors import InputError


def test_convolutions_are_those_of_vgg19():
    assert " ".join(CONVOLUTIONS) == (
        "conv1_1 conv1_2 conv2_1 conv2_2 conv3_1 conv3_2 conv3_3 conv3_4 "
        "conv4_1 conv4_2 conv4_3 conv4_4 conv5_1 conv5_2 conv5_3 conv5_4"
    )
    assert len(VGG19_CHANNELS) == len(BLOCKS) == 5


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_and_its_activation_have_one_position(name):
    layer = Layer.parse(name)
    assert layer.convolution == name
    assert layer.activation == name.replace("conv", "relu")
    assert Layer.parse(layer.activation) == layer
    assert is_layer(name) and is_layer(layer.activation)


def test_layers_sort_by_depth():
    layers = [Layer.parse(name) for name in CONVOLUTIONS]
    assert sorted(reversed(layers)) == layers


@pytest.mark.parametrize(
    "name", ["relu1_3", "relu3_5", "relu6_1", "relu0_1", "relu4_0", "pool4", "Relu1_1", "relu1_1 ", "relu11", ""]
)
def test_other_names_are_refused(name):
    assert not is_layer(name)
    with pytest.raises(InputError, match=r"not a convolution of VGG-19; give relu1_1 to relu5_4") as error:
        Layer.parse(name)
    assert repr(name) in str(error.value)
