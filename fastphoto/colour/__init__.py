"""Colour: spaces, statistics, transfer of colours between regions, and local affine colour maps."""
