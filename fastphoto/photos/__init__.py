"""Photographs in and out: files, images, arrays and tensors, and the type `Photo` between them."""
