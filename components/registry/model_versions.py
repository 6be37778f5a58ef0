"""Versions in the MLflow registry: found by alias, tagged with what is known of them, made champion.

`challenger` is what was trained last, `champion` what goes live, `previous` what was champion before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.registry.mlflow_client import connect

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

GATE, BENTO, ROLLED_BACK = "gate", "bento", "rolled_back"  # tags of a version
_LACKING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what MLflow says where there is none
_FOLDER = "promotion"  # where reports lie among the artifacts of a version's run


class RegistryError(ValueError):
    """The registry can't be reached, or lacks what is asked for; the message says what to do."""


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    name: str
    version: str
    run: str
    tags: dict[str, str]
    metrics: dict[str, float]

    @property
    def address(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def bundle(self) -> str | None:
        """Identity of its graphs, vocabulary and settings."""
        return self.tags.get("bundle")


class Registry:
    """One registered model and its versions. All methods raise RegistryError."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._mlflow = connect()
        self._client = self._mlflow.MlflowClient()

    def resolve(self, address: str | None) -> Registered:
        """The version that an address stands for now (models:/name@alias or models:/name/version).

        Without an address: the champion, or the challenger as long as there is no champion.
        """
        asked = [address] if address else [f"models:/{self.name}@{alias}" for alias in (CHAMPION, CHALLENGER)]
        said = ""  # by the registry, of the last one
        for candidate in asked:
            name, at, alias = candidate.removeprefix("models:/").partition("@")
            name, _, number = (name, "", "") if at else name.partition("/")
            try:
                return self._get(name, alias=alias) if at else self._get(name, number=number)
            except self._mlflow.MlflowException as error:
                if error.error_code not in _LACKING:
                    raise self._away(error) from None
                said = error.message
        raise RegistryError(
            f"{' and '.join(asked)}: the registry ({self._mlflow.get_tracking_uri()}) has no such version; "
            f"`dvc repro` registers one. It says: {said}"
        )

    def find(self, alias: str) -> Registered | None:
        """The version that has an alias, if one has."""
        try:
            return self._get(self.name, alias=alias)
        except self._mlflow.MlflowException as error:
            if error.error_code in _LACKING:
                return None
            raise self._away(error) from None

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Tags a version."""
        try:
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, version, key, value)
        except self._mlflow.MlflowException as error:
            raise self._away(error) from None

    def keep(self, registered: Registered, files: list[Path]) -> None:
        """Puts files beside a version's own: its reports."""
        try:
            for file in files:
                self._client.log_artifact(registered.run, str(file), _FOLDER)
        except (self._mlflow.MlflowException, OSError) as error:
            raise self._away(error) from None

    def fetch(self, registered: Registered, file: str) -> Path:
        """One of the files that were kept beside a version."""
        try:
            found: str = self._client.download_artifacts(registered.run, f"{_FOLDER}/{file}")
        except (self._mlflow.MlflowException, OSError) as error:
            raise RegistryError(f"{registered.address} has no {_FOLDER}/{file}: {error}") from None
        return Path(found)

    def crown(self, registered: Registered, former: Registered | None) -> None:
        """Makes a version champion, and the former champion `previous`. The champion is the last to move."""
        try:
            if former is not None:
                self._client.set_registered_model_alias(self.name, PREVIOUS, former.version)
            self._client.set_registered_model_alias(self.name, CHAMPION, registered.version)
            if ROLLED_BACK in registered.tags:
                self._client.delete_model_version_tag(self.name, registered.version, ROLLED_BACK)
        except self._mlflow.MlflowException as error:
            raise self._away(error) from None

    def _get(self, name: str, alias: str = "", number: str = "") -> Registered:
        found = (
            self._client.get_model_version_by_alias(name, alias)
            if alias
            else self._client.get_model_version(name, number)
        )
        run = self._client.get_run(found.run_id)
        metrics = {key: float(value) for key, value in run.data.metrics.items()}
        return Registered(name, str(found.version), found.run_id, dict(found.tags), metrics)

    def _away(self, error: Any) -> RegistryError:
        uri = self._mlflow.get_tracking_uri()
        return RegistryError(f"the registry ({uri}) does not do what it should: {error}")
