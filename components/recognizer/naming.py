"""Predictions with function names, for people: the model's tokens spell them letter by letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from components.ink.raster import Box
from components.latex.function_names import name_functions
from components.latex.tokenizer import tokenize
from components.recognizer.explanation import TokenBox, located
from components.recognizer.recognizer import Prediction


def with_function_names(prediction: Prediction) -> Prediction:
    r"""The prediction with names such as `\sin` in its formula, alternatives and token boxes.

    A name's box holds the ink of all its letters; it has no alternatives of its own.
    """
    named = name_functions(prediction.tokens)
    alternatives = tuple(
        replace(other, latex=name_functions(tokenize(other.latex)).latex) for other in prediction.alternatives
    )
    boxes = prediction.token_boxes
    if boxes is not None:
        boxes = located(
            named.tokens,
            [
                _joined(token, boxes[start:end])
                for token, (start, end) in zip(named.tokens, named.spans, strict=True)
            ],
        )
    return replace(
        prediction, latex=named.latex, tokens=named.tokens, alternatives=alternatives, token_boxes=boxes
    )


def _joined(token: str, parts: Sequence[TokenBox]) -> TokenBox:
    if len(parts) == 1:
        return replace(parts[0], token=token)
    return TokenBox(token, 0, 0, _union([part.box for part in parts if part.box]))


def _union(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)
