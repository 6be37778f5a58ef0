"""How the pieces hang together, drawn from the code: python -m flows.picture → docs/factory.svg.

Stages and their edges are those of dvc.yaml, flows and what triggers them those that are scheduled, aliases
those of the registry. A new stage appears; a new flow has no place yet, and the command says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger

from components.config import Params, load_params
from components.registry.model_versions import CHALLENGER, CHAMPION, PREVIOUS
from flows.data_watch import ARRIVED, DRIFT, watching
from flows.deployments import deployments
from flows.drawing import Box, arrow, badge, chain, drawing, named, rectangle, words
from flows.monitoring import monitoring
from flows.pipeline import pipeline
from flows.promotion import promotion
from flows.retraining import retraining

PICTURE = Path("docs/factory.svg")
DVC = Path("dvc.yaml")

WIDTH, HEIGHT = 1000, 660
_WHEN, _WHAT = Box(44, 16, 940, 168), Box(44, 218, 940, 112)
_KEPT, _LIVE = Box(44, 354, 940, 112), Box(44, 490, 940, 112)

# Where the flows that are scheduled stand, and which of them says what retraining waits for.
_FLOWS = {
    watching.name: Box(64, 54, 160, 50),
    monitoring.name: Box(64, 120, 160, 50),
    retraining.name: Box(420, 34, 546, 140),
}
_SAYS = {ARRIVED: watching.name, DRIFT: monitoring.name}

_CORRECTIONS, _PIPELINE, _PROMOTION = (Box(x, 92, 150, 56) for x in (436, 618, 800))
_CHALLENGER, _GATE, _BENTO, _CHAMPION, _PREVIOUS = (Box(x, 396, 126, 50) for x in (840, 664, 488, 312, 112))
_SERVICE = Box(283, 502, 360, 90)
_SERVED, _SHIPPED = Box(299, 534, 152, 46), Box(475, 534, 152, 46)
_RECORDS, _FEEDBACK = Box(64, 502, 150, 41), Box(64, 551, 150, 41)
_PEOPLE = Box(790, 522, 176, 50)

_USES = (
    "dvc repro",
    "python -m flows serve",
    "python -m flows promote",
    "bentoml serve, python -m flows live",
    "deploy/container/build.sh",
)


class PictureError(ValueError):
    """Something in the code has no place in the picture; the message says what."""


def picture(params: Params, stages: Mapping[str, Any]) -> str:
    """The SVG; `stages` are those of dvc.yaml. Raises PictureError."""
    parts = [
        *_bands(),
        *_scheduled(deployments(params)),
        *_stages(needs(stages), outputs(stages), params.data.corrections),
        *_registry(),
        *_service(params),
        *_legend(),
    ]
    return drawing(
        WIDTH, HEIGHT, "How the stages, the flows, the registry and the service hang together", parts
    )


def outputs(stages: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What each stage writes."""
    return {
        name: tuple(
            path if isinstance(path, str) else next(iter(path))
            for section in ("outs", "metrics", "plots")
            for path in stage.get(section, ())
        )
        for name, stage in stages.items()
    }


