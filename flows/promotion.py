"""From the registry to a Bento: fetch the registered model, package it with the service, try it.

    python -m flows.promotion store     # into BentoML's model store; prints the model's tag
    python -m flows.promotion build     # and a Bento around it, served once and compared; prints its tag

Without --model it is the registry's `champion`, or its `challenger` as long as there is no champion.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound
from rich.console import Console

from components.params import ParamsError, load_params
from components.recognizer.bundle import FILES, load_bundle
from components.registry import bundle_folder
from components.tracking import connect
from flows.smoke import SmokeError, smoke_test

ALIASES = ("champion", "challenger")
BENTOFILE = Path("bentofile.yaml")


class PromotionError(ValueError):
    """There is nothing to promote, or it does not hold what it promised; the message says what to do."""


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    name: str
    version: str
    tags: dict[str, str]
    metrics: dict[str, float]

    @property
    def address(self) -> str:
        return f"models:/{self.name}/{self.version}"


def resolve(address: str | None, name: str) -> Registered:
    """The version that an address (models:/name@alias or models:/name/version) stands for now.

    Raises PromotionError where there is none.
    """
    mlflow = connect()
    client = mlflow.MlflowClient()
    candidates = [address] if address else [f"models:/{name}@{alias}" for alias in ALIASES]
    said = ""  # by the registry, of the last one: that it lacks it, or that it can't be reached
    for candidate in candidates:
        model, at, alias = candidate.removeprefix("models:/").partition("@")
        model, _, number = (model, "", "") if at else model.partition("/")
        try:
            if at:
                found = client.get_model_version_by_alias(model, alias)
            else:
                found = client.get_model_version(model, number)
        except mlflow.MlflowException as error:
            said = error.message
            continue
        return Registered(model, str(found.version), dict(found.tags), _metrics(client, found))
    raise PromotionError(
        f"{' and '.join(candidates)}: the registry ({mlflow.get_tracking_uri()}) has no such version; "
        f"`dvc repro` registers one. It says: {said}"
    )


def store(registered: Registered) -> bentoml.Tag:
    """Puts a registered bundle into BentoML's model store; what is there already stays."""
    bundle = load_bundle(bundle_folder(registered.address))
    # The number is the registry's; the rest tells the same number of two registries apart.
    tag = bentoml.Tag(registered.name, f"v{registered.version}-{bundle.version}")
    try:
        return bentoml.models.get(tag).tag
    except NotFound:
        pass
    lineage = {key: value for key, value in registered.tags.items() if not key.startswith("mlflow.")}
    with bentoml.models.create(
        tag,
        module="components.recognizer",
        labels={"registry_version": registered.version, "bundle": bundle.version},
        metadata={"version": registered.version, "metrics": registered.metrics, "lineage": lineage},
        signatures={},
    ) as model:
        for file in FILES:
            if (bundle.folder / file).exists():
                shutil.copyfile(bundle.folder / file, Path(model.path) / file)
    return tag


def build(registered: Registered) -> bentoml.Tag:
    """Builds a Bento around a registered version and tries it. Raises PromotionError."""
    console = Console(stderr=True)
    model = store(registered)
    with console.status(f"building a Bento with {model}"):
        bento = bentoml.bentos.build_bentofile(
            str(BENTOFILE),
            build_ctx=".",
            labels={"model": str(model), "registry_version": registered.version},
            args={"model": model.version},
        )
    with console.status(f"serving {bento.tag} once"):
        try:
            report = smoke_test(bento, load_params().evaluate.beam)
        except SmokeError as error:
            bentoml.bentos.delete(bento.tag)
            raise PromotionError(f"{bento.tag}: {error}; it is removed") from None
    console.print(report)
    return bento.tag


def _metrics(client: object, version: object) -> dict[str, float]:
    """The metrics of a version's run, as fractions."""
    run = client.get_run(version.run_id)  # type: ignore[attr-defined]
    return {name: float(value) for name, value in run.data.metrics.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.promotion", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("store", "build"))
    parser.add_argument("--model", metavar="ADDRESS", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    options = parser.parse_args(arguments)
    logging.getLogger("bentoml").setLevel(logging.WARNING)
    try:
        registered = resolve(options.model, load_params().register_.name)
        tag = store(registered) if options.what == "store" else build(registered)
    except (PromotionError, ParamsError, ValueError, OSError) as error:
        print(f"promotion: {error}", file=sys.stderr)
        return 1
    print(f"{options.what}: {registered.address} is {tag}", file=sys.stderr)
    print(tag)
    return 0


if __name__ == "__main__":
    sys.exit(main())
