"""Handwritten mathematics to LaTeX: the parts that stages, flows and the service are assembled from."""

VERSION = "0.1.0"
