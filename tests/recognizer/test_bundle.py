"""Bundles of the format before this one stay readable: champions outlive releases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.recognizer.bundle import FILES, SETTINGS, BundleError, load_bundle
from components.recognizer.recognizer import Recognizer
from components.registry.bundles import SHIPPED


def in_format(folder: Path, **settings: object) -> Path:
    """The shipped bundle with other settings, hashes as they are: bundle.json itself has none."""
    for name in FILES:
        shutil.copy(SHIPPED / name, folder)
    content = json.loads((folder / SETTINGS).read_text())
    old = content["settings"]
    content["settings"] = {"raster": old["raster"], "multiple": old["multiple"]} | settings
    (folder / SETTINGS).write_text(json.dumps(content))
    return folder


def test_a_bundle_of_format_2_reads_as_before(tmp_path: Path) -> None:
    now = load_bundle(SHIPPED).settings
    folder = in_format(
        tmp_path,
        format=2,
        max_tokens=now.decoding.max_tokens,
        bidirectional=now.decoding.bidirectional,
        sizes=list(now.decoding.scales),
        calibration=now.decoding.calibration.model_dump(),
    )
    recognizer = Recognizer.load(folder)
    then = {"beam": 1, "min_side": 0}
    assert recognizer.settings == now.model_copy(update={"decoding": now.decoding.model_copy(update=then)})
    example = (SHIPPED / "example.png").read_bytes()
    about = load_bundle(folder).about
    assert recognizer.read_file(example).latex == about.example, "it was read greedily"


@pytest.mark.parametrize("version", [1, 4])
def test_other_formats_are_refused_by_name(version: int, tmp_path: Path) -> None:
    folder = in_format(tmp_path, format=version, decoding={"max_tokens": 20})
    with pytest.raises(BundleError, match=r"bundle\.json: settings\.format: .*another version"):
        load_bundle(folder)
