"""The reader on every file of CROHME (2014) and of MathWriting's excerpt."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest

from components.ink.inkml import InkError, parse_inkml

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.no_cover  # ten thousand files take twice as long with it
@pytest.mark.parametrize(
    ("archive", "rejected", "unlabelled", "counts"),
    [
        pytest.param(
            "crohme.tar.xz",
            {"MfrDB3088.inkml": "the file is empty"},
            {"rit_4295_2.inkml", "rit_4295_3.inkml", "ritm_426_0.inkml"},  # typx="truth"
            {"train2014": 8835, "test2013": 671, "test2014": 986},
            marks=pytest.mark.nightly,
        ),
        (
            "mathwriting-2024-excerpt.tgz",
            {},
            set(),
            dict.fromkeys(("train", "valid", "test", "symbols", "synthetic"), 100),
        ),
    ],
)
def test_only_the_files_with_a_cause_are_rejected(
    archive: str, rejected: dict[str, str], unlabelled: set[str], counts: dict[str, int]
) -> None:
    if not (DATA / archive).exists():
        pytest.skip(f"the real data are not here: {DATA / archive}")
    errors: dict[str, str] = {}
    without: set[str] = set()
    read: Counter[str] = Counter()
    with tarfile.open(DATA / archive, "r|*") as members:
        for member in members:
            file = members.extractfile(member)
            path = Path(member.name)
            if file is None or path.suffix != ".inkml":
                continue
            try:
                ink = parse_inkml(file.read(), path.stem)
            except InkError as error:
                errors[path.name] = str(error)
                continue
            read[path.parts[1]] += 1
            if ink.label is None:
                without.add(path.name)
    assert (errors, without, read) == (rejected, unlabelled, counts)
