"""Model versions in the MLflow registry: looked up by alias, tagged, promoted.

`challenger` is the version registered last, `champion` the one to serve, `previous` the champion before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.registry.mlflow_client import connect

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

# Tags of a version.
DECISION, DECIDED_BY, ROLLED_BACK = "decision", "decided_by", "rolled_back"
BENTO, DIGEST = "bento", "bento_digest"
# DVC sees no change when it is the registry that is new, or has lost the version.
REGISTER_COMMAND = "dvc repro --force --single-item register"
_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's error codes
_ATTACHMENTS = "promotion"  # folder among the artifacts of a version's run


class RegistryError(ValueError):
    """The registry is unavailable or lacks what is asked for; the message says what to do."""


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    version: str
    run_id: str
    tags: dict[str, str]
    metrics: dict[str, float]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def bundle(self) -> str | None:
        """Hash of the bundle's graphs, vocabulary and settings."""
        return self.tags.get("bundle")


class Registry:
    """The versions of one registered model. All methods raise RegistryError."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._mlflow = connect()
        self._client = self._mlflow.MlflowClient()

    def resolve(self, uri: str | None = None) -> ModelVersion:
        """Return the version that a URI stands for now (models:/NAME@ALIAS or models:/NAME/VERSION).

        Without a URI: the champion, or the challenger if there is no champion.
        """
        uris = [uri] if uri else [f"models:/{self.name}@{alias}" for alias in (CHAMPION, CHALLENGER)]
        message = ""
        for candidate in uris:
            name, at, alias = candidate.removeprefix("models:/").partition("@")
            name, _, number = (name, "", "") if at else name.partition("/")
            try:
                return self._get(name, alias=alias) if at else self._get(name, number=number)
            except self._mlflow.MlflowException as error:
                if error.error_code not in _NOT_FOUND:
                    raise self._unavailable(error) from None
                message = error.message
        raise RegistryError(
            f"{' and '.join(uris)}: no such version in the registry ({self._mlflow.get_tracking_uri()}); "
            f"`dvc repro` registers one; if it says that all is up to date, `{REGISTER_COMMAND}` does. "
            f"MLflow: {message}"
        )

    def find(self, alias: str) -> ModelVersion | None:
        """Return the version with an alias, if any."""
        try:
            return self._get(self.name, alias=alias)
        except self._mlflow.MlflowException as error:
            if error.error_code in _NOT_FOUND:
                return None
            raise self._unavailable(error) from None

    def has_bundle(self, bundle: str) -> bool:
        """Return whether any version has this bundle."""
        try:
            versions = self._client.search_model_versions(f"name = '{self.name}'")
        except self._mlflow.MlflowException as error:
            raise self._unavailable(error) from None
        return any(found.tags.get("bundle") == bundle for found in versions)

    def versions(self) -> list[ModelVersion]:
        """Return all versions, the newest first, without their metrics."""
        try:
            found = self._client.search_model_versions(f"name = '{self.name}'")
        except self._mlflow.MlflowException as error:
            raise self._unavailable(error) from None
        made = [ModelVersion(self.name, str(v.version), v.run_id, dict(v.tags), {}) for v in found]
        return sorted(made, key=lambda version: int(version.version), reverse=True)

    def delete(self, version: ModelVersion) -> None:
        """Delete a version, and its run unless another version has it; `mlflow gc` frees the artifacts."""
        try:
            self._client.delete_model_version(self.name, version.version)
            if version.run_id and version.run_id not in {other.run_id for other in self.versions()}:
                self._client.delete_run(version.run_id)
        except self._mlflow.MlflowException as error:
            raise self._unavailable(error) from None

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        try:
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, version, key, value)
        except self._mlflow.MlflowException as error:
            raise self._unavailable(error) from None

    def attach(self, version: ModelVersion, files: list[Path]) -> None:
        """Store files with a version: its reports."""
        try:
            for file in files:
                self._client.log_artifact(version.run_id, str(file), _ATTACHMENTS)
        except (self._mlflow.MlflowException, OSError) as error:
            raise self._unavailable(error) from None

    def download(self, version: ModelVersion, file: str) -> Path:
        """Download an attached file."""
        try:
            path: str = self._client.download_artifacts(version.run_id, f"{_ATTACHMENTS}/{file}")
        except (self._mlflow.MlflowException, OSError) as error:
            raise RegistryError(f"{version.uri} has no artifact {_ATTACHMENTS}/{file}: {error}") from None
        return Path(path)

    def promote(self, version: ModelVersion, champion: ModelVersion | None) -> None:
        """Make a version champion and the present champion `previous`. The alias `champion` moves last."""
        try:
            if champion is not None:
                self._client.set_registered_model_alias(self.name, PREVIOUS, champion.version)
            self._client.set_registered_model_alias(self.name, CHAMPION, version.version)
            if ROLLED_BACK in version.tags:
                self._client.delete_model_version_tag(self.name, version.version, ROLLED_BACK)
        except self._mlflow.MlflowException as error:
            raise self._unavailable(error) from None

    def _get(self, name: str, alias: str = "", number: str = "") -> ModelVersion:
        found = (
            self._client.get_model_version_by_alias(name, alias)
            if alias
            else self._client.get_model_version(name, number)
        )
        run = self._client.get_run(found.run_id)
        metrics = {key: float(value) for key, value in run.data.metrics.items()}
        return ModelVersion(name, str(found.version), found.run_id, dict(found.tags), metrics)

    def _unavailable(self, error: Any) -> RegistryError:
        return RegistryError(f"registry {self._mlflow.get_tracking_uri()}: {error}")
