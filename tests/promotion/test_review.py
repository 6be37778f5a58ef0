"""The review of a challenger: a champion that this code cannot load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.promotion import review
from components.recognizer.bundle import BundleError
from components.registry.model_versions import ModelVersion


def test_a_champion_of_another_format_is_named_with_the_way_out(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(exported / "data/bundle", folder)
    content = json.loads((folder / "bundle.json").read_text())
    content["settings"]["format"] = 99
    (folder / "bundle.json").write_text(json.dumps(content))
    monkeypatch.setattr(review, "bundle_folder", lambda uri: folder)
    with pytest.raises(BundleError, match=r"version 1(.|\n)*--ignore-champion"):
        review.champion_bundle(ModelVersion("ocr", "1", "run", {}, {}))
