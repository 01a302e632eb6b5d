"""Colour: spaces, statistics, transfer of colours between regions, the guided filter and local affine colour maps."""

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.colour.guided import guided_filter
from fastphoto.colour.lut import ColourLUT, LUTError, apply_lut, fit_lut, read_lut, write_lut
from fastphoto.colour.match import match_colours, monge_kantorovich
from fastphoto.colour.spaces import srgb_to_lab

__all__ = [
    "ColourLUT",
    "LUTError",
    "apply_affine_maps",
    "apply_lut",
    "fit_affine_maps",
    "fit_lut",
    "guided_filter",
    "match_colours",
    "monge_kantorovich",
    "read_lut",
    "srgb_to_lab",
    "write_lut",
]
