"""The diagram in docs/architecture.md names all stages, flows, events and aliases of the code, no others."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import networkx as nx
import pytest
import yaml
from prefect import Flow

import flows
from components.config import Params
from components.registry.model_versions import CHALLENGER, CHAMPION, PREVIOUS
from flows.deployments import deployments

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
EDGE = re.compile(r"^([\w-]+) -->(?:\|([^|]+)\|)? ([\w-]+)$")
NODE = re.compile(r'^([\w-]+)(?:\["[^"]+"\])?$')


class Diagram:
    """Nodes and edges of a Mermaid flowchart, by subgraph; edges between subgraphs have none ("")."""

    def __init__(self, text: str) -> None:
        self.nodes: dict[str, set[str]] = defaultdict(set)
        self.edges: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.labels: dict[tuple[str, str], str] = {}
        inside = ""
        for line in map(str.strip, text.splitlines()[1:]):
            if line.startswith("subgraph "):
                inside = line.removeprefix("subgraph ").partition("[")[0]
            elif line == "end":
                inside = ""
            elif edge := EDGE.match(line):
                start, label, end = edge.groups()
                self.edges[inside].add((start, end))
                self.nodes[inside] |= {start, end}
                self.labels[start, end] = label or ""
            elif node := NODE.match(line):
                self.nodes[inside].add(node[1])
            else:
                assert line.startswith("direction "), f"the test cannot parse {line!r}"


@pytest.fixture(scope="module")
def diagram() -> Diagram:
    [block] = BLOCK.findall((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))
    return Diagram(block)


def test_stages_and_their_edges_are_those_of_dvc_yaml(diagram: Diagram) -> None:
    stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert diagram.nodes["dvc"] == set(stages)
    graph = nx.DiGraph()
    graph.add_nodes_from(stages)
    for name, stage in stages.items():
        for dependency in paths(stage, "deps"):
            graph.add_edges_from(
                (other, name)
                for other, writer in stages.items()
                for output in paths(writer, "outs", "metrics", "plots")
                if dependency.is_relative_to(output)
            )
    assert diagram.edges["dvc"] == set(nx.transitive_reduction(graph).edges)


def paths(stage: dict[str, Any], *sections: str) -> Iterator[PurePosixPath]:
    for section in sections:
        for path in stage.get(section, ()):
            yield PurePosixPath(path if isinstance(path, str) else next(iter(path)))


def test_flows_and_the_events_between_them_are_those_of_the_code(
    diagram: Diagram, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    modules = [
        importlib.import_module(f"flows.{module.name}")
        for module in pkgutil.iter_modules(flows.__path__)
        if module.name != "__main__"
    ]
    found = {value.name for module in modules for value in vars(module).values() if isinstance(value, Flow)}
    assert diagram.nodes["prefect"] == found
    triggers = {
        (event, deployment.flow_name)
        for deployment in deployments(params)
        for trigger in deployment.triggers
        for event in trigger.expect  # type: ignore[union-attr]
    }
    drawn = {
        (label, end)
        for (start, end), label in diagram.labels.items()
        if label and (start, end) in diagram.edges["prefect"]
    }
    assert drawn == triggers


def test_aliases_are_those_of_the_registry(diagram: Diagram) -> None:
    assert diagram.nodes["mlflow"] == {CHALLENGER, CHAMPION, PREVIOUS}


def test_edges_between_subgraphs_connect_subgraphs_or_their_nodes(diagram: Diagram) -> None:
    named = set().union(diagram.nodes, *(nodes for inside, nodes in diagram.nodes.items() if inside))
    assert diagram.nodes[""] <= named
