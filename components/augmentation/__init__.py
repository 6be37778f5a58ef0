"""Variation of training data: other strokes, other symbols, other paper."""
