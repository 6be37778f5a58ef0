"""Logs as JSON lines on stdout, for programs to read; the audit lines among them."""

from __future__ import annotations

import logging
import sys
import warnings

from pythonjsonlogger.json import JsonFormatter

_OWN = (
    "bentoml",
    "circus",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
)  # loggers with handlers of their own


def to_json(level: str) -> None:
    """Makes everything that this process logs JSON. May be called again."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _OWN:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # the audit line says more
    logging.getLogger("circus").setLevel("WARNING")
    logging.captureWarnings(True)
    # Pillow warns of every broken tag in a picture, which is read or refused all the same.
    warnings.filterwarnings("ignore", module="PIL")
