"""Measurements of fastphoto's speed and memory, on CPUs and on GPUs; README.md says how to run them."""
