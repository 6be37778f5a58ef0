"""The import graph of the project, read from its source without running it.

Imports inside functions and under TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("components", "flows", "benchmarks", "tests", "service.py")

# Import names that differ from the name of the distribution.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "HersheyFonts": "hershey-fonts",
    "markdown_it": "markdown-it-py",
    "PIL": "pillow",
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "pythonjsonlogger": "python-json-logger",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


@cache
def modules() -> dict[str, Path]:
    """Each module of the project and its file."""
    files = [file for source in SOURCES for file in _python_files(ROOT / source)]
    return {_name(file): file for file in files}


@cache
def imports(module: str) -> frozenset[str]:
    """The modules that a module imports: full names within the project, top-level names outside it.

    Importing a.b.c runs a and a.b too, so these are among them.
    """
    return _imports(modules()[module])


def imported_by_script(path: Path) -> frozenset[str]:
    """The modules that a file outside the packages imports."""
    return _imports(path)


def reachable(roots: Iterable[str]) -> frozenset[str]:
    """The roots and all that they import, directly or not; third-party packages included."""
    found, waiting = set[str](), list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imports(module) if module in modules() else ()
    return frozenset(found)


def within(module: str, packages: Collection[str]) -> bool:
    """Whether a module is one of the packages or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def third_party(names: Iterable[str]) -> set[str]:
    """Those of the names that belong neither to the project nor to the standard library."""
    return {name for name in names if name not in modules() and name not in sys.stdlib_module_names}


def _imports(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"), file)
    return frozenset(name for target in _targets(tree) for name in _resolved(target))


def _targets(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "the project uses absolute imports"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _resolved(target: str) -> Iterator[str]:
    parts = target.split(".")
    prefixes = [".".join(parts[: end + 1]) for end in range(len(parts))]
    if prefixes[0] in modules():
        yield from (prefix for prefix in prefixes if prefix in modules())
    elif prefixes[0] != "__future__":
        yield prefixes[0]


def _python_files(source: Path) -> list[Path]:
    return [source] if source.is_file() else sorted(source.rglob("*.py"))


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
