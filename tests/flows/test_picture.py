"""docs/factory.svg shows the code as it is now."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from components.config import Params
from flows import picture as drawn
from flows.picture import PictureError, needs, picture

ROOT = Path(__file__).parents[2]
FLOWS = ("watching", "monitoring", "retraining", "pipeline", "promotion")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    monkeypatch.chdir(ROOT)
    content: Mapping[str, Any] = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return content


def said(svg: str) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag[-5:] == "}text"
    ]


def test_the_picture_is_what_the_command_writes_now(params: Params, stages: Mapping[str, Any]) -> None:
    committed = Path("docs/factory.svg").read_text(encoding="utf-8")
    assert committed == picture(params, stages), "run `python -m flows.picture`"
    assert {*stages, *FLOWS, "challenger", "champion", "previous"} <= set(said(committed))
    assert "http" not in committed.replace("http://www.w3.org/2000/svg", ""), "nothing from elsewhere"


def test_a_new_stage_appears_after_those_that_it_needs(params: Params, stages: Mapping[str, Any]) -> None:
    more = {**copy.deepcopy(dict(stages)), "distil": {"deps": ["data/model.pt"], "outs": ["data/small.pt"]}}
    assert needs(more)["distil"] == {"train"}
    assert "distil" in said(picture(params, more))


def test_a_stage_needs_whose_files_it_reads_and_nobody_twice(stages: Mapping[str, Any]) -> None:
    found = needs(stages)
    assert found["download"] == frozenset()
    assert found["evaluate"] == {"calibrate"}, "model and shards came with what calibrate needs"


def test_a_flow_without_a_place_is_named(
    params: Params, stages: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(drawn._FLOWS, "monitoring")
    with pytest.raises(PictureError, match="monitoring: a flow that has no place"):
        picture(params, stages)
