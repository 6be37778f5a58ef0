"""A formula in handwriting: x = 1/2."""

from __future__ import annotations

import numpy as np

from components.ink.ink import Stroke


def formula() -> tuple[Stroke, ...]:
    t = np.linspace(0, 1, 20)[:, None]
    two = np.concatenate([np.cos(3.3 - 4 * t), np.sin(3.3 - 4 * t)], axis=1) * (4, -4) + (33, 18)
    strokes = [
        np.array([(0, 8), (4, 13), (9, 20)]),
        np.array([(9, 8), (0, 20)]),
        np.array([(14, 12), (22, 12)]),
        np.array([(14, 16), (22, 16)]),
        np.array([(33, -6), (33, 7)]),
        np.array([(27, 11), (40, 11)]),
        np.concatenate([two, [(29, 28), (38, 28)]]),
    ]
    return tuple(stroke.astype(np.float32) for stroke in strokes)
