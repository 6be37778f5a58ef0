"""The batch side of inference: read what the dispatcher has put together, one result for each request."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence

from bentoml._internal.marshal.dispatcher import Optimizer

from components.recognizer.decoding import Restriction
from components.recognizer.orientation import Views
from components.recognizer.recognizer import Recognizer
from components.serving.inference.client import InferenceRequest, InferenceResult
from components.serving.observability import metrics

logger = logging.getLogger(__name__)

_Options = tuple[int, int, bool, Restriction]


def predict_batch(recognizer: Recognizer, requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
    """Read requests, grouped by options. Never raises: one bad request must not fail the others."""
    start = time.perf_counter()
    groups: dict[_Options, list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        groups[request.beam, request.n_best, request.explain, request.restriction].append(index)
    results: dict[int, InferenceResult] = {}
    for options, indices in groups.items():
        sources = [requests[index].views for index in indices]
        results.update(zip(indices, _predict(recognizer, sources, *options), strict=True))
    metrics.batch.observe(len(requests))
    metrics.phases.labels("recognize").observe((time.perf_counter() - start) / max(len(requests), 1))
    return [results[index] for index in range(len(requests))]


def _predict(
    recognizer: Recognizer,
    sources: list[Views],
    beam: int,
    n_best: int,
    explain: bool,
    restriction: Restriction,
) -> list[InferenceResult]:
    """Read pictures together, or one by one if that fails, so that one picture does not fail the others."""
    try:
        predictions = recognizer.read_views(sources, beam, n_best, explain, restriction)
        return [InferenceResult(prediction=prediction) for prediction in predictions]
    except Exception as error:
        if len(sources) > 1:
            how = beam, n_best, explain, restriction
            return [_predict(recognizer, [source], *how)[0] for source in sources]
        logger.exception("a picture of %s pixels could not be read", sources[0].picture.shape)
        return [InferenceResult(prediction=None, error=type(error).__name__)]


def patch_batch_dispatcher() -> None:
    """Make BentoML's dispatcher send a batch as soon as the worker is free, and reject requests by age.

    By default it holds requests back to collect a batch, for as long as requests have waited lately: after a
    burst a single caller waits as long as the burst did (212 ms instead of 20), which keeps the mean up for
    minutes. Batches form without that: while one is read, the next collects.

    It also fits a line through sizes and durations of recent batches to predict who would wait too long. If
    most have one size, a single hiccup tilts the line until a queue of 30 seems to take 15 s, and requests
    that one second would have answered are rejected. Now only those that have waited too long are.
    """
    for guess in ("wait", "o_a", "o_b"):
        setattr(Optimizer, guess, property(lambda self: 0.0, lambda self, seconds: None))
