"""The method without fastphoto, in plain PyTorch and SciPy: what fastphoto is compared with.

None of the baselines uses an operator of fastphoto while it iterates. All solve the same `Problem`, which has the
losses of `fastphoto.Settings` without the projection. Results name them:

- B0, `Published`: a faithful port of the paper's program,
- B1, `Engineered`: the same losses as a good engineer would write them today,
- B2, `coarse_to_fine`: B1 with fastphoto's schedule and start image.
"""
