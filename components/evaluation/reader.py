"""Read a labelled data set with a recognizer, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

from components.data.datasets import Labelled, Reject, Sample
from components.evaluation.metrics import Answer
from components.recognizer.recognizer import Recognizer

_PICTURES = 1024  # in memory at once: enough to find many of one size
_STEP = 128  # pictures between two updates of the progress bar

_T = TypeVar("_T")


def read_dataset(
    data: Labelled, recognizer: Recognizer, beam: int | None = None
) -> tuple[list[Answer], list[Reject]]:
    """Read all samples; answers are sorted by id. `beam` overrides the recognizer's own (None)."""
    multiple = recognizer.settings.multiple
    answers: list[Answer] = []
    rejects: list[Reject] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=len(data))
        for chunk in _chunks(data, _PICTURES):
            refused = [entry for entry in chunk if isinstance(entry, Reject)]
            samples = [entry for entry in chunk if isinstance(entry, Sample)]
            # Pictures that are padded to one size go through the network together.
            samples.sort(key=lambda sample: [-(-side // multiple) for side in sample.picture.shape])
            rejects += refused
            progress.advance(task, len(refused))
            for part in _chunks(samples, _STEP):
                readings = recognizer.read([sample.picture for sample in part], beam)
                answers += [
                    Answer(sample.id, sample.label, reading.tokens, reading.confidence, reading.scores)
                    for sample, reading in zip(part, readings, strict=True)
                ]
                progress.advance(task, len(part))
    return sorted(answers, key=lambda answer: answer.id), rejects


def _chunks(entries: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, size)):
        yield chunk
