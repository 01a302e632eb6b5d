"""Regions found in photos that come without masks."""
