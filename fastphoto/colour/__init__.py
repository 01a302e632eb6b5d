"""Colour: spaces, statistics, transfer of colours between regions, the guided filter and local affine colour maps."""

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.colour.guided import guided_filter
from fastphoto.colour.match import match_colours, monge_kantorovich
from fastphoto.colour.spaces import srgb_to_lab

__all__ = [
    "apply_affine_maps",
    "fit_affine_maps",
    "guided_filter",
    "match_colours",
    "monge_kantorovich",
    "srgb_to_lab",
]
