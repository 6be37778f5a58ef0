"""The MLflow pyfunc model: recognizes pictures and ink with a bundle, without PyTorch.

MLflow stores this file as the model's code (models from code: nothing is pickled), together with the packages
that it imports.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from components.recognizer.preprocessing import prepare_source
from components.recognizer.recognizer import Prediction, Recognizer


class HandwrittenMath(PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Recognize one formula per row."""

    # MLflow would advise at every load to type `model_input`, which would exclude most accepted inputs.
    _skip_type_hint_validation = True

    recognizer: Recognizer

    def load_context(self, context: PythonModelContext) -> None:
        self.recognizer = Recognizer.load(Path(context.artifacts["bundle"]))

    def predict(  # type: ignore[no-untyped-def]
        self, context: PythonModelContext, model_input, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return columns `latex`, `confidence` (0 to 1) and `error`, one row per row of `model_input`.

        A row (of a list, or of a table's first column) is the bytes of a picture, the same in base64, InkML
        text, or the path of a picture or InkML file. An invalid row has empty LaTeX, confidence 0 and the
        reason in `error`, which is empty otherwise. `params`: `beam`, the number of beams (0: as the bundle
        is configured).
        """
        rows = _rows(model_input)
        sources, errors = {}, {}
        for number, row in enumerate(rows):
            try:
                sources[number] = prepare_source(_content(row), self.recognizer.settings.raster)
            except (ValueError, OSError) as error:
                errors[number] = str(error)
        beam = (params or {}).get("beam") or None  # 0: as the bundle is configured
        readings = dict(zip(sources, self.recognizer.read_views(list(sources.values()), beam), strict=True))
        nothing = Prediction("", (), 0.0)
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
    """Return the bytes of a picture or InkML file. Raises ValueError, OSError."""
    if isinstance(row, bytes | bytearray):
        return bytes(row)
    if not isinstance(row, str):
        raise ValueError(f"expected picture bytes, base64, InkML or a path, got {type(row).__name__}")
    if row.lstrip("\ufeff \t\r\n").startswith("<"):
        return row.encode()
    if len(row) < 4096 and "\0" not in row and (path := Path(row)).suffix and path.is_file():
        return path.read_bytes()
    try:
        return base64.b64decode(row.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"not InkML, base64 or the path of a file: {row[:60]!r}") from None


mlflow.models.set_model(HandwrittenMath())
