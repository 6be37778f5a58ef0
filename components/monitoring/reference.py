"""The reference distribution: features of the champion's predictions on the test split, as Parquet.

Inks and pictures are told apart: what preprocessing leaves of a photograph always differs from drawn ink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.files import atomic_write
from components.recognizer.features import Observation

REFERENCE = "reference.parquet"  # its name among the files kept with a model version
COLUMNS = tuple(field.name for field in fields(Observation))
KIND = "kind"  # the column that says what was read:
INK, PICTURE = "ink", "picture"


class DriftError(ValueError):
    """Predictions cannot be compared; the message names the file and its fault."""


def write_reference(observations: Sequence[Observation], kinds: Sequence[str], path: Path) -> None:
    """Write one row per prediction; `kinds` says whether it is of INK or of a PICTURE. Raises OSError."""
    rows = [o.as_dict() | {KIND: kind} for o, kind in zip(observations, kinds, strict=True)]
    table = pa.Table.from_pylist(rows)
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_reference(path: Path) -> pd.DataFrame:
    """Read COLUMNS as floats, and KIND; a file without it is of ink alone.

    Raises DriftError if the file is missing, incomplete or not finite.
    """
    try:
        found = pd.read_parquet(path)
        table = found[list(COLUMNS)].astype(float)
    except FileNotFoundError:
        raise DriftError(
            f"{path}: file not found; `python -m flows promote` writes it with each evaluated version"
        ) from None
    except (ValueError, OSError, KeyError) as error:
        raise DriftError(f"{path}: not a Parquet file with columns {', '.join(COLUMNS)}: {error}") from None
    if table.empty or not np.isfinite(table.to_numpy()).all():
        raise DriftError(f"{path}: expected rows of finite numbers in {', '.join(COLUMNS)}")
    return table.assign(**{KIND: found.get(KIND, INK)})
