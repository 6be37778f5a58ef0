"""Why a label is refused."""

from __future__ import annotations


class LabelError(ValueError):
    r"""A label that is not a formula, or not one that can be normalized; the message says why.

    `reason` is the kind of the fault (`command`, `environment`, `character`, `argument`, `braces` …);
    `construct` is what it is about, as it stands in the label (`\vtop`, `tikzpicture`, `é`), or empty.
    """

    def __init__(self, message: str, reason: str = "label", construct: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.construct = construct
