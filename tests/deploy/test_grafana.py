"""Grafana's dashboard asks for what the service measures: all of it, and nothing that there is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from components.serving.observability import metrics
from tests.serving.conftest import serving

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy/grafana/dashboard.json").read_text())
OF_PROMETHEUS = {"job", "le"}


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def measured() -> dict[str, MetricWrapperBase]:
    """The service's own metrics, by name."""
    found = {m.describe()[0].name: m for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)}
    assert len(found) > 10
    return found


def series(metric: MetricWrapperBase) -> set[str]:
    """The names that a measure has in `/metrics`."""
    family = metric.describe()[0]
    ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
    return {family.name + end for end in ends}


def test_each_query_asks_for_what_there_is_and_all_is_asked_for() -> None:
    known = {name: labels for m in measured().values() for name in series(m) for labels in [m._labelnames]}
    asked: set[str] = set()
    for query in queries():
        names = set(re.findall(r"\bocr_\w+", query))
        assert names and names <= set(known), query
        asked |= names
        labels = set(re.findall(r'(\w+)\s*=~?"', query))
        labels |= {label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")}
        of_these = set().union(*(known[name] for name in names))
        assert labels <= of_these | OF_PROMETHEUS, query
    assert {name for name, m in measured().items() if not series(m) & asked} == set()


async def test_the_service_tells_these_names() -> None:
    async with serving() as service:
        await service.predict()
        text = (await service.client.get("/metrics")).text
        told = {family.name for family in text_string_to_metric_families(text)}
        assert set(measured()) <= told


def test_panels_do_not_overlap() -> None:
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in DASHBOARD["panels"]]
    cells = [(i, j) for x, y, w, h in places for i in range(x, x + w) for j in range(y, y + h)]
    assert len(cells) == len(set(cells)) and all(x + w <= 24 for x, _, w, _ in places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