def needs(stages: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Of each stage those whose outputs it reads, but none that another one of them needs anyway."""
    written = {PurePosixPath(path): name for name, paths in outputs(stages).items() for path in paths}
    direct = {
        name: frozenset(
            writer
            for dep in map(PurePosixPath, stage.get("deps", ()))
            for path, writer in written.items()
            if dep.is_relative_to(path)
        )
        for name, stage in stages.items()
    }

    def all_of(name: str) -> frozenset[str]:
        return direct[name].union(*map(all_of, direct[name]))

    return {name: found - frozenset().union(*map(all_of, found)) for name, found in direct.items()}


def _bands() -> Iterator[str]:
    titles = {
        _WHEN: (90, "Prefect decides when"),
        _WHAT: (100, f"DVC runs what has changed: {DVC}"),
        _KEPT: (64, "MLflow remembers, the gate decides"),
    }
    for band in (_WHEN, _WHAT, _KEPT, _LIVE):
        yield rectangle(band, "band", 10)
    for band, (x, title) in titles.items():
        yield words((x, band.y + 24), title, "title")
    yield badge((73, 36), 2)
    yield badge((86, 238), 1)


def _scheduled(found: list[RunnerDeployment]) -> Iterator[str]:
    """The flows, when each of them runs, and which one's event starts another."""
    if unplaced := {each.flow_name for each in found} - set(_FLOWS):
        raise PictureError(f"{', '.join(map(str, unplaced))}: a flow that has no place in flows/picture.py")
    for each in found:
        box = _FLOWS[str(each.flow_name)]
        when = ", ".join(_when(schedule.schedule) for schedule in each.schedules or ())
        if box is not _FLOWS[retraining.name]:
            yield named(box, "when", str(each.flow_name), when)
            continue
        yield rectangle(box, "when")
        yield words((box.x + 16, box.y + 26), retraining.name, "name")
        yield words((box.right[0] - 16, box.y + 26), when, "note", "end")
        for trigger in each.triggers:
            if not isinstance(trigger, DeploymentEventTrigger):
                raise PictureError(f"{trigger}: a trigger that has no words in flows/picture.py")
            for event in sorted(trigger.expect):
                if event not in _SAYS:
                    raise PictureError(f"{event}: flows/picture.py does not know which flow says so")
                start = _FLOWS[_SAYS[event]].right
                yield arrow(start, (box.x, start[1]))
                yield words((start[0] + 12, start[1] - 7), str(trigger.name).partition(": ")[2], "note")
    yield named(_CORRECTIONS, "when", "corrections", "collected as InkML")
    yield named(_PIPELINE, "what", pipeline.name, "stage by stage")
    yield named(_PROMOTION, "gate", promotion.name, "gate, Bento, alias")
    yield from chain([_CORRECTIONS, _PIPELINE, _PROMOTION])


def _when(schedule: object) -> str:
    if isinstance(schedule, CronSchedule):
        return f"cron {schedule.cron} {schedule.timezone}"
    if isinstance(schedule, IntervalSchedule):
        return f"every {schedule.interval / timedelta(minutes=1):g} min"
    raise PictureError(f"{schedule}: a schedule that has no words in flows/picture.py")


def _stages(
    needed: Mapping[str, frozenset[str]], written: Mapping[str, tuple[str, ...]], corrections: Path | None
) -> Iterator[str]:
    """The stages in columns, each to the right of those that it needs; what goes in, and what comes out."""

    def column(name: str) -> int:
        return max((1 + column(need) for need in needed[name]), default=0)

    columns = {name: column(name) for name in needed}
    pitch = (_WHAT.width - 40 + 22) / (1 + max(columns.values()))
    boxes: dict[str, Box] = {}
    for name, at in columns.items():
        beside = [other for other, place in columns.items() if place == at]
        height = (52 - 8 * (len(beside) - 1)) / len(beside)
        top = 258 + beside.index(name) * (height + 8)
        boxes[name] = Box(round(64 + at * pitch, 1), top, round(pitch - 22, 1), height)
    for name, box in boxes.items():
        yield named(box, "what", name, _short(written[name]) if box.height > 40 else "")
        for need in sorted(needed[name]):
            yield arrow(boxes[need].right, box.left)
    first, last = min(boxes.values(), key=lambda box: box.x), max(boxes.values(), key=lambda box: box.x)
    # What users corrected goes to the first stage, what was trained to the registry.
    x, y = first.x + 8, _WHAT.y - 14
    if corrections is not None:
        yield arrow(_CORRECTIONS.bottom, (_CORRECTIONS.bottom[0], y), (x, y), (x, first.y))
        yield words((x + 14, y - 5), str(corrections), "note")
    yield arrow(_PIPELINE.bottom, (_PIPELINE.bottom[0], _WHAT.y))
    yield arrow((_CHALLENGER.top[0], last.bottom[1]), _CHALLENGER.top)


def _short(paths: Sequence[str]) -> str:
    """The first of a stage's outputs, by a name that its box can hold."""
    path = PurePosixPath(paths[0]) if paths else PurePosixPath("")
    return path.name if len(path.name) <= 15 else path.stem


def _registry() -> Iterator[str]:
    """From challenger to champion, and back."""
    yield named(_CHALLENGER, "kept", CHALLENGER, "trained last")
    yield named(_GATE, "gate", "gate", "better, or refused")
    yield named(_BENTO, "gate", "Bento", "built, tried")
    yield named(_CHAMPION, "kept", CHAMPION, "goes live")
    yield named(_PREVIOUS, "kept", PREVIOUS, "champion before")
    yield from chain([_CHALLENGER, _GATE, _BENTO, _CHAMPION])
    (left, middle), (right, _) = _PREVIOUS.right, _CHAMPION.left
    yield arrow((right, middle - 12), (left, middle - 12))
    yield arrow((left, middle + 12), (right, middle + 12), back=True)
    yield words(((left + right) / 2, middle + 27), "rollback", "note", "middle")
    yield badge((_GATE.right[0] - 2, _GATE.y), 3)


def _service(params: Params) -> Iterator[str]:
    """What answers people, and what comes back from it."""
    yield rectangle(_SERVICE, "live")
    yield words((_SERVICE.top[0], _SERVICE.y + 18), "BentoML service", "name", "middle")
    yield named(_SERVED, "live", "this machine", "changes without pause")
    yield named(_SHIPPED, "live", "container", "Compose, Cloud Run")
    yield badge((_SERVED.right[0] - 2, _SERVED.y), 4)
    yield badge((_SHIPPED.right[0] - 2, _SHIPPED.y), 5)
    yield named(_PEOPLE, "file", "people, programs", "pictures, pen strokes")
    yield arrow((_CHAMPION.bottom[0], _CHAMPION.bottom[1]), (_CHAMPION.bottom[0], _SERVED.y))
    yield arrow((_BENTO.bottom[0], _BENTO.bottom[1]), (_BENTO.bottom[0], _SHIPPED.y))
    (left, _), (right, middle) = _SERVICE.right, _PEOPLE.left
    yield arrow((right, middle - 9), (left, middle - 9))
    yield arrow((left, middle + 9), (right, middle + 9))
    yield words(((left + right) / 2, middle + 25), "LaTeX", "note", "middle")
    for box, flow, x, name, note in (
        (_RECORDS, monitoring.name, 28, "readings", params.monitor.folder),
        (_FEEDBACK, watching.name, 14, "corrections", params.retraining.feedback),
    ):
        yield named(box, "file", name, str(note))
        yield arrow((_SERVICE.x, box.right[1]), box.right)
        goal = _FLOWS[flow].left
        yield arrow(box.left, (x, box.left[1]), (x, goal[1]), goal, back=True)


def _legend() -> Iterator[str]:
    """What to type for each of the numbers."""
    x = 53.0
    for number, use in enumerate(_USES, 1):
        yield badge((x, 632), number)
        yield words((x + 16, 636), use, "code")
        x += 16 + 6.7 * len(use) + 18


def main() -> None:
    """Writes the picture."""
    try:
        text = picture(load_params(), yaml.safe_load(DVC.read_text(encoding="utf-8"))["stages"])
    except PictureError as error:
        sys.exit(f"picture: {error}")
    PICTURE.write_text(text, encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
