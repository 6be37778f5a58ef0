r"""Handwritten mathematics to LaTeX.

>>> from handwritten_math import Recognizer
>>> recognizer = Recognizer.load()
>>> prediction = recognizer.read("docs/sample-ink.png")
>>> prediction.latex.startswith(r"\frac{1+9}")
True
>>> 0 <= prediction.confidence <= 1
True
"""

from components import VERSION
from handwritten_math.recognizer import Alternative, Prediction, Recognizer, TokenBox

__version__ = VERSION
__all__ = ["Alternative", "Prediction", "Recognizer", "TokenBox", "__version__"]
