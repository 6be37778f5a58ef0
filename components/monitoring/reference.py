"""The reference distribution: features of the champion's predictions on the test split, as Parquet."""

from __future__ import annotations

from collections.abc import Iterable
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


class DriftError(ValueError):
    """Predictions cannot be compared; the message names the file and its fault."""


def write_reference(observations: Iterable[Observation], path: Path) -> None:
    """Write one row per prediction. Raises OSError."""
    table = pa.Table.from_pylist([observation.as_dict() for observation in observations])
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_reference(path: Path) -> pd.DataFrame:
    """Read COLUMNS as floats. Raises DriftError if the file is missing, incomplete or not finite."""
    try:
        table = pd.read_parquet(path, columns=list(COLUMNS)).astype(float)
    except FileNotFoundError:
        raise DriftError(
            f"{path}: file not found; `python -m flows promote` writes it with each evaluated version"
        ) from None
    except (ValueError, OSError, KeyError) as error:
        raise DriftError(f"{path}: not a Parquet file with columns {', '.join(COLUMNS)}: {error}") from None
    if table.empty or not np.isfinite(table.to_numpy()).all():
        raise DriftError(f"{path}: expected rows of finite numbers in {', '.join(COLUMNS)}")
    return table
