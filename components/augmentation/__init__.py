"""Augmentation of training data: strokes, symbols, paper, pictures."""
