"""Metrics, history, request context, logs and the record of predictions."""
