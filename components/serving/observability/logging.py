"""JSON logs on stdout, audit log included."""

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


def configure_logging(level: str) -> None:
    """Configure all logging of this process as JSON. May be called repeatedly."""
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
    logging.getLogger("uvicorn.access").disabled = True  # the audit log says more
    logging.getLogger("circus").setLevel("WARNING")
    logging.captureWarnings(True)
    # Pillow warns about every broken tag in a picture.
    warnings.filterwarnings("ignore", module="PIL")
