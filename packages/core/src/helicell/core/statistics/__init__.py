"""Distances between samples, and how sure they are.

`transport` and `sliced` measure by optimal transport, `kernels` by means over pairs; `resampling` gives any of them an
interval and a floor. `assignment` is the problem that exact transport comes down to.
"""
