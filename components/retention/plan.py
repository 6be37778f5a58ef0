"""All that the settings of `retention` no longer keep."""

from __future__ import annotations

from pathlib import Path

from components.config import Params
from components.registry.model_versions import Registry
from components.retention.cache import unused_objects
from components.retention.models import old_bentos, old_versions, protected_versions
from components.retention.records import FEEDBACK, MONITORING, large_logs, old_records
from components.retention.removal import Removal

LOGS = Path(".prefect")


def removals(params: Params, registry: Registry) -> list[Removal]:
    """Return what would go, and remove nothing.

    Raises RegistryError, BentoStoreError, CacheError and OSError: what is protected must be known first.
    """
    keep, protected = params.retention, protected_versions(registry)
    return [
        *old_bentos(registry.name, keep.bentos, protected, params.deployment.store),
        *old_versions(registry, keep.versions, protected),
        *old_records(FEEDBACK, params.retraining.feedback, keep.feedback_days),
        *old_records(MONITORING, params.monitor.folder, keep.monitoring_days),
        *large_logs(LOGS, keep.log_megabytes),
        *unused_objects(keep.cache_days, protected),
    ]
