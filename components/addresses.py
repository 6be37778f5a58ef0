"""Files at addresses that fsspec opens: a folder, file:///…, s3://BUCKET/…"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

_MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "created")  # each file system has its own


@contextmanager
def os_errors(address: str) -> Iterator[None]:
    """Raise OSError that names the address whatever the store raises: each has exceptions of its own.

    ValueErrors of this project pass.
    """
    try:
        yield
    except OSError as error:
        raise OSError(f"{address}: {error}") from error
    except ImportError as error:  # a protocol whose package is not installed
        raise OSError(f"{address}: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("components."):
            raise
        raise OSError(f"{address}: {type(error).__name__}: {error}") from error


def modified(info: Mapping[str, Any]) -> datetime:
    """When a file was written, UTC, by what its file system lists. Raises OSError if it does not say."""
    for name in _MODIFIED:
        match info.get(name):
            case datetime() as at:
                return at.astimezone(UTC)
            case float() | int() as seconds:
                return datetime.fromtimestamp(seconds, UTC)
    raise OSError(f"{info.get('name')}: its file system does not say when it was written")
