"""Prometheus metrics of the service. `/metrics` also shows BentoML's own."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)

# Labels have few values whatever is requested: paths are those of routes.
requests = Counter("ocr_requests", "Requests answered", ["route", "method", "status"])
seconds = Histogram("ocr_request_seconds", "Request latency", ["route"], buckets=QUICK)
refusals = Counter("ocr_refusals", "Requests answered with a problem document, by kind", ["kind"])
in_flight = Gauge("ocr_in_flight", "Prediction requests in flight", multiprocess_mode="livesum")
cached = Counter("ocr_cache", "Cache lookups", ["found"])
phases = Histogram("ocr_phase_seconds", "Seconds per picture, by phase", ["phase"], buckets=QUICK)
confidence = Histogram(
    "ocr_confidence",
    "Confidence of predictions",
    buckets=SHARES,
)
tokens = Histogram(
    "ocr_tokens", "Tokens of predictions", buckets=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)
)
batch = Histogram("ocr_batch_pictures", "Pictures per batch", buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64))
records = Counter("ocr_records", "Predictions sampled for the prediction log, by outcome", ["outcome"])
remembered = Counter("ocr_remembered", "Predictions stored for correction", ["kept"])
feedback = Counter("ocr_feedback", "Corrections by outcome", ["outcome"])
# `key` is "none" without a key, and "other" for all but the first USAGE_KEY_LABELS keys.
usage_requests = Counter(
    "ocr_usage_requests", "Requests to read or to correct, by key and outcome", ["key", "outcome"]
)
usage_formulas = Counter("ocr_usage_formulas", "Formulas read, by key", ["key"])
usage_corrections = Counter("ocr_usage_corrections", "Formulas corrected, by key", ["key"])
redis_away = Gauge("ocr_redis_away", "1 while Redis does not answer", multiprocess_mode="livemax")


def page() -> tuple[bytes, str]:
    """The metrics of all processes of this service, and their media type."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
