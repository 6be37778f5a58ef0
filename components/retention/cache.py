"""Objects of the DVC cache that nothing refers to any more.

`dvc gc` keeps what commits and the working folder name. A result that was recorded as an artifact alone, and
what the champion was made from, are in neither: young objects stay, and so does all that a protected version
names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.registry.model_versions import ModelVersion
from components.retention.removal import Removal

CACHE = "retention.cache_days"
_LINEAGE = "dvc."  # prefix of the tags that name a version's inputs


class CacheError(ValueError):
    """DVC can't tell what is in use; the message says why."""


def unused_objects(days: float, protected: Sequence[ModelVersion]) -> Iterator[Removal]:
    """Yield unused objects of this folder's DVC cache that are older than `days`; 0: none.

    Raises CacheError.
    """
    if not days:
        return
    from dvc.exceptions import DvcException  # the import takes half a second
    from dvc.repo import Repo

    before = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    try:
        with Repo(".") as repo, repo.lock:
            caches = {id(cache): cache for _, cache in repo.cache.by_scheme() if cache}.values()
            old = [(cache, oid) for cache in caches for oid in _older(cache, before)]
            if not old:  # a machine that has pulled nothing could not tell what is in use
                return
            used = {
                each.value
                for found in repo.used_objs(all_commits=not repo.config["core"].get("no_scm")).values()
                for each in found
            }
            for cache in caches:
                used |= _named(cache, protected)
            for cache, oid in old:
                if oid not in used:
                    path = Path(cache.oid_to_path(oid))
                    yield Removal(CACHE, str(path), path.stat().st_size, path.unlink)
    except DvcException as error:
        reason = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise CacheError(f"the DVC cache: {reason}; retention.cache_days: 0 leaves it alone") from None


def _older(cache: Any, before: float) -> Iterator[str]:
    """Yield the objects that were written before a time, in seconds since 1970."""
    for oid in cache.all():
        if Path(cache.oid_to_path(oid)).stat().st_mtime < before:
            yield oid


def _named(objects: Any, protected: Sequence[ModelVersion]) -> set[str]:
    """What the versions were made from: the hashes of their tags, and of the files in folders among them."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    named = {
        value for version in protected for key, value in version.tags.items() if key.startswith(_LINEAGE)
    }
    for value in [value for value in named if value.endswith(".dir") and objects.exists(value)]:
        tree = Tree.load(objects, HashInfo(objects.hash_name, value))
        named |= {entry.value for _, _, entry in tree}
    return named
