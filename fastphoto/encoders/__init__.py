"""Networks of the shape of VGG-19: layers, weights and activations."""
