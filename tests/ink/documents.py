"""InkML documents of the project's own making, for the tests of the reader."""

from __future__ import annotations

import numpy as np

from components.ink.ink import Ink
from components.ink.inkml import parse_inkml

# Three strokes that tell every mirroring, turn and stretching from the ink as it is.
STROKES = (((1, 2), (4, 2), (4, 9)), ((6, 3), (8, 3)), ((7, 8),))


def document(body: str) -> bytes:
    return f'<ink xmlns="http://www.w3.org/2003/InkML">{body}</ink>'.encode()


def ink_of(body: str) -> Ink:
    return parse_inkml(document(body), "x")


def points(ink: Ink) -> list[list[list[float]]]:
    return [stroke.tolist() for stroke in ink.strokes]


def shape(ink: Ink, digits: int = 3) -> list[list[list[float]]]:
    """The strokes, moved to the origin and scaled to the width of one: what a picture shows of them."""
    every = np.concatenate(ink.strokes).astype(np.float64)
    low, width = every.min(axis=0), np.ptp(every[:, 0])
    return [np.round((stroke - low) / width, digits).tolist() for stroke in ink.strokes]


def channel(name: str, **attributes: str) -> str:
    return (
        f'<channel name="{name}"' + "".join(f' {key}="{value}"' for key, value in attributes.items()) + "/>"
    )


def trace_format(*channels: str, id: str = "f", intermittent: str = "") -> str:
    more = f"<intermittentChannels>{intermittent}</intermittentChannels>" if intermittent else ""
    return f'<traceFormat xml:id="{id}">{"".join(channels)}{more}</traceFormat>'


def traces(write: str = "{x:g} {y:g}", attributes: str = "") -> str:
    """The strokes as traces, each point written so; `i` is its number."""
    return "".join(
        f"<trace {attributes}>"
        + ",".join(write.format(x=x, y=y, i=i) for i, (x, y) in enumerate(stroke))
        + "</trace>"
        for stroke in STROKES
    )


SHAPE = shape(ink_of(traces()))
