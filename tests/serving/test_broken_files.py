"""Broken pictures, ink, labels and constraints are read or refused soon; `make fuzz` tries very many more."""

from __future__ import annotations

from collections import Counter

from tests.fuzz import (
    broken,
    constraints,
    inks,
    labels,
    outcome,
    pictures,
    read_constraints,
    read_ink,
    read_label,
    read_picture,
    rearranged,
)


def test_broken_pictures_are_read_or_refused() -> None:
    found = Counter(outcome(read_picture, data) for data in broken(pictures(), 1500, seed=7))
    assert found["read"] > 100 and found["PictureError"] > 100


def test_broken_ink_is_read_or_refused() -> None:
    found = Counter(outcome(read_ink, data) for data in broken(inks(), 3000, seed=7))
    assert found["read"] > 20 and found["InkError"] > 1000


def test_ink_with_elements_out_of_place_is_read_or_refused() -> None:
    found = Counter(outcome(read_ink, data) for data in rearranged(1500, seed=7))
    assert found["read"] > 300 and found["InkError"] > 300


def test_labels_of_anything_are_refused_or_normalized_for_good() -> None:
    found = Counter(outcome(read_label, data) for data in labels(2000, seed=7))
    assert found["read"] > 200 and found["LabelError"] > 1000


def test_any_constraints_are_taken_or_refused() -> None:
    found = Counter(outcome(read_constraints, data) for data in constraints(300, seed=7))
    assert found["read"] > 50 and sum(found.values()) - found["read"] > 50
