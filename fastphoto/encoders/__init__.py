"""Encoders: VGG-19-shaped networks, their layers and their weight files."""

from fastphoto.encoders.download import cache_folder
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.encoders.weights import EncoderWeights, load_weights, read_weights

__all__ = ["Encoder", "EncoderWeights", "cache_folder", "load_encoder", "load_weights", "read_weights"]
