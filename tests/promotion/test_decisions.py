"""A version that was rejected or rolled back is not evaluated again by itself."""

from __future__ import annotations

import pytest

from components.promotion.decisions import (
    challenger_decision,
    record_promotion,
    record_rejection,
    standing_rejection,
)
from components.registry.model_versions import CHALLENGER, CHAMPION, DECISION, ROLLED_BACK, ModelVersion


class FakeRegistry:
    """Versions by alias; tags are set in place."""

    def __init__(self, **aliases: ModelVersion) -> None:
        self.aliases = aliases

    def find(self, alias: str) -> ModelVersion | None:
        return self.aliases.get(alias)

    def tag(self, version: str, tags: dict[str, str]) -> None:
        for found in self.aliases.values():
            if found.version == version:
                found.tags.update(tags)


def version(number: str, **tags: str) -> ModelVersion:
    return ModelVersion("ocr", number, "run", {"bundle": number, **tags}, {})


@pytest.mark.parametrize(
    ("tags", "stands"),
    [
        ({}, False),
        ({DECISION: "promoted: first"}, False),
        ({DECISION: "rejected: significantly worse"}, True),
        ({DECISION: "promoted: first", ROLLED_BACK: "2026-01-02"}, True),
    ],
)
def test_rejections_and_rollbacks_stand(tags: dict[str, str], stands: bool) -> None:
    assert (standing_rejection(version("2", **tags)) is not None) == stands


def test_a_recorded_rejection_stands_and_a_promotion_lifts_it() -> None:
    challenger = version("2")
    registry = FakeRegistry(challenger=challenger)
    record_rejection(registry, challenger, "x" * 5000)
    assert standing_rejection(challenger) and len(challenger.tags[DECISION]) <= 1000
    record_promotion(registry, challenger, "better")
    assert standing_rejection(challenger) is None


def test_the_decision_on_the_challenger_is_none_until_it_was_evaluated() -> None:
    assert challenger_decision(FakeRegistry()) is None
    assert challenger_decision(FakeRegistry(**{CHALLENGER: version("2"), CHAMPION: version("1")})) is None
    for tags in ({DECISION: "rejected: worse"}, {ROLLED_BACK: "2026-01-02"}):
        assert challenger_decision(FakeRegistry(**{CHALLENGER: version("2", **tags)})) is not None
    same = {CHALLENGER: version("2", bundle="b"), CHAMPION: version("1", bundle="b")}
    assert "version 1" in str(challenger_decision(FakeRegistry(**same)))
