"""Which part of the project may import which: the layout's rules, held over the import graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.architecture.imports import (
    DISTRIBUTIONS,
    ROOT,
    imports,
    modules,
    reachable,
    third_party,
    within,
)

# Standard library alone: every package may import them.
BASE = ("components", "components.addresses", "components.files")
RUNTIME = (
    "components.ink", "components.latex", "components.recognizer", "components.records",
    "components.serving", "service",
)  # fmt: skip
TRAINING_ONLY = {
    "torch", "torchvision", "timm", "lightning", "torchmetrics", "onnx", "pandas", "pyarrow", "mlflow",
    "dvc", "prefect", "dask", "distributed", "sklearn", "scipy", "matplotlib", "great_expectations",
}  # fmt: skip

# What runs in the Bento: the service, and the command by which a container makes keys. The command line
# imports its commands by name.
BENTO = ("service", "components.__main__", "components.cli.keys")

Importer = Callable[[str], bool]


def edges(importer: Importer, imported: Importer) -> list[str]:
    """The imports from one set of modules into another, as lines of a message."""
    return sorted(
        f"{module} imports {target}"
        for module in modules()
        if importer(module)
        for target in imports(module)
        if imported(target)
    )


def part(*packages: str) -> Importer:
    return lambda module: within(module, packages)


def ours_except(*packages: str) -> Importer:
    return lambda module: module in modules() and module not in BASE and not within(module, packages)


def library(module: str) -> bool:
    """What others import, as against what people and DVC start."""
    commands = ("components.cli", "components.stages", "components.__main__")
    return within(module, ("components",)) and not within(module, commands)


@pytest.mark.parametrize("package", ["components.ink", "components.latex"])
def test_ink_and_latex_import_nothing_of_the_project_but_themselves(package: str) -> None:
    assert edges(part(package), ours_except(package)) == []


def test_the_base_needs_the_standard_library_alone() -> None:
    assert third_party(reachable(BASE)) == set()
    assert edges(lambda module: module in BASE, ours_except()) == []


def test_the_runtime_imports_nothing_else_of_the_project() -> None:
    assert edges(part(*RUNTIME), ours_except(*RUNTIME)) == []


def test_the_runtime_imports_no_package_that_only_training_needs() -> None:
    assert edges(part(*RUNTIME, "components.files"), lambda target: target in TRAINING_ONLY) == []


def test_the_recognizer_does_not_import_the_service() -> None:
    assert edges(part("components.recognizer"), part("components.serving", "service")) == []


def test_flows_alone_import_prefect() -> None:
    assert edges(lambda m: not within(m, ("flows", "tests")), lambda target: target == "prefect") == []
    assert edges(part("components", "service", "benchmarks"), part("flows")) == []


def test_nobody_imports_a_stage() -> None:
    """DVC starts stages with `python -m`; what several need is a library. A stage's tests may import it, and
    so does the command that stands in for DVC on a machine that has none."""
    exempt = ("tests", "benchmarks.rented_gpu")
    others = [line for line in edges(lambda m: not within(m, exempt), part("components.stages"))
              if not line.endswith("imports components.stages")]  # fmt: skip
    assert others == []


def test_no_library_imports_a_command_a_flow_or_a_test() -> None:
    commands = part("components.cli", "components.stages", "components.__main__", "flows", "tests")
    assert edges(library, commands) == []


def test_nobody_imports_benchmarks_or_tests() -> None:
    exempt = ("benchmarks", "tests.benchmarks")
    assert edges(lambda m: not within(m, exempt), part("benchmarks")) == []
    assert edges(lambda m: not within(m, ("tests",)), part("tests")) == []


def test_there_is_no_import_circle() -> None:
    def direct(module: str) -> set[str]:
        ancestors = {module.rsplit(".", level)[0] for level in range(1, module.count(".") + 1)}
        return {target for target in imports(module) if target in modules()} - ancestors - {module}

    visiting, done = list[str](), set[str]()

    def visit(module: str) -> None:
        assert module not in visiting, " -> ".join([*visiting[visiting.index(module) :], module])
        if module not in done:
            visiting.append(module)
            for target in sorted(direct(module)):
                visit(target)
            done.add(visiting.pop())

    for module in modules():
        visit(module)
    assert done == set(modules())


def bento() -> set[str]:
    """The files of the repository that the Bento includes."""
    patterns = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))["include"]
    found = (path for pattern in patterns for path in _matching(pattern))
    return {path.relative_to(ROOT).as_posix() for path in found}


def _matching(pattern: str) -> Iterator[Path]:
    """As BentoML matches: like lines of .gitignore, `**` at the end for everything below."""
    for path in ROOT.glob(pattern.removesuffix("**") + "**/*" if pattern.endswith("**") else pattern):
        if path.is_file() and path.suffix != ".pyc":
            yield path


def test_the_bento_ships_all_that_it_runs_and_no_training_module() -> None:
    needed = {name for name in reachable(BENTO) if name in modules()}
    shipped = {name for name, file in modules().items() if file.relative_to(ROOT).as_posix() in bento()}
    assert {"service", "components.serving.app", "components.files"} <= needed
    assert needed - shipped == set(), "it is imported and the Bento lacks it"
    assert [name for name in sorted(shipped - needed) if not within(name, RUNTIME)] == []
    assert reachable(BENTO) & TRAINING_ONLY == set()


def test_the_bento_installs_all_that_it_imports() -> None:
    lock = (ROOT / "requirements-serve.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))
    needed = {
        DISTRIBUTIONS.get(name, name).lower().replace("_", "-") for name in third_party(reachable(BENTO))
    }
    assert {"bentoml", "fastapi", "onnxruntime"} <= needed
    assert needed - locked == set()
