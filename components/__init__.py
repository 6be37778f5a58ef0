"""Handwritten mathematics to LaTeX: the parts that stages, flows and the service are assembled from."""

import os

VERSION = "0.2.0"

# PyTorch's threads wait for each other many times a step. That they spin for milliseconds makes training
# several times slower as soon as anything else wants a core; some ten microseconds do as well, and leave room
# for the loader. libgomp reads this when PyTorch is imported, and prefers it to OMP_WAIT_POLICY.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
