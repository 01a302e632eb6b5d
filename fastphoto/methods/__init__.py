"""Every method by name, called alike: `apply_method("pitie-regions", pair)`."""

from fastphoto.methods.registry import METHODS, Method, RunOptions, apply_method

__all__ = ["METHODS", "Method", "RunOptions", "apply_method"]
