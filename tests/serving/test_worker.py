"""A batch gives a result for each job, in order, whatever happens to one; nobody waits for company."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher, Optimizer

from components.recognizer.decoding import Restriction
from components.recognizer.explanation import TokenBox
from components.recognizer.orientation import Views
from components.recognizer.recognizer import Alternative, Prediction
from components.serving.inference.client import InferenceRequest
from components.serving.inference.worker import patch_batch_dispatcher, predict_batch


class Recognizer:
    """Reads a picture as its width, and fails where one is 13 pixels wide."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int]] = []

    def read_views(
        self, sources: Sequence[Views], beam: int, n_best: int, explain: bool, restriction: Restriction
    ) -> list[Prediction]:
        self.calls.append((len(sources), beam, n_best))
        widths = [source.picture.shape[1] for source in sources]
        if 13 in widths:
            raise RuntimeError("bad luck")
        others = (Alternative("y", 0.1),) * (n_best - 1)
        boxes = (TokenBox("x", 0, 1, (2, 3, 4, 5)), TokenBox("{", 1, 2)) if explain else None
        return [Prediction(str(width), (str(width),), 0.5, others, token_boxes=boxes) for width in widths]


def job(width: int, beam: int = 1, n_best: int = 1, explain: bool = False) -> InferenceRequest:
    return InferenceRequest(
        grey=bytes(20 * width), height=20, width=width, beam=beam, n_best=n_best, explain=explain
    )


def test_results_are_in_order_and_jobs_with_the_same_options_are_read_together() -> None:
    recognizer: Any = Recognizer()
    found = predict_batch(recognizer, [job(5), job(6, 3, 3), job(7), job(8, 3, 3)])
    assert [result.prediction.latex for result in found if result.prediction] == ["5", "6", "7", "8"]
    assert [len(result.prediction.alternatives) for result in found if result.prediction] == [0, 2, 0, 2]
    assert sorted(recognizer.calls) == [(2, 1, 1), (2, 3, 3)]


def test_what_may_have_to_be_turned_reaches_the_recognizer() -> None:
    request = InferenceRequest(
        grey=bytes(40),
        height=20,
        width=2,
        beam=1,
        n_best=1,
        turnable=True,
        sideways=bytes(range(6)),
        sideways_height=2,
    )
    views = InferenceRequest.model_validate(request.model_dump()).views
    assert views.turnable and views.picture.shape == (20, 2)
    assert views.sideways is not None and views.sideways.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not job(5).views.turned()


def test_where_it_looked_is_told_to_those_who_asked() -> None:
    recognizer: Any = Recognizer()
    plain, explained = predict_batch(recognizer, [job(5), job(6, explain=True)])
    assert plain.prediction and plain.prediction.token_boxes is None
    assert explained.prediction and explained.prediction.token_boxes == (
        TokenBox("x", 0, 1, (2, 3, 4, 5)), TokenBox("{", 1, 2)
    )  # fmt: skip


def test_a_failure_is_told_and_spoils_no_others() -> None:
    recognizer: Any = Recognizer()
    found = predict_batch(recognizer, [job(5), job(13), job(6)])
    assert [(r.prediction and r.prediction.latex, r.error) for r in found] == [
        ("5", None), (None, "RuntimeError"), ("6", None)
    ]  # fmt: skip


_GUESSES = ("wait", "o_a", "o_b")


@pytest.fixture
def guessing() -> Iterator[None]:
    """What BentoML's own dispatcher does, before and after the test."""
    assert not any(guess in vars(Optimizer) for guess in _GUESSES)
    yield
    for guess in _GUESSES:
        if guess in vars(Optimizer):
            delattr(Optimizer, guess)


def trained(seconds: float) -> Any:
    """BentoML's dispatcher cache its warm-up; who waits for longer than `seconds` gets `None`."""
    dispatcher: Any = CorkDispatcher(
        int(seconds * 1000), 16, fallback=lambda: None, get_batch_size=lambda _: 1
    )

    async def no_training(*_: int) -> None:
        pass

    dispatcher.train_optimizer = no_training
    return dispatcher


def taking(seconds: float) -> Callable[[Sequence[int]], Awaitable[Sequence[int]]]:
    """Reads a batch, whatever its size, in so many seconds."""

    async def read(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(seconds)
        return items

    return read


def test_a_lone_request_is_sent_at_once_however_long_others_had_to_wait(guessing: None) -> None:
    async def lone() -> float:
        dispatcher = trained(10)
        dispatcher.optimizer.wait = 2.0  # a crowd was here
        start = time.perf_counter()
        await dispatcher(taking(0))(1)
        return time.perf_counter() - start

    assert asyncio.run(lone()) > 0.5, "BentoML has mended it: `patch_batch_dispatcher` can go"
    patch_batch_dispatcher()
    assert asyncio.run(lone()) < 0.5


def test_a_hiccup_refuses_nobody_who_would_have_been_answered(guessing: None) -> None:
    async def crowd() -> list[int | None]:
        dispatcher = trained(10)
        for size, duration in ((15, 0.02), (16, 0.02), (16, 1.2)):  # once the machine was busy elsewhere
            dispatcher.optimizer.o_stat.append((size, duration, 0.0))
        dispatcher.optimizer.trigger_refresh()
        return await asyncio.gather(*map(dispatcher(taking(0.01)), range(64)))

    assert None in asyncio.run(crowd()), "BentoML has mended it: `patch_batch_dispatcher` need not do it"
    patch_batch_dispatcher()
    assert asyncio.run(crowd()) == list(range(64))


def test_who_has_waited_too_long_is_refused(guessing: None) -> None:
    async def crowd() -> list[int | None]:
        return await asyncio.gather(*map(trained(0.1)(taking(0.5)), range(40)))

    patch_batch_dispatcher()
    answers = asyncio.run(crowd())
    assert answers == [*range(16), *[None] * 24]
