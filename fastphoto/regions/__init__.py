"""Regions of photos: masks read, found, grown from strokes, matched between two photos, and written."""
