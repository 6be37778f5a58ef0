"""InkML files of two strokes, no two of which are the same ink."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.ink.ink import Ink
from components.ink.inkml import write_inkml


def write_ink(path: Path, number: int, label: str = "x", at: str | None = None) -> Path:
    """An ink that no other number has; `at` is when it was corrected."""
    strokes = (np.array([[0, 0], [8, 10]], np.float32), np.array([[8, 0], [0, 10 + number]], np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_inkml(Ink(path.stem, strokes, label), path)
    if at is not None:
        said = f'<annotation type="correctedAt">{at}</annotation></ink>'
        path.write_text(path.read_text().replace("</ink>", said))
    return path
