"""Evaluation of a model: metrics, calibration, reports."""
