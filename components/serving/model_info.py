"""The served model: a bundle in BentoML's model store, with its lineage; and the checks at startup."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.recognizer.bundle import Bundle
from components.records import RecordStore
from components.serving.access.api_keys import Keys
from components.serving.schemas.responses import ModelInfo
from components.serving.settings import Settings
from components.serving.state import Model

NAME = "handwritten-math-ocr"

logger = logging.getLogger(__name__)


def describe_model(metadata: Mapping[str, Any], bundle: Bundle) -> Model:
    """Describe a model for the API, from the metadata that promotion stored with the bundle."""
    return Model(
        info=ModelInfo(
            name=NAME,
            version=str(metadata.get("version", "not registered")),
            bundle=bundle.version,
            architecture=bundle.about.architecture,
            parameters=bundle.about.parameters,
            vocabulary=len(bundle.vocabulary),
            max_tokens=bundle.settings.decoding.max_tokens,
            metrics=metadata.get("metrics", {}),
            lineage=metadata.get("lineage", {}),
        ),
        example=bundle.example.read_bytes(),
        example_formula=bundle.about.example,
    )


def check_startup(settings: Settings, keys: Keys) -> str | None:
    """Warn about disabled protections; return why the service must not start, if it must not."""
    if settings.auth == "required" and not len(keys):
        return (
            "serve: no API key is configured. Create one with `python -m components keys "
            "--file keys.json add NAME` and set API_KEYS_FILE=keys.json; "
            "or disable keys, on a laptop: AUTH=off"
        )
    if settings.auth == "off":
        logger.warning("AUTH=off: anybody who reaches this address may use the service")
    if settings.rate_limits == "off":
        logger.warning("RATE_LIMITS=off: requests are not limited")
    for name in ("monitor_folder", "feedback_folder", "usage_folder"):
        where: Path | str | None = getattr(settings, name)
        if where is not None and (fault := _unwritable(where)):
            logger.error("%s: %s: %s; serving continues, nothing is stored there", name.upper(), where, fault)
    return None


def _unwritable(where: Path | str) -> str | None:
    """Why the folder or address is not writable; None if it is."""
    try:
        RecordStore(where).check()
    except OSError as error:
        return error.strerror or str(error)
    return None
