"""Regions of photos: masks read, found and grown from strokes, matched between two photos, resized and compared."""

from fastphoto.regions.find import find_regions
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.matching import MatchedRegions, match_regions
from fastphoto.regions.mismatch import region_unlikeness
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import layer_masks, resize_masks
from fastphoto.regions.scribbles import grow_scribbles

__all__ = [
    "PALETTE",
    "MatchedRegions",
    "PhotoPair",
    "RegionMasks",
    "find_regions",
    "grow_scribbles",
    "layer_masks",
    "match_regions",
    "prepare_pair",
    "read_masks",
    "region_unlikeness",
    "resize_masks",
]
