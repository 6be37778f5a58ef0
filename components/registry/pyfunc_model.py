"""What `mlflow.pyfunc.load_model` gives: a bundle that reads pictures and ink, without PyTorch.

MLflow keeps this file as the model's code (models from code: nothing is pickled), and beside it the packages
that reading needs.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from components.recognizer.preprocessing import prepare
from components.recognizer.recognizer import Reading, Recognizer


class HandwrittenMath(PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Reads one formula a row."""

    # Else MLflow advises at every load to type `model_input`, which would rule out most of what is read here.
    _skip_type_hint_validation = True

    recognizer: Recognizer

    def load_context(self, context: PythonModelContext) -> None:
        self.recognizer = Recognizer.load(Path(context.artifacts["bundle"]))

    def predict(  # type: ignore[no-untyped-def]
        self, context: PythonModelContext, model_input, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The columns `latex`, `confidence` (0 to 1) and `error`, a row for each row of `model_input`.

        A row (of a list, or of a table's first column) is a picture's bytes, the same in base64, InkML text,
        or the path of a picture or InkML file. A row that can't be read has empty LaTeX, confidence 0, and
        the reason in `error`; otherwise that is empty. `params`: `beam`, how many beams to search with.
        """
        rows = _rows(model_input)
        pictures, errors = {}, {}
        for number, row in enumerate(rows):
            try:
                pictures[number] = prepare(_content(row), self.recognizer.settings.raster)
            except (ValueError, OSError) as error:
                errors[number] = str(error)
        beam = int((params or {}).get("beam", 1))
        readings = dict(zip(pictures, self.recognizer.read(list(pictures.values()), beam), strict=True))
        nothing = Reading("", (), 0.0)
        answers = [readings.get(number, nothing) for number in range(len(rows))]
        return pd.DataFrame(
            {
                "latex": [answer.latex for answer in answers],
                "confidence": [answer.confidence for answer in answers],
                "error": [errors.get(number, "") for number in range(len(rows))],
            }
        )


def _rows(model_input: Any) -> list[Any]:
    if isinstance(model_input, pd.DataFrame):
        return list(model_input.iloc[:, 0])
    return [model_input] if isinstance(model_input, str | bytes) else list(model_input)


def _content(row: object) -> bytes:
    """The bytes of a picture or an InkML file, however they are given. Raises ValueError, OSError."""
    if isinstance(row, bytes | bytearray):
        return bytes(row)
    if not isinstance(row, str):
        raise ValueError(f"expected a picture's bytes, base64, InkML or a path, got {type(row).__name__}")
    if row.lstrip("\ufeff \t\r\n").startswith("<"):
        return row.encode()
    if len(row) < 4096 and "\0" not in row and (path := Path(row)).suffix and path.is_file():
        return path.read_bytes()
    try:
        return base64.b64decode(row.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"neither InkML, nor base64, nor the path of a file: {row[:60]!r}") from None


mlflow.models.set_model(HandwrittenMath())
