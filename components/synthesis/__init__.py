"""Handwriting for training: formulas from grammars and labels, written with fonts or people's symbols."""
